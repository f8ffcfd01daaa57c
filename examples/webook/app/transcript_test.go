package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// step is a command of a transcript with what it printed.
type step struct{ command, output string }

// transcript returns the steps in the console blocks of a Markdown file that talk
// to the app, in their order.
func transcript(text string) (all []step) {
	blocks := strings.Split(text, "```console\n")
	for _, block := range blocks[1:] {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(block, "localhost:8080") {
			continue // of something else: not ours to run
		}
		for line := range strings.Lines(block) {
			last := len(all) - 1
			switch {
			case strings.HasPrefix(line, "$ "):
				all = append(all, step{command: line[2:]})
			case strings.HasPrefix(line, "> ") && last >= 0:
				all[last].command += line[2:]
			case last >= 0:
				all[last].output += line
			}
		}
	}
	return all
}

// The README's transcript must work as printed. It runs in one shell, as a reader
// would run it.
func TestTheReadmesTranscriptsWorkAsPrinted(t *testing.T) {
	for _, tool := range []string{"sh", "curl", "sed", "tr"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the transcript needs %s: %v", tool, err)
		}
	}
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("..", "..", "..", name))
			require.NoError(t, err)
			steps := transcript(string(text))
			require.GreaterOrEqual(t, len(steps), 8, "the transcript was not found")
			i := start(t, testConfig(t))
			const mark = "--- next ---\n"
			var script strings.Builder
			for _, s := range steps {
				script.WriteString(s.command + "echo; echo '" + strings.TrimSpace(mark) + "'\n")
			}
			shell := exec.CommandContext(t.Context(), "sh")
			shell.Dir = t.TempDir()
			shell.Stdin = strings.NewReader(strings.ReplaceAll(script.String(), "localhost:8080", strings.TrimPrefix(i.URL(), "http://")))
			printed, err := shell.Output()
			require.NoError(t, err)
			answers := strings.Split(string(printed), mark)
			require.Len(t, answers, len(steps)+1)
			for n, s := range steps {
				require.Equal(t, strings.TrimSpace(s.output), strings.TrimSpace(answers[n]), s.command)
			}
		})
	}
}
