package archtest_test

import (
	"cmp"
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/internal/archtest"
)

type rule = func(*archtest.Tree) []archtest.Violation

func TestRepositoryKeepsItsRules(t *testing.T) {
	tree, err := archtest.Load(os.DirFS("../.."))
	require.NoError(t, err)
	require.Greater(t, len(tree.Packages), 20, "the tree was not found")
	for name, check := range map[string]rule{
		"imports":              archtest.Imports,
		"package comments":     archtest.PackageComments,
		"package names":        archtest.PackageNames,
		"doc comments":         archtest.DocComments,
		"constructor examples": archtest.ConstructorExamples,
		"constructor results":  archtest.ConstructorResults,
		"file lengths":         archtest.Lengths,
		"no init functions":    archtest.Inits,
		"no sleeping tests":    archtest.Sleeps,
		"no strange words":     archtest.Strangers,
	} {
		t.Run(name, func(t *testing.T) {
			bad := check(tree)
			slices.SortFunc(bad, func(a, b archtest.Violation) int {
				return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
			})
			for _, v := range bad {
				t.Error(v)
			}
		})
	}
}

// check runs a rule on files and returns where it finds violations.
func check(t *testing.T, r rule, files map[string]string) []string {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	tree, err := archtest.Load(fsys)
	require.NoError(t, err)
	found := []string{}
	for _, v := range r(tree) {
		found = append(found, v.String())
	}
	slices.Sort(found)
	return found
}
