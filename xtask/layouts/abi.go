// Where a function takes its arguments and leaves its results: Go's ABIInternal on amd64, as in the Go repository's
// src/cmd/compile/abi-internal.md ("Function call argument and result passing").
package main

import (
	"fmt"
	"go/types"
	"strings"
)

var sizes = types.SizesFor("gc", "amd64")

// Integer registers in the order of their use, and the number of those for floating point (X0 to X14).
var integers = []string{"AX", "BX", "CX", "DI", "SI", "R8", "R9", "R10", "R11"}

const floats = 15

// Registers used so far.
type used struct{ integers, floats int }

// `name=AX:BX` in registers, `name=stack+16` from the stack pointer at the first instruction and at a RET, `name=-` without
// size; values without a name are numbered. Empty text: nothing; `?`: a type is not known, and so are the places behind it.
func places(signature *types.Signature, own *types.Package) (string, string) {
	var arguments []*types.Var
	if signature.Recv() != nil {
		arguments = append(arguments, signature.Recv())
	}
	for i := 0; i < signature.Params().Len(); i++ {
		arguments = append(arguments, signature.Params().At(i))
	}
	var results []*types.Var
	for i := 0; i < signature.Results().Len(); i++ {
		results = append(results, signature.Results().At(i))
	}
	// The return address is on the stack.
	stack := int64(8)
	before, known := sequence(arguments, &stack, own)
	if !known {
		return before, "?"
	}
	// The results' part of the stack begins at a whole word, their registers at the first.
	stack = align(stack, 8)
	after, _ := sequence(results, &stack, own)
	return before, after
}

func sequence(values []*types.Var, stack *int64, own *types.Package) (string, bool) {
	var places []string
	var registers used
	for i, value := range values {
		name := value.Name()
		if name == "" || name == "_" {
			name = fmt.Sprint(i)
		}
		if !sure(value.Type(), own) {
			return strings.Join(append(places, "?"), " "), false
		}
		size := sizes.Sizeof(value.Type())
		if size == 0 {
			places = append(places, name+"=-")
			continue
		}
		// A value stands in registers as a whole or not at all; those behind it may still use what is left.
		if taken, ok := registers.assign(value.Type()); ok {
			places = append(places, name+"="+strings.Join(taken, ":"))
			continue
		}
		*stack = align(*stack, sizes.Alignof(value.Type()))
		places = append(places, fmt.Sprintf("%s=stack+%d", name, *stack))
		*stack += size
	}
	return strings.Join(places, " "), true
}

func align(at, to int64) int64 {
	return (at + to - 1) / to * to
}

func (u *used) assign(of types.Type) ([]string, bool) {
	after := *u
	var taken []string
	for _, float := range words(of) {
		switch {
		case float && after.floats < floats:
			taken = append(taken, fmt.Sprintf("X%d", after.floats))
			after.floats++
		case !float && after.integers < len(integers):
			taken = append(taken, integers[after.integers])
			after.integers++
		default:
			return nil, false
		}
	}
	*u = after
	return taken, true
}

// The registers that a type wants, true for one of floating point; more than there are for an array of several elements,
// which never stands in registers.
func words(of types.Type) []bool {
	switch t := of.Underlying().(type) {
	case *types.Basic:
		switch {
		case t.Info()&types.IsString != 0:
			return []bool{false, false}
		case t.Info()&types.IsFloat != 0:
			return []bool{true}
		case t.Info()&types.IsComplex != 0:
			return []bool{true, true}
		}
	case *types.Interface:
		return make([]bool, 2)
	case *types.Slice:
		return make([]bool, 3)
	case *types.Array:
		switch t.Len() {
		case 0:
			return nil
		case 1:
			return words(t.Elem())
		}
		return make([]bool, len(integers)+1)
	case *types.Struct:
		var all []bool
		for i := 0; i < t.NumFields(); i++ {
			all = append(all, words(t.Field(i).Type())...)
		}
		return all
	}
	return []bool{false}
}
