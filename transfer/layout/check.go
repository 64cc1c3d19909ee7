package layout

import (
	"fmt"
	"reflect"
	"text/template/parse"
)

// checkFields finds fields that files do not have, also where no sample comes
// by. It passes over what is inside of with and range, where a dot stands for
// something else.
func checkFields(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			return checkAll(n.Nodes)
		}
	case *parse.ActionNode:
		return checkFields(n.Pipe)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			if err := checkAll(c.Args); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return checkAll([]parse.Node{n.Pipe, n.List, n.ElseList})
	case *parse.WithNode:
		return checkAll([]parse.Node{n.Pipe, n.ElseList})
	case *parse.RangeNode:
		return checkAll([]parse.Node{n.Pipe, n.ElseList})
	case *parse.FieldNode:
		return checkField(n.Ident[0])
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			return checkField(n.Ident[1])
		}
	}
	return nil
}

func checkAll(nodes []parse.Node) error {
	for _, n := range nodes {
		if err := checkFields(n); err != nil {
			return err
		}
	}
	return nil
}

func checkField(name string) error {
	if _, ok := reflect.TypeFor[fields]().FieldByName(name); !ok {
		return fmt.Errorf("files have no .%s; docs/guide.md lists what they have", name)
	}
	return nil
}
