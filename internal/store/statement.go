package store

import (
	"errors"
	"fmt"
	"strings"
)

// Dialect is how an engine writes what the common subset calls TEXT, BIGINT, DOUBLE PRECISION and BYTEA, and
// what it wants at the end of a CREATE TABLE.
type Dialect struct {
	Text, BigInt, Double, Bytea string
	TableOptions                string
}

// translate splits the statements of a migration step and puts the dialect's column types into those that make tables.
func translate(step string, dialect Dialect) ([]string, error) {
	tokens, err := tokenize(step)
	if err != nil {
		return nil, err
	}
	var statements []string
	for _, statement := range split(tokens) {
		if err := dialect.apply(statement); err != nil {
			return nil, err
		}
		statements = append(statements, strings.Trim(join(statement), spaces))
	}
	if len(statements) == 0 {
		return nil, errors.New("there is no statement")
	}
	return statements, nil
}

// apply changes the tokens of a CREATE TABLE or an ALTER TABLE … ADD COLUMN. It leaves other statements alone.
func (d Dialect) apply(statement []token) error {
	words := meaningful(statement)
	switch {
	case words.are("CREATE", "TABLE"):
		return d.createTable(words)
	case words.are("ALTER", "TABLE"):
		return d.alterTable(words)
	}
	return nil
}

// createTable translates CREATE TABLE name ( column type …, …, constraint … ).
func (d Dialect) createTable(words phrase) error {
	open := 0
	for open < len(words) && words[open].text != "(" {
		open++
	}
	if open == len(words) || words[open-1].is("AS") {
		return errors.New("CREATE TABLE has no list of columns")
	}
	depth, item := 0, true // item: the next token begins a column or a constraint
	for i := open; i < len(words); i++ {
		switch w := words[i]; {
		case w.text == "(":
			depth++
		case item && !w.isOneOf("PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT"):
			if err := d.column(words[i:]); err != nil {
				return err
			}
			item = false
		case w.text == ",":
			item = depth == 1
		case w.text == ")":
			depth--
			if depth == 0 && i != len(words)-1 {
				return errors.New("CREATE TABLE has something behind its list of columns")
			}
		default:
			item = false
		}
	}
	if depth != 0 {
		return errors.New("CREATE TABLE's list of columns does not end")
	}
	words[len(words)-1].text += d.TableOptions
	return nil
}

// alterTable translates ALTER TABLE name ADD [COLUMN] column type.
func (d Dialect) alterTable(words phrase) error {
	if len(words) < 5 || !words[3].is("ADD") {
		return nil
	}
	words = words[4:]
	if words[0].is("COLUMN") {
		words = words[1:]
	}
	return d.column(words)
}

// column translates the type of the column that the words begin with.
func (d Dialect) column(words phrase) error {
	if len(words) < 2 || words[0].kind == other {
		return errors.New("a column lacks its name or type")
	}
	switch typ := words[1]; {
	case typ.is("TEXT"):
		typ.text = d.Text
	case typ.is("BIGINT"):
		typ.text = d.BigInt
	case typ.is("BYTEA"):
		typ.text = d.Bytea
	case typ.is("DOUBLE") && len(words) > 2 && words[2].is("PRECISION"):
		typ.text, words[2].text = d.Double, ""
	default:
		return fmt.Errorf("column %s is a %s, not TEXT, BIGINT, DOUBLE PRECISION or BYTEA", words[0].text, typ.text)
	}
	return nil
}

// token is a piece of SQL: a word (a name or number), something in quotes, a single other character, or space, which comments are too.
type token struct {
	kind tokenKind
	text string
}

type tokenKind byte

const (
	space tokenKind = iota
	word
	quoted
	other
)

// is says whether the token is a word, in whatever case.
func (t *token) is(name string) bool { return t.kind == word && strings.EqualFold(t.text, name) }

func (t *token) isOneOf(names ...string) bool {
	for _, name := range names {
		if t.is(name) {
			return true
		}
	}
	return false
}

// phrase is the tokens of a statement that are not space.
type phrase []*token

func meaningful(statement []token) phrase {
	var words phrase
	for i := range statement {
		if statement[i].kind != space {
			words = append(words, &statement[i])
		}
	}
	return words
}

// are says whether the phrase begins with these words.
func (p phrase) are(names ...string) bool {
	if len(p) < len(names) {
		return false
	}
	for i, name := range names {
		if !p[i].is(name) {
			return false
		}
	}
	return true
}

// split cuts tokens into statements at semicolons. Statements without content are left out.
func split(tokens []token) [][]token {
	var statements [][]token
	for len(tokens) > 0 {
		end := 0
		for end < len(tokens) && tokens[end].text != ";" {
			end++
		}
		if len(meaningful(tokens[:end])) > 0 {
			statements = append(statements, tokens[:end])
		}
		tokens = tokens[min(end+1, len(tokens)):]
	}
	return statements
}

func join(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// tokenize cuts SQL into tokens, which joined are the SQL again. It follows what SQLite and PostgreSQL have in common:
// 'text' and "name" with doubled quotes inside, -- and /* comments */ that do not nest.
func tokenize(sql string) ([]token, error) {
	var tokens []token
	for len(sql) > 0 {
		kind, n, err := next(sql)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token{kind, sql[:n]})
		sql = sql[n:]
	}
	return tokens, nil
}

// next is the kind and length of the first token.
func next(sql string) (kind tokenKind, n int, err error) {
	switch c := sql[0]; {
	case strings.HasPrefix(sql, "--"):
		if end := strings.IndexByte(sql, '\n'); end >= 0 {
			return space, end + 1, nil
		}
		return space, len(sql), nil
	case strings.HasPrefix(sql, "/*"):
		if end := strings.Index(sql[2:], "*/"); end >= 0 {
			return space, end + 4, nil
		}
		return 0, 0, errors.New("a comment does not end")
	case c == '\'' || c == '"':
		for n = 1; n < len(sql); n++ {
			if sql[n] != c {
				continue
			}
			if n+1 == len(sql) || sql[n+1] != c {
				return quoted, n + 1, nil
			}
			n++ // a doubled quote stands for itself
		}
		return 0, 0, errors.New("a quote does not end")
	case isSpace(c):
		for n < len(sql) && isSpace(sql[n]) {
			n++
		}
		return space, n, nil
	case isWord(c):
		for n < len(sql) && isWord(sql[n]) {
			n++
		}
		return word, n, nil
	}
	return other, 1, nil
}

// spaces is what SQL takes as space.
const spaces = " \t\r\n\f"

func isSpace(c byte) bool { return strings.IndexByte(spaces, c) >= 0 }

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
