package presto

// query is a SELECT, or several that are put together, with what orders and cuts the whole.
type query struct {
	with  []withQuery
	body  any // *selection, *setOperation or *query
	order []sortItem
	limit int64 // -1 is none
	at    position
}

type withQuery struct {
	name  string // in lower case
	query *query
	at    position
}

type setOperation struct {
	op          string // UNION, EXCEPT or INTERSECT
	all         bool
	left, right any
	at          position
}

type selection struct {
	distinct bool
	items    []item
	from     any // *tableName, *subquery or *join
	where    expr
	group    []expr
	having   expr
	at       position
}

// item is what is selected: an expression, or all columns, of one relation or of all.
type item struct {
	expr      expr
	alias     string
	all       bool
	qualifier string
	at        position
}

type sortItem struct {
	expr       expr
	descending bool
	nullsFirst bool
}

type tableName struct {
	name  string // in lower case unless it was quoted
	alias string
	at    position
}

type subquery struct {
	query *query
	alias string
	at    position
}

type join struct {
	kind        string // INNER, LEFT or RIGHT
	left, right any
	on          expr
	at          position
}

// expr is an expression.
type expr interface{ place() position }

func (p position) place() position { return p }

type (
	nullLit struct{ position }
	boolLit struct {
		position
		value bool
	}
	intLit struct {
		position
		value int64
	}
	floatLit struct {
		position
		value float64
	}
	textLit struct {
		position
		value string
	}
	// typedLit is TIMESTAMP '…', DATE '…', JSON '…' and INTERVAL '…' unit.
	typedLit struct {
		position
		kind, value, unit string
		negative          bool
	}
	// name is a name, or several with dots between.
	name struct {
		position
		parts []string
	}
	fieldOf struct {
		position
		base expr
		name string
	}
	subscript struct {
		position
		base, index expr
	}
	callOf struct {
		position
		name     string // in lower case
		args     []expr
		star     bool
		distinct bool
	}
	negation struct {
		position
		x expr
	}
	binary struct {
		position
		op          string
		left, right expr
	}
	// logical is a chain of AND or of OR.
	logical struct {
		position
		op    string
		terms []expr
	}
	not struct {
		position
		x expr
	}
	isNull struct {
		position
		x       expr
		negated bool
	}
	distinctFrom struct {
		position
		left, right expr
		negated     bool
	}
	between struct {
		position
		x, low, high expr
		negated      bool
	}
	inList struct {
		position
		x       expr
		list    []expr
		negated bool
	}
	like struct {
		position
		x, pattern, escape expr
		negated            bool
	}
	caseOf struct {
		position
		operand    expr // nil for CASE WHEN
		when, then []expr
		otherwise  expr
	}
	castOf struct {
		position
		x   expr
		to  Type
		try bool
	}
	arrayOf struct {
		position
		items []expr
	}
)
