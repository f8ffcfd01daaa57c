package archtest

import (
	"go/ast"
	"go/doc"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PackageComments tells which packages lack a comment, or repeat it.
func PackageComments(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.filter(func(string) bool { return true }) {
		var commented []*File
		for _, f := range p.Files {
			if f.Syntax.Doc != nil {
				commented = append(commented, f)
			}
		}
		switch {
		case len(commented) == 0:
			bad = append(bad, t.at(p.Files[0].Syntax.Name, "package %s has no comment", p.Dir))
		case len(commented) > 1:
			bad = append(bad, t.at(commented[1].Syntax, "a second comment of package %s", p.Dir))
		case !strings.HasPrefix(commented[0].Syntax.Doc.Text(), opening(commented[0].Syntax.Name.Name)):
			bad = append(bad, t.at(commented[0].Syntax, "the package comment does not begin with %q", opening(commented[0].Syntax.Name.Name)))
		}
	}
	return bad
}

func opening(name string) string {
	if name == "main" {
		return "Command "
	}
	return "Package " + name + " "
}

// DocComments tells which exported names lack a comment.
func DocComments(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.filter(func(string) bool { return true }) {
		for _, f := range p.Files {
			for _, decl := range f.Syntax.Decls {
				for _, name := range undocumented(decl) {
					bad = append(bad, t.at(name, "exported %s has no comment", name.Name))
				}
			}
		}
	}
	return bad
}

func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && receiverIsExported(d) {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		return undocumentedSpecs(d)
	}
	return nil
}

// undocumentedSpecs lets the comment of a group of constants or variables stand
// for its members.
func undocumentedSpecs(d *ast.GenDecl) []*ast.Ident {
	var bad []*ast.Ident
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				bad = append(bad, s.Name)
			}
		case *ast.ValueSpec:
			if d.Doc != nil || s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() {
					bad = append(bad, name)
				}
			}
		}
	}
	return bad
}

// receiverIsExported is true for functions, too.
func receiverIsExported(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	expr := d.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return true
		}
	}
}

// ConstructorExamples tells which exported constructors of the library no
// runnable Example calls.
func ConstructorExamples(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.library() {
		called := shown(p)
		for _, f := range p.Files {
			for _, decl := range f.Syntax.Decls {
				if name, ok := constructor(decl); ok && !called[name.Name] {
					bad = append(bad, t.at(name, "no Example with an Output calls %s", name.Name))
				}
			}
		}
	}
	return bad
}

// constructor returns the name of an exported New or New<Type>.
func constructor(decl ast.Decl) (*ast.Ident, bool) {
	f, ok := decl.(*ast.FuncDecl)
	if !ok || f.Recv != nil {
		return nil, false
	}
	rest, ok := strings.CutPrefix(f.Name.Name, "New")
	if !ok {
		return nil, false
	}
	next, _ := utf8.DecodeRuneInString(rest)
	return f.Name, rest == "" || unicode.IsUpper(next)
}

// shown returns the names that the package's runnable Examples use.
func shown(p *Package) map[string]bool {
	names := make(map[string]bool)
	for _, f := range p.Tests {
		for _, example := range doc.Examples(f.Syntax) {
			if example.Output == "" && !example.EmptyOutput {
				continue
			}
			ast.Inspect(example.Code, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					names[id.Name] = true
				}
				return true
			})
		}
	}
	return names
}

// ConstructorResults tells which constructor New<Type> does not return its Type: one
// that returns another leaves no way to build what it is named after.
func ConstructorResults(t *Tree) []Violation {
	var bad []Violation
	for _, p := range t.filter(func(string) bool { return true }) {
		types := declaredTypes(p)
		for _, f := range p.Files {
			for _, decl := range f.Syntax.Decls {
				name, ok := constructor(decl)
				if !ok || !types[name.Name[len("New"):]] {
					continue
				}
				if want := name.Name[len("New"):]; want != firstResult(decl.(*ast.FuncDecl)) {
					bad = append(bad, t.at(name, "%s does not return a %s", name.Name, want))
				}
			}
		}
	}
	return bad
}

// declaredTypes returns the names of a package's types.
func declaredTypes(p *Package) map[string]bool {
	names := make(map[string]bool)
	for _, f := range p.Files {
		for _, decl := range f.Syntax.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					names[s.Name.Name] = true
				}
			}
		}
	}
	return names
}

// firstResult names the type of a function's first result, be it a pointer or one
// with parameters. It is empty for a type of another package.
func firstResult(f *ast.FuncDecl) string {
	if f.Type.Results == nil {
		return ""
	}
	expr := f.Type.Results.List[0].Type
	if star, ok := expr.(*ast.StarExpr); ok {
		expr = star.X
	}
	switch e := expr.(type) {
	case *ast.IndexExpr:
		expr = e.X
	case *ast.IndexListExpr:
		expr = e.X
	}
	if name, ok := expr.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
