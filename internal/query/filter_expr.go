package query

// expression is conditions put together: && binds more tightly than ||, and parentheses more than both.
type expression struct {
	kind      expressionKind
	condition int // its number, of a leaf
	sides     []expression
}

type expressionKind int

const (
	leaf expressionKind = iota
	allOf
	anyOf
)

// holds says whether the expression is true, given whether each condition is.
func (e *expression) holds(condition func(int) bool) bool {
	switch e.kind {
	case allOf:
		for i := range e.sides {
			if !e.sides[i].holds(condition) {
				return false
			}
		}
		return true
	case anyOf:
		for i := range e.sides {
			if e.sides[i].holds(condition) {
				return true
			}
		}
		return false
	}
	return condition(e.condition)
}

// parser reads an expression from tokens. Each kind of pattern has its own conditions.
type parser struct {
	tokens []token // the last is tokenEnd
	// condition reads the condition at the front of the tokens and says its number, and how many tokens it is made of.
	condition func([]token) (number, length int, err *SyntaxError)
}

func (p *parser) is(kind tokenKind) bool {
	if p.tokens[0].kind != kind {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func (p *parser) unexpected() *SyntaxError { return &SyntaxError{Offset: p.tokens[0].at} }

func (p *parser) expression() (expression, *SyntaxError) {
	return p.joined(tokenOr, anyOf, func() (expression, *SyntaxError) {
		return p.joined(tokenAnd, allOf, p.operand)
	})
}

// joined reads one or more sides with a token between them.
func (p *parser) joined(between tokenKind, kind expressionKind, side func() (expression, *SyntaxError)) (expression, *SyntaxError) {
	var sides []expression
	for {
		e, err := side()
		if err != nil {
			return e, err
		}
		sides = append(sides, e)
		if !p.is(between) {
			break
		}
	}
	if len(sides) == 1 {
		return sides[0], nil
	}
	return expression{kind: kind, sides: sides}, nil
}

func (p *parser) operand() (expression, *SyntaxError) {
	if p.is(tokenOpen) {
		e, err := p.expression()
		if err == nil && !p.is(tokenClose) {
			err = p.unexpected()
		}
		return e, err
	}
	number, length, err := p.condition(p.tokens)
	if err != nil {
		return expression{}, err
	}
	p.tokens = p.tokens[length:]
	return expression{condition: number}, nil
}
