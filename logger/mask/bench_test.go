package mask_test

import (
	"strings"
	"testing"

	"github.com/bulwark-go/bulwark/logger/mask"
)

func BenchmarkString(b *testing.B) {
	prose := "The quick brown fox jumps over the lazy dog while the service keeps answering. "
	for name, s := range map[string]string{
		"prose": strings.Repeat(prose, 40),
		"lines": strings.Repeat(text, 20),
		"short": "request served",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				_ = mask.String(s)
			}
		})
	}
}
