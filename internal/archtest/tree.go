package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the root module.
const Module = "github.com/bulwark-go/bulwark"

// Tree is a source tree: every Go package, and the text files beside.
type Tree struct {
	Packages map[string]*Package // by folder, "." for the root
	Texts    []Text
	fset     *token.FileSet
}

// Package is the Go files of a folder.
type Package struct {
	Dir   string
	Files []*File // without tests
	Tests []*File
}

// File is a parsed Go file.
type File struct {
	Path   string
	Lines  int
	Syntax *ast.File
}

// Text is a file that people read: Go source, documentation, scripts.
type Text struct {
	Path    string
	Content string
}

// skipped folders hold nothing of ours.
var skipped = []string{".git", ".cache", "testdata", "node_modules", "vendor", "results"}

// readable are the name endings of Text.
var readable = []string{".go", ".md", ".sh", ".yaml", ".yml", ".lua", ".html", ".sql", "Makefile", "/run"}

// Load reads the tree that hangs on fsys.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{Packages: make(map[string]*Package), fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !slices.ContainsFunc(readable, func(end string) bool { return strings.HasSuffix(name, end) }):
			return nil
		}
		return t.add(fsys, name)
	})
	return t, err
}

func (t *Tree) add(fsys fs.FS, name string) error {
	content, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	t.Texts = append(t.Texts, Text{Path: name, Content: string(content)})
	if !strings.HasSuffix(name, ".go") {
		return nil
	}
	syntax, err := parser.ParseFile(t.fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	p := t.Packages[dir]
	if p == nil {
		p = &Package{Dir: dir}
		t.Packages[dir] = p
	}
	file := &File{Path: name, Lines: strings.Count(string(content), "\n"), Syntax: syntax}
	if strings.HasSuffix(name, "_test.go") {
		p.Tests = append(p.Tests, file)
	} else {
		p.Files = append(p.Files, file)
	}
	return nil
}

// Violation is a place that breaks a rule.
type Violation struct {
	Path string
	Line int
	What string
}

// String returns path:line: what, as compilers write it.
func (v Violation) String() string { return fmt.Sprintf("%s:%d: %s", v.Path, v.Line, v.What) }

// at makes a violation of a node's place.
func (t *Tree) at(n ast.Node, format string, args ...any) Violation {
	p := t.fset.Position(n.Pos())
	return Violation{Path: p.Filename, Line: p.Line, What: fmt.Sprintf(format, args...)}
}

// library returns the packages of the root module that users import.
func (t *Tree) library() []*Package {
	return t.filter(func(dir string) bool {
		return !within(dir, "examples") && !within(dir, "bench") && !within(dir, "scripts") &&
			!within(dir, "internal") && dir != "."
	})
}

// filter returns the packages that hold more than tests, in order.
func (t *Tree) filter(keep func(dir string) bool) []*Package {
	var kept []*Package
	for dir, p := range t.Packages {
		if len(p.Files) > 0 && keep(dir) {
			kept = append(kept, p)
		}
	}
	slices.SortFunc(kept, func(a, b *Package) int { return strings.Compare(a.Dir, b.Dir) })
	return kept
}

// within tells whether dir is the folder or below it.
func within(dir, folder string) bool { return dir == folder || strings.HasPrefix(dir, folder+"/") }

// imports returns what a file imports, by path.
func imports(f *File) map[string]*ast.ImportSpec {
	all := make(map[string]*ast.ImportSpec, len(f.Syntax.Imports))
	for _, spec := range f.Syntax.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			all[name] = spec
		}
	}
	return all
}
