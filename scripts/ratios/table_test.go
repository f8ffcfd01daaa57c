package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTableSetsOursBesideThePeers(t *testing.T) {
	groups, err := parse(strings.NewReader(`goos: linux
pkg: example.com/bench/ratelimit
BenchmarkTake/peer/serial-2         	100	 30.0 ns/op	  8 B/op	 1 allocs/op
BenchmarkTake/ours/serial-2         	100	 10.0 ns/op	  0 B/op	 0 allocs/op
BenchmarkTake/ours/serial-2         	100	 90.0 ns/op	  0 B/op	 0 allocs/op
BenchmarkTake/ours/serial-2         	100	 12.0 ns/op	  0 B/op	 0 allocs/op
BenchmarkTake/ours/parallel-2       	100	 20.0 ns/op
BenchmarkTake/peer/parallel-2       	100	 10.0 ns/op
PASS
ok  	example.com/bench/ratelimit	1.0s
`))
	require.NoError(t, err)
	var out strings.Builder
	for _, g := range groups {
		g.print(&out)
	}
	require.Equal(t, `
**ratelimit Take serial**

|      | ratio | ns/op | B/op | allocs/op |
|---   |---    |---    |---   |---        |
| peer | 2.50  | 30    | 8    | 1         |
| ours | 1.00  | 12    | 0    | 0         |

**ratelimit Take parallel**

|      | ratio | ns/op | B/op | allocs/op |
|---   |---    |---    |---   |---        |
| ours | 1.00  | 20    | –    | –         |
| peer | 0.50  | 10    | –    | –         |
`, out.String())
}

func TestTableWithoutOursHasNoRatio(t *testing.T) {
	groups, err := parse(strings.NewReader("BenchmarkAlone-2 100 5 ns/op\n"))
	require.NoError(t, err)
	var out strings.Builder
	groups[0].print(&out)
	require.Contains(t, out.String(), "| Alone | –     | 5     |")
}

func TestMalformedFigureIsAnError(t *testing.T) {
	_, err := parse(strings.NewReader("BenchmarkA/ours-2 100 many ns/op\n"))
	require.ErrorContains(t, err, "many")
}
