package detect_test

import (
	"fmt"
	"testing/fstest"
	"time"

	"github.com/bulwark-go/bulwark/circuitbreaker/detect"
)

func Example() {
	spec := detect.Any(detect.ErrorRate(0.5, 20), detect.Consecutive(3))
	d, err := spec.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		now := time.Duration(i) * time.Second
		if d.Record(detect.Call{At: now, Latency: detect.Untimed, Failed: true}) {
			fmt.Println(d.Ill(now))
		}
	}
	// Output:
	//  false
	//  false
	// 3 failures in a row true
}

func ExampleNewNode() {
	node, err := detect.NewNode(detect.WithRoot(fstest.MapFS{ // os.DirFS("/") without the option
		"proc/stat":    {Data: []byte("cpu 10 0 10 80 0 0 0 0\n")},
		"proc/meminfo": {Data: []byte("MemTotal: 1000 kB\nMemAvailable: 200 kB\n")},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	// In a service: go node.Run(ctx), and detect.CPU(node, 0.9) as a detector.
	fmt.Printf("memory in use: %.0f%%\n", 100*node.Memory())
	// Output: memory in use: 80%
}
