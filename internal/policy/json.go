package policy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// node is a JSON value.
type node struct {
	kind    jsontext.Kind // '{', '[', '"', '0', 't', 'f' or 'n'
	text    string        // of a string, a number or a Boolean
	items   []node        // of an array
	members []member      // of an object, in the order of the text; their names are unique
}

type member struct {
	name  string
	value node
}

// parseJSON reads one JSON value and nothing after it.
func parseJSON(text string) (node, error) {
	if err := checkCharacters(text); err != nil {
		return node{}, err
	}
	d := jsontext.NewDecoder(strings.NewReader(text))
	root, err := readNode(d)
	if err == nil {
		if _, err = d.ReadToken(); err == io.EOF {
			return root, nil
		}
		if err == nil {
			err = &jsontext.SyntacticError{ByteOffset: d.InputOffset(), Err: errors.New("text after the policy")}
		}
	}
	return node{}, invalidJSON(text, err)
}

func readNode(d *jsontext.Decoder) (node, error) {
	t, err := d.ReadToken()
	if err != nil {
		return node{}, err
	}
	n := node{kind: t.Kind()}
	switch n.kind {
	case '{':
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return node{}, err
			}
			m := member{name: name.String()}
			if m.value, err = readNode(d); err != nil {
				return node{}, err
			}
			n.members = append(n.members, m)
		}
		_, err = d.ReadToken()
	case '[':
		for d.PeekKind() != ']' {
			item, err := readNode(d)
			if err != nil {
				return node{}, err
			}
			n.items = append(n.items, item)
		}
		_, err = d.ReadToken()
	default:
		n.text = t.String()
	}
	return n, err
}

// checkCharacters holds the text to the characters that PutKeyPolicy allows: tab, line feed, carriage return, and from
// space to U+00FF.
func checkCharacters(text string) error {
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			return malformed(position(text, i), "This policy contains characters that are not valid UTF-8")
		case r == '\t' || r == '\n' || r == '\r' || ' ' <= r && r <= '\u00ff':
		default:
			return malformed(position(text, i), "This policy contains the character %U, which is not allowed", r)
		}
	}
	return nil
}

func invalidJSON(text string, err error) error {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) { // the text ends before the value does
		return malformed(position(text, len(text)), "This policy contains invalid Json")
	}
	at := position(text, min(int(syntax.ByteOffset), len(text)))
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return badSyntax("the field %s is there twice (%s)", syntax.JSONPointer.LastToken(), at)
	}
	return malformed(at, "This policy contains invalid Json")
}

// position tells an offset in the way that editors do.
func position(text string, offset int) string {
	before := text[:offset]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return fmt.Sprintf("line %d, column %d", line, column)
}
