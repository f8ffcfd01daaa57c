//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// project makes a repository with one function, its test, and mutants.
func project(t *testing.T, mutants map[string]string) config {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":      "module sum\n\ngo 1.26\n",
		"sum.go":      "package sum\n\n// Sum adds.\nfunc Sum(a, b int) int {\n\treturn a + b\n}\n",
		"sum_test.go": "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(1, 2) != 3 {\n\t\tt.Fatal()\n\t}\n}\n\nfunc TestBroken(t *testing.T) { t.Fatal() }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(content), 0o600))
	}
	dir := filepath.Join(root, "testdata", "mutants")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for name, content := range mutants {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".patch"), []byte(content), 0o600))
	}
	init := exec.Command("git", "init", "-q")
	init.Dir = root
	require.NoError(t, init.Run())
	t.Setenv("GOWORK", "off")
	return config{root: root, only: "*", jobs: 2, limit: time.Minute}
}

func patch(command, old, replacement string) string {
	return "Kills: " + command + "\n" +
		"diff --git a/sum.go b/sum.go\n--- a/sum.go\n+++ b/sum.go\n" +
		"@@ -3,4 +3,4 @@\n // Sum adds.\n func Sum(a, b int) int {\n-" + old + "\n+" + replacement + "\n }\n"
}

const (
	command = "go test . -run 'TestSum$' -count=1"
	line    = "\treturn a + b"
)

func TestKilledMutantIsGood(t *testing.T) {
	cfg := project(t, map[string]string{"sum": patch(command, line, "\treturn a - b")})
	require.NoError(t, run(t.Context(), cfg))
	content, err := os.ReadFile(filepath.Join(cfg.root, "sum.go"))
	require.NoError(t, err)
	require.Contains(t, string(content), line, "the tree itself stays as it is")
}

func TestEveryOtherMutantIsBad(t *testing.T) {
	for name, test := range map[string]struct{ patch, verdict string }{
		"survivor":         {patch(command, line, "\treturn b + a"), "SURVIVED"},
		"does not compile": {patch(command, line, "\treturn nothing"), "no test failed"},
		"does not apply":   {patch(command, "\treturn a * b", "\treturn b"), "does not apply"},
		"fails anyway":     {patch("go test . -run 'TestBroken$'", line, "\treturn b"), "fails without the mutant"},
		"runs no test":     {patch("go test . -run 'TestMissing$'", line, "\treturn b"), "runs no test"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := project(t, map[string]string{"sum": test.patch})
			require.EqualError(t, run(t.Context(), cfg), "1 of 1 failed")
			w, err := copyTree(t.Context(), cfg.root)
			require.NoError(t, err)
			defer w.remove()
			mutants, err := load(filepath.Join(cfg.root, "testdata", "mutants"), "*")
			require.NoError(t, err)
			require.ErrorContains(t, w.examine(t.Context(), cfg, newBaseline(), mutants[0]), test.verdict)
		})
	}
}

func TestHangingMutantHasNoVerdict(t *testing.T) {
	cfg := project(t, map[string]string{"sum": patch(command, line, "\tselect {}")})
	cfg.limit = 5 * time.Second
	require.EqualError(t, run(t.Context(), cfg), "1 of 1 failed")
}

func TestCheckOnlyApplies(t *testing.T) {
	cfg := project(t, map[string]string{"survivor": patch(command, line, "\treturn b + a")})
	cfg.check = true
	require.NoError(t, run(t.Context(), cfg))
	stale := project(t, map[string]string{"stale": patch(command, "\treturn a * b", "\treturn b")})
	stale.check = true
	require.Error(t, run(t.Context(), stale))
}

func TestOnlyTheNamedMutantsRun(t *testing.T) {
	cfg := project(t, map[string]string{
		"a-killed": patch(command, line, "\treturn a - b"), "b-stale": patch(command, "\treturn a * b", "\treturn b"),
	})
	cfg.only = "a-*"
	require.NoError(t, run(t.Context(), cfg))
	cfg.only = "c-*"
	require.ErrorContains(t, run(t.Context(), cfg), "no mutant is named c-*")
}

func TestHeadOfAPatchIsComplete(t *testing.T) {
	for content, problem := range map[string]string{
		"diff --git a/x b/x\n":                    "Kills",
		"Kills: rm -rf .\ndiff --git a/x b/x\n":   "Kills",
		"Kills: go test .\n":                      "diff",
		"diff --git a/x b/x\nKills: go test .\n":  "Kills",
		"diff --git a/x b/x\n+Kills: go test .\n": "Kills",
	} {
		_, err := parse("m", []byte(content))
		require.ErrorContains(t, err, problem)
	}
}
