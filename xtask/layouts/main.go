// Reads what a hook must know of a Go package from its source: offsets of struct members, and where functions take their
// arguments and leave their results.
//
// In: the package's folder; on standard input lines `struct NAME MEMBER...` and `function NAME`. Out: lines
// `member STRUCT MEMBER OFFSET` and `function NAME | ARGUMENTS | RESULTS | SIGNATURE`, for linux/amd64. Nothing is built or
// run. Imports are not followed, except for time and context: what depends on the size of another type is left out.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: layouts FOLDER < QUESTIONS")
		os.Exit(2)
	}
	source, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		words := strings.Fields(questions.Text())
		switch {
		case len(words) > 1 && words[0] == "struct":
			members(source.pkg, words[1], words[2:])
		case len(words) == 2 && words[0] == "function":
			source.function(words[1])
		}
	}
}

// A package, type-checked without the bodies of its functions.
type source struct {
	pkg       *types.Package
	files     *token.FileSet
	functions map[string]*ast.FuncDecl
	objects   map[*ast.Ident]types.Object
}

func read(folder string) (*source, error) {
	context := build.Default
	context.GOOS, context.GOARCH, context.CgoEnabled = "linux", "amd64", true
	found, err := context.ImportDir(folder, 0)
	if err != nil {
		return nil, err
	}
	s := &source{files: token.NewFileSet(), functions: map[string]*ast.FuncDecl{}, objects: map[*ast.Ident]types.Object{}}
	var files []*ast.File
	var hidden []pointer
	for _, name := range append(found.GoFiles, found.CgoFiles...) {
		file, err := parser.ParseFile(s.files, filepath.Join(folder, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		hidden = append(hidden, pointersToC(file)...)
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok {
				s.functions[nameOf(function)] = function
			}
		}
	}
	checker := types.Config{
		Importer:         imports{importer.ForCompiler(s.files, "source", nil), map[string]*types.Package{}},
		Sizes:            types.SizesFor("gc", "amd64"),
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		// Names of packages that are not followed; their types are invalid and nothing is said of them.
		Error: func(error) {},
	}
	s.pkg, _ = checker.Check(found.Name, s.files, files, &types.Info{Defs: s.objects})
	for _, of := range hidden {
		of.star.X = of.to
	}
	return s, nil
}

// A pointer and what it points to.
type pointer struct {
	star *ast.StarExpr
	to   ast.Expr
}

// Pointers to types of C are pointers to bytes while types are checked: C is not followed, and a pointer's size does not depend on it.
func pointersToC(file *ast.File) []pointer {
	var found []pointer
	ast.Inspect(file, func(node ast.Node) bool {
		star, ok := node.(*ast.StarExpr)
		if !ok {
			return true
		}
		if of, ok := star.X.(*ast.SelectorExpr); ok {
			if pkg, ok := of.X.(*ast.Ident); ok && pkg.Name == "C" {
				found = append(found, pointer{star, star.X})
				star.X = &ast.Ident{NamePos: star.X.Pos(), Name: "byte"}
			}
		}
		return true
	})
	return found
}

// As the linker calls it: `(*Reader).FetchMessage`, `Message.String`, `NewReader`.
func nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil || len(function.Recv.List) != 1 {
		return function.Name.Name
	}
	switch receiver := function.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		if name, ok := receiver.X.(*ast.Ident); ok {
			return "(*" + name.Name + ")." + function.Name.Name
		}
	case *ast.Ident:
		return receiver.Name + "." + function.Name.Name
	}
	return "" // generic
}

// time, context and sync/atomic from the Go library's source; every other package is empty, but for an interface whose size needs no more.
type imports struct {
	library types.Importer
	empty   map[string]*types.Package
}

func (i imports) Import(of string) (*types.Package, error) {
	if of == "time" || of == "context" || of == "sync/atomic" {
		return i.library.Import(of)
	}
	if i.empty[of] == nil {
		i.empty[of] = types.NewPackage(of, path.Base(of))
		if of == "net" {
			address := types.NewTypeName(token.NoPos, i.empty[of], "Addr", nil)
			types.NewNamed(address, types.NewInterfaceType(nil, nil), nil)
			i.empty[of].Scope().Insert(address)
		}
		i.empty[of].MarkComplete()
	}
	return i.empty[of], nil
}

// Whether the size of a type follows from the package alone. time.Time has had one layout since Go 1.9, the types of sync/atomic since they are there.
func sure(of types.Type, own *types.Package) bool {
	switch t := of.Underlying().(type) {
	case *types.Basic:
		return t.Kind() != types.Invalid
	case *types.Struct:
		if named, ok := types.Unalias(of).(*types.Named); ok && named.Obj().Pkg() != own && named.String() != "time.Time" {
			return named.Obj().Pkg().Path() == "sync/atomic"
		}
		for i := 0; i < t.NumFields(); i++ {
			if !sure(t.Field(i).Type(), own) {
				return false
			}
		}
		return true
	case *types.Array:
		return sure(t.Elem(), own)
	case *types.Pointer, *types.Slice, *types.Map, *types.Chan, *types.Signature, *types.Interface:
		return true
	}
	return false
}

func members(pkg *types.Package, name string, wanted []string) {
	object, ok := pkg.Scope().Lookup(name).(*types.TypeName)
	if !ok {
		return
	}
	structure, ok := object.Type().Underlying().(*types.Struct)
	if !ok {
		return
	}
	// Up to the first field whose type is not known. That one's place is, when a word is part of it: no type is aligned to more.
	var fields []*types.Var
	whole := true
	for i := 0; i < structure.NumFields() && whole; i++ {
		field := structure.Field(i)
		if whole = sure(field.Type(), pkg); whole || hasWord(field.Type(), pkg) {
			fields = append(fields, field)
		}
	}
	offsets := sizes.Offsetsof(fields)
	for _, member := range wanted {
		if member == "sizeof" && whole {
			fmt.Println("member", name, member, sizes.Sizeof(structure))
		}
		for i, field := range fields {
			if field.Name() == member {
				fmt.Println("member", name, member, offsets[i])
			}
		}
	}
}

// Whether a struct of the package has a field of a known type that is aligned to a word.
func hasWord(of types.Type, own *types.Package) bool {
	structure, ok := of.Underlying().(*types.Struct)
	if named, is := types.Unalias(of).(*types.Named); !ok || is && named.Obj().Pkg() != own {
		return false
	}
	for i := 0; i < structure.NumFields(); i++ {
		field := structure.Field(i).Type()
		if sure(field, own) && sizes.Alignof(field) == 8 {
			return true
		}
	}
	return false
}

func (s *source) function(name string) {
	declared := s.functions[name]
	if declared == nil {
		return
	}
	function, ok := s.objects[declared.Name].(*types.Func)
	if !ok {
		return
	}
	signature := function.Type().(*types.Signature)
	arguments, results := places(signature, s.pkg)
	var text bytes.Buffer
	printer.Fprint(&text, s.files, declared.Type)
	// On one line, however it was broken.
	line := strings.Join(strings.Fields(text.String()), " ")
	line = strings.NewReplacer("( ", "(", ", )", ")").Replace(line)
	fmt.Printf("function %s | %s | %s | %s\n", name, arguments, results, line)
}
