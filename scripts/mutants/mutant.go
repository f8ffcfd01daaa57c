//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mutant is one patch of testdata/mutants.
type mutant struct {
	name    string // of the file, without .patch
	path    string
	command string // that must fail
}

// load reads the mutants whose names match the pattern, and complains about all
// bad ones at once.
func load(dir, pattern string) ([]mutant, error) {
	paths, err := filepath.Glob(filepath.Join(dir, pattern+".patch"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no mutant is named %s in %s", pattern, dir)
	}
	var mutants []mutant
	var errs []error
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(filepath.Base(path), ".patch"), content)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		m.path = path
		mutants = append(mutants, m)
	}
	return mutants, errors.Join(errs...)
}

// parse reads the head of a patch.
func parse(name string, content []byte) (mutant, error) {
	m := mutant{name: name}
	diff := false
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() && !diff {
		line := lines.Text()
		switch key, value, _ := strings.Cut(line, ": "); {
		case strings.HasPrefix(line, "diff --git "):
			diff = true
		case key == "Kills":
			m.command = strings.TrimSpace(value)
		}
	}
	switch {
	case !strings.HasPrefix(m.command, "go test "):
		return m, errors.New("no line \"Kills: go test …\" before the diff")
	case !diff:
		return m, errors.New("no line \"diff --git …\"")
	}
	return m, nil
}
