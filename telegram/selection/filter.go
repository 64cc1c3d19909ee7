package selection

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/tghaul/haul/telegram"
)

// A Filter is an expression about a file and its message, such as
//
//	size > 50*MB and (name endsWith ".mkv" or text contains "lecture")
//
// in the language of github.com/expr-lang/expr, without what could make one
// expensive: no loops, no variables, no ranges, and patterns are constant. So
// one takes time in proportion to its length and that of the texts it looks at.
// A Filter is safe for concurrent use.
type Filter struct {
	text    string // as it was written
	moments string // what since(…) in it means: that depends on when and where it is read
	program *vm.Program
}

// Bounds of expressions.
const (
	maxExpression = 4096 // bytes
	maxNodes      = 500
	maxMemory     = 10_000 // of the machine that runs it, in its own unit
)

// Fields are what an expression may look at.
type Fields struct {
	ID       int       `expr:"id"`       // of the message
	Date     time.Time `expr:"date"`     // of the message, in the time zone of the computer
	Text     string    `expr:"text"`     // of the message, or its caption
	Chat     string    `expr:"chat"`     // username, or title
	ChatID   int       `expr:"chat_id"`  // marked: -100…
	Topic    int       `expr:"topic"`    // of a forum; 0: General
	Album    bool      `expr:"album"`    // the message belongs to one
	ReplyTo  int       `expr:"reply_to"` // id of the message that it answers; 0: none
	Views    int       `expr:"views"`
	Comments int       `expr:"comments"` // on a post
	Out      bool      `expr:"out"`      // sent by this account
	Name     string    `expr:"name"`     // of the file, as its sender called it
	Ext      string    `expr:"ext"`      // jpg: what stands behind the last dot of the name, in lower case
	Size     int       `expr:"size"`     // bytes
	Type     string    `expr:"type"`     // as for --type
	Mime     string    `expr:"mime"`
	Width    int       `expr:"width"` // pixels; 0: unknown
	Height   int       `expr:"height"`
	Duration float64   `expr:"duration"` // seconds; 0: unknown
	DC       int       `expr:"dc"`

	KB int `expr:"KB"`
	MB int `expr:"MB"`
	GB int `expr:"GB"`
}

// ParseFilter checks an expression: that it is one, that its fields exist and
// its types fit, and that it is bounded. since("7d") and since("2025-01-31")
// in it are moments, as for ParseBound.
func ParseFilter(text string, now time.Time) (*Filter, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("longer than %d bytes", maxExpression)
	}
	bounds := &boundedness{now: now}
	program, err := expr.Compile(text,
		expr.Env(Fields{}), expr.AsBool(), expr.MaxNodes(maxNodes), expr.DisableAllBuiltins(),
		expr.EnableBuiltin("len"), expr.EnableBuiltin("lower"), expr.EnableBuiltin("upper"), expr.EnableBuiltin("trim"),
		expr.EnableBuiltin("abs"), expr.EnableBuiltin("hasPrefix"), expr.EnableBuiltin("hasSuffix"),
		expr.Function("since", func(params ...any) (any, error) {
			text, _ := params[0].(string)
			return since(text, now)
		}, new(func(string) time.Time)),
		expr.Patch(bounds),
	)
	if bounds.err != nil {
		return nil, bounds.err
	}
	if err != nil {
		return nil, explain(err)
	}
	return &Filter{text: text, moments: strings.Join(bounds.moments, ","), program: program}, nil
}

// explain keeps what the library says of an error, and its place.
func explain(err error) error {
	return errors.New(strings.TrimSpace(strings.ReplaceAll(err.Error(), "\n", "\n  ")))
}

func since(text string, now time.Time) (time.Time, error) {
	first, _, ok := parseMoment(text, now)
	if !ok {
		return first, fmt.Errorf("since(%q): want a date such as 2025-01-31, or a time ago such as 7d", clip(text))
	}
	return first, nil
}

// boundedness finds what an expression must not have. The first finding counts.
type boundedness struct {
	now     time.Time
	moments []string // what since(…) means, each once
	err     error
}

// Visit implements ast.Visitor.
func (b *boundedness) Visit(node *ast.Node) {
	if b.err != nil {
		return
	}
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		_, constant := n.Right.(*ast.StringNode)
		switch {
		case n.Operator == "..":
			b.err = errors.New("ranges (..) are not offered: write size >= 1 and size <= 9")
		case n.Operator == "matches" && !constant:
			b.err = errors.New("what stands behind matches must be a text in quotes")
		case n.Operator == "matches":
			s, _ := n.Right.(*ast.StringNode)
			if _, err := regexp.Compile(s.Value); err != nil {
				b.err = err
			}
		}
	case *ast.PredicateNode:
		b.err = errors.New("loops over lists (all, any, filter, map and the like) are not offered")
	case *ast.VariableDeclaratorNode:
		b.err = errors.New("variables (let) are not offered")
	case *ast.CallNode:
		b.call(n)
	}
}

// call checks the moments that are written as text.
func (b *boundedness) call(n *ast.CallNode) {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || name.Value != "since" || len(n.Arguments) != 1 {
		return
	}
	text, constant := n.Arguments[0].(*ast.StringNode)
	if !constant {
		b.err = errors.New("since needs a text in quotes")
		return
	}
	moment, err := since(text.Value, b.now)
	if b.err = err; err != nil {
		return
	}
	if at := moment.UTC().Format(time.RFC3339); !slices.Contains(b.moments, at) { // a node may be visited again
		b.moments = append(b.moments, at)
	}
}

// Match evaluates the expression for a file of a message.
func (f *Filter) Match(m *telegram.Message, file *telegram.File) (bool, error) {
	machine := vm.VM{MemoryBudget: maxMemory}
	result, err := machine.Run(f.program, fieldsOf(m, file))
	if err != nil {
		return false, fmt.Errorf("filter, message %d: %w", m.ID, explain(err))
	}
	yes, _ := result.(bool) // the program was compiled to be one
	return yes, nil
}

func fieldsOf(m *telegram.Message, f *telegram.File) Fields {
	chat := m.Peer.Username
	if chat == "" {
		chat = m.Peer.Title
	}
	return Fields{
		ID: m.ID, Date: m.Date.Local(), Text: m.Text, Chat: chat, ChatID: int(m.Peer.MarkedID()), Topic: m.Topic,
		Album: m.GroupedID != 0, ReplyTo: m.ReplyTo, Views: m.Views, Comments: m.Comments, Out: m.Out,
		Name: f.Name, Ext: strings.ToLower(strings.TrimPrefix(path.Ext(f.Name), ".")), Size: int(f.Size), Type: KindName(f.Kind),
		Mime: f.MimeType, Width: f.W, Height: f.H, Duration: f.Duration.Seconds(), DC: f.DC,
		KB: 1 << 10, MB: 1 << 20, GB: 1 << 30,
	}
}
