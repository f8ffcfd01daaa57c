//go:build !race

// The race detector has nothing to find here and makes the simulations ten times as
// slow.

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const images = "../../docs/img"

// What is committed is what the command draws: a figure that the code no longer gives
// is a lie.
func TestPlotsAreThoseThatTheSimulationsGive(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("other processors round sums of products differently, and chance goes another way")
	}
	for name, draw := range plots {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			committed, err := os.ReadFile(filepath.Join(images, name))
			require.NoError(t, err)
			require.True(t, string(committed) == draw(), "run: go run ./scripts/plots")
		})
	}
}

// Each figure is shown somewhere, and each that is shown is there.
func TestDocsShowEveryPlot(t *testing.T) {
	docs, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	var all strings.Builder
	for _, doc := range docs {
		text, err := os.ReadFile(doc)
		require.NoError(t, err)
		all.Write(text)
	}
	for name := range plots {
		require.Contains(t, all.String(), "](img/"+name+")")
	}
	for _, link := range strings.Split(all.String(), "](img/")[1:] {
		name, _, _ := strings.Cut(link, ")")
		require.FileExists(t, filepath.Join(images, name))
	}
}
