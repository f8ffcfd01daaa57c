package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// maxLines is where a file holds more than one idea.
const maxLines = 400

// longFiles may be longer, for the reason given.
var longFiles = map[string]string{}

// Lengths tells which files without tests are too long.
func Lengths(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.filter(func(string) bool { return true }) {
		for _, f := range p.Files {
			if f.Lines > maxLines && longFiles[f.Path] == "" {
				bad = append(bad, Violation{f.Path, f.Lines, fmt.Sprintf("more than %d lines: split it, or list it with the reason", maxLines)})
			}
		}
	}
	return bad
}

// badNames say nothing about what is inside.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "types", "misc", "base"}

// PackageNames tells which packages have a name that says nothing.
func PackageNames(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.filter(func(string) bool { return true }) {
		if slices.Contains(badNames, path.Base(p.Dir)) {
			bad = append(bad, t.at(p.Files[0].Syntax.Name, "package %s: name it after what it is for", p.Dir))
		}
	}
	return bad
}

// Sleeps tells where a test sleeps for real: a guess that is too short on a slow
// machine and too long on all others. In a synctest bubble sleeping is exact and
// free.
func Sleeps(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.Packages {
		for _, f := range p.Tests {
			_, bubbles := imports(f)["testing/synctest"]
			for _, decl := range f.Syntax.Decls {
				// A function that starts no bubble may be called in one, unless it is a test.
				if bubbles && (!isTest(decl) || calls(decl, "synctest", "Test") != nil) {
					continue
				}
				if sleep := sleeps(decl); sleep != nil {
					bad = append(bad, t.at(sleep, "a test sleeps: wait for what it waits for, or use synctest"))
				}
			}
		}
	}
	return bad
}

// sleeps returns a call of time.Sleep below n, or a bare wait for time.After, which
// is the same. As a case of a select it is a time limit.
func sleeps(n ast.Node) (found ast.Node) {
	if found = calls(n, "time", "Sleep"); found != nil {
		return found
	}
	limits := make(map[ast.Stmt]bool)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CommClause:
			limits[n.Comm] = true
		case *ast.ExprStmt:
			if wait, ok := n.X.(*ast.UnaryExpr); ok && !limits[n] && calls(wait, "time", "After") != nil {
				found = n
			}
		}
		return true
	})
	return found
}

func isTest(decl ast.Decl) bool {
	f, ok := decl.(*ast.FuncDecl)
	return ok && f.Recv == nil && regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)`).MatchString(f.Name.Name)
}

// calls returns a use of pkg.name below n.
func calls(n ast.Node, pkg, name string) (found ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		s, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := s.X.(*ast.Ident); ok && x.Name == pkg && s.Sel.Name == name {
			found = s
		}
		return true
	})
	return found
}

// Inits tells where the library does something by merely being imported.
func Inits(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.library() {
		for _, f := range p.Files {
			for _, decl := range f.Syntax.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					bad = append(bad, t.at(fn, "init: whoever imports a package has not asked for anything yet"))
				}
			}
		}
	}
	return bad
}

// strangers are words that mean nothing to those who use or read the library:
// notes to ourselves, and traces of where and how it was written.
var strangers = map[string]*regexp.Regexp{
	"unfinished":              regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`),
	"a number in our tracker": regexp.MustCompile(`(?i)\bissues? ?#?\d+\b|\bGH-\d+\b`),
	"a label of our notes":    regexp.MustCompile(`(?i)\b(trap|defect|goal|milestone)s?:? [A-Z]\d+\b`),
	"a path of one machine":   regexp.MustCompile(`(/root|/home/[a-z]+)/[a-z]`),
}

// Strangers tells where such words stand.
func Strangers(t *Tree) []Violation {
	var bad []Violation
	for _, text := range t.Texts {
		if within(path.Dir(text.Path), "internal/archtest") {
			continue // names them
		}
		for i, line := range strings.Split(text.Content, "\n") {
			for what, pattern := range strangers {
				if word := pattern.FindString(line); word != "" {
					bad = append(bad, Violation{text.Path, i + 1, fmt.Sprintf("%q: %s", word, what)})
				}
			}
		}
	}
	return bad
}
