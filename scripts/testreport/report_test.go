package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func reported(t *testing.T, stream string) string {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	require.NoError(t, read(strings.NewReader(stream), r))
	r.summary()
	return out.String()
}

func TestReportShowsFailuresAndWhatDidNotRun(t *testing.T) {
	got := reported(t, `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: noise of a pass\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:4: got 1\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:5: needs a real server\n"}
{"Action":"output","Package":"p","Test":"TestC","Output":"--- SKIP: TestC (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"fail","Package":"p","Elapsed":1.25}
{"Action":"skip","Package":"without/tests"}
{"Action":"pass","Package":"q","Elapsed":0.5}
`)
	require.Equal(t, `    b_test.go:4: got 1
FAIL p (1.2s)
ok   q (0.5s)

2 packages, 1 of them failed; tests: 1 passed, 1 failed, 1 did not run

did not run: needs a real server
  p.TestC
`, got)
}

func TestReportShowsWhatATestSaidBeforeItsProcessDied(t *testing.T) {
	got := reported(t, `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: boom\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`)
	require.Contains(t, got, "panic: boom\n")
	require.Contains(t, got, "FAIL p (0.1s)\n")
}

func TestReportShowsBuildErrorsAndForeignLines(t *testing.T) {
	got := reported(t, `{"ImportPath":"p","Action":"build-output","Output":"p.go:1: undefined: x\n"}
go: a warning
`)
	require.Contains(t, got, "p.go:1: undefined: x\n")
	require.Contains(t, got, "go: a warning\n")
}
