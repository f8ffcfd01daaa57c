package doctest_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the snippets from their Examples")

const root = "../.."

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	dir, err := os.MkdirTemp("", "quickstart")
	if err != nil {
		panic(err)
	}
	databaseFile = filepath.Join(dir, "app.db")
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// snippet finds a marked Go block; group 1 is the marker line, 2 the file, 3 the
// function, 4 the code.
var snippet = regexp.MustCompile("(?m)^(<!-- example: (\\S+) (\\S+) -->\n)```go\n((?s:.*?))```$")

var (
	anyGoBlock = regexp.MustCompile("(?m)^```go$")
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```$")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

func TestSnippetsAreTheirExamples(t *testing.T) {
	for _, path := range markdownFiles(t) {
		text := read(t, path)
		marked := len(snippet.FindAllString(text, -1))
		require.Lenf(t, anyGoBlock.FindAllString(text, -1), marked, "%s: a Go block names no Example", path)
		want := snippet.ReplaceAllStringFunc(text, func(block string) string {
			part := snippet.FindStringSubmatch(block)
			return part[1] + "```go\n" + exampleBody(t, part[2], part[3]) + "```"
		})
		if *update && want != text {
			require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(want), 0o644))
			continue
		}
		require.Equalf(t, want, text, "%s: run go test ./internal/doctest -update", path)
	}
}

func TestRelativeLinksLeadSomewhere(t *testing.T) {
	for _, path := range markdownFiles(t) {
		text := inlineCode.ReplaceAllString(codeBlock.ReplaceAllString(read(t, path), ""), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, err := url.Parse(m[1])
			require.NoErrorf(t, err, "%s: %s", path, m[1])
			if target.Scheme != "" || target.Path == "" {
				continue
			}
			_, err = os.Stat(filepath.Join(root, filepath.Dir(path), target.Path))
			require.NoErrorf(t, err, "%s: %s", path, m[1])
		}
	}
}

func TestReadmesNameEveryPackage(t *testing.T) {
	for _, readme := range []string{"README.md", "README.zh-CN.md"} {
		text := read(t, readme)
		for _, pkg := range topLevelPackages(t) {
			require.Containsf(t, text, "(./"+pkg+")", "%s has no row for %s", readme, pkg)
		}
	}
}

// topLevelPackages are the folders of the library that hold Go files of their own.
func topLevelPackages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*", "*.go"))
	require.NoError(t, err)
	seen := map[string]bool{}
	var pkgs []string
	for _, f := range files {
		if pkg := filepath.Base(filepath.Dir(f)); !seen[pkg] {
			seen[pkg] = true
			pkgs = append(pkgs, pkg)
		}
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}

// markdownFiles are the paths of all Markdown files, relative to the root.
func markdownFiles(t *testing.T) []string {
	t.Helper()
	var paths []string
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			rel, err := filepath.Rel(root, path)
			paths = append(paths, rel)
			return err
		}
		return nil
	}))
	require.NotEmpty(t, paths)
	return paths
}

// exampleBody is the body of the function, one level of indentation less, without
// an Output comment that says nothing.
func exampleBody(t *testing.T, path, name string) string {
	t.Helper()
	src := read(t, path)
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, src, parser.ParseComments)
	require.NoError(t, err)
	for _, decl := range file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Name.Name != name {
			continue
		}
		body := src[fset.Position(fn.Body.Lbrace).Offset+1 : fset.Position(fn.Body.Rbrace).Offset]
		body = strings.TrimSpace(strings.ReplaceAll("\n"+body, "\n\t", "\n"))
		return strings.TrimSpace(strings.TrimSuffix(body, "// Output:")) + "\n"
	}
	require.FailNow(t, fmt.Sprintf("%s has no function %s", path, name))
	return ""
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	return string(data)
}
