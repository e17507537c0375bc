package presto

import (
	"strings"
)

// aFunction is a function of the dialect: how many arguments it takes, and what becomes of a call.
type aFunction struct {
	least, most int
	compile     func(c *compiler, e *callOf, args []val) (val, error)
}

func isAggregate(name string) bool {
	switch name {
	case "count", "sum", "min", "max", "avg":
		return true
	}
	return false
}

func (c *compiler) call(sc *scope, e *callOf) (val, error) {
	if isAggregate(e.name) {
		return c.aggregate(sc, e)
	}
	f, ok := dialect[e.name]
	if !ok {
		return val{}, failAt(e.position, "Function %s not registered", e.name)
	}
	if e.star || e.distinct {
		return val{}, failAt(e.position, "DISTINCT and * are not supported for non-aggregation functions")
	}
	args := make([]val, len(e.args))
	for i, a := range e.args {
		var err error
		if args[i], err = c.expr(sc, a); err != nil {
			return val{}, err
		}
	}
	if len(args) < f.least || f.most >= 0 && len(args) > f.most {
		return val{}, badArguments(e, args)
	}
	return f.compile(c, e, args)
}

func badArguments(e *callOf, args []val) error {
	var types []string
	for _, a := range args {
		types = append(types, a.typ.String())
	}
	return failAt(e.position, "Unexpected parameters (%s) for function %s", strings.Join(types, ", "), e.name)
}

func (c *compiler) aggregate(sc *scope, e *callOf) (val, error) {
	if !sc.aggregates {
		return val{}, failAt(e.position, "%s clause cannot contain aggregations, window functions or grouping operations: %s", sc.clause, e.name)
	}
	if sc.within {
		return val{}, failAt(e.position, "Cannot nest aggregations: '%s' is inside another", e.name)
	}
	if e.name == "count" && (e.star || len(e.args) == 0) && !e.distinct {
		sql := "COUNT(*)"
		if sc.weight != "" {
			sql = "COALESCE(SUM(" + sc.weight + "), 0)"
		}
		return val{sql: sql, typ: Of(Bigint), at: e.position, aggregate: true}, nil
	}
	within := *sc
	within.within = true
	args := make([]val, len(e.args))
	for i, a := range e.args {
		var err error
		if args[i], err = c.expr(&within, a); err != nil {
			return val{}, err
		}
	}
	if e.star || len(args) != 1 {
		return val{}, badArguments(e, args)
	}
	x := args[0]
	typ := Of(Bigint)
	switch e.name {
	case "sum", "avg":
		if !x.typ.isNumber() {
			return val{}, badArguments(e, args)
		}
		if typ = x.typ; e.name == "avg" {
			typ = Of(Double)
		}
	case "min", "max":
		if typ = x.typ; !typ.isOrdered() {
			return val{}, badArguments(e, args)
		}
	}
	return val{sql: aggregateSQL(e, x, sc.weight), typ: typ, at: e.position, aggregate: true}, nil
}

// aggregateSQL is an aggregate of rows, each of which stands for as many as its weight says.
func aggregateSQL(e *callOf, x val, weight string) string {
	name := strings.ToUpper(e.name)
	switch {
	case e.distinct:
		return name + "(DISTINCT " + x.sql + ")"
	case weight == "" || name == "MIN" || name == "MAX":
		return name + "(" + x.sql + ")"
	case name == "COUNT":
		return "COALESCE(SUM(" + weight + ") FILTER (WHERE " + x.sql + " IS NOT NULL), 0)"
	case name == "AVG":
		return "(SUM(vl_double(" + x.sql + ") * " + weight + ") / SUM(" + weight + ") FILTER (WHERE " + x.sql + " IS NOT NULL))"
	case x.typ.Kind == Double:
		return "SUM(" + x.sql + " * " + weight + ")"
	}
	return "SUM(vl_mul(" + x.sql + ", " + weight + "))"
}

// takes makes a function of arguments of given kinds, which is one of Go.
func takes(result Type, function string, kinds ...Kind) aFunction {
	return aFunction{len(kinds), len(kinds), func(c *compiler, e *callOf, args []val) (val, error) {
		for i, k := range kinds {
			if args[i].typ.Kind != k && args[i].typ.Kind != Unknown {
				return val{}, badArguments(e, args)
			}
		}
		return c.run(e.position, result, function, args...), nil
	}}
}

// dialect is the functions that there are, but for those that aggregate.
var dialect map[string]aFunction

func init() {
	now := func(kind Kind) aFunction {
		return aFunction{0, 0, func(c *compiler, e *callOf, _ []val) (val, error) {
			at := c.now
			if kind == Date {
				at -= mod(at, dayMillis)
			}
			return known(e.position, Of(kind), at), nil
		}}
	}
	varchar := Of(Varchar)
	dialect = map[string]aFunction{
		"current_timestamp": now(Timestamp), "now": now(Timestamp), "localtimestamp": now(Timestamp), "current_date": now(Date),
		"date":                   {1, 1, dateOf},
		"date_add":               {3, 3, dateAdd},
		"date_diff":              {3, 3, dateDiff},
		"date_trunc":             {2, 2, dateTrunc},
		"from_iso8601_timestamp": takes(Of(Timestamp), "vl_timestamp", Varchar),

		"element_at":     {2, 2, elementAt},
		"cardinality":    {1, 1, cardinality},
		"map_keys":       takes(ArrayOf(varchar), "vl_map_keys", Map),
		"map_values":     {1, 1, mapValues},
		"contains":       {2, 2, contains},
		"array_distinct": {1, 1, arrayDistinct},
		"array_max":      {1, 1, arrayExtreme},
		"array_min":      {1, 1, arrayExtreme},
		"slice":          {3, 3, slice},

		"json_parse":          takes(Of(JSON), "vl_json_parse", Varchar),
		"json_format":         takes(varchar, "vl_json_format", JSON),
		"is_json_scalar":      {1, 1, jsonFunction(Of(Boolean), "vl_is_json_scalar")},
		"json_extract":        {2, 2, jsonFunction(Of(JSON), "vl_json_extract", Varchar)},
		"json_extract_scalar": {2, 2, jsonFunction(varchar, "vl_json_extract_scalar", Varchar)},
		"json_array_contains": {2, 2, jsonArrayContains},
		"json_array_get":      {2, 2, jsonFunction(Of(JSON), "vl_json_array_get", Bigint)},
		"json_array_length":   {1, 1, jsonFunction(Of(Bigint), "vl_json_array_length")},

		"coalesce": {2, 100, coalesce},
		"nullif":   {2, 2, nullIf},
		"if":       {2, 3, ifOf},
		"lower":    takes(varchar, "vl_lower", Varchar),
		"upper":    takes(varchar, "vl_upper", Varchar),
		"trim":     takes(varchar, "vl_trim", Varchar),
		"length":   takes(Of(Bigint), "vl_length", Varchar),
		"concat":   {2, 100, concat},
		"replace":  takes(varchar, "vl_replace", Varchar, Varchar, Varchar),
		"strpos":   takes(Of(Bigint), "vl_strpos", Varchar, Varchar),
		"substr":   {2, 3, substr}, "substring": {2, 3, substr},
		"split_part": takes(varchar, "vl_split_part", Varchar, Varchar, Bigint),
	}
	for part := range dateParts {
		dialect[part] = aFunction{1, 1, datePart}
	}
}

func datePart(c *compiler, e *callOf, args []val) (val, error) {
	if !args[0].typ.isTime() && args[0].typ.Kind != Unknown {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, Of(Bigint), "vl_part", known(e.position, Of(Varchar), dateParts[e.name]), args[0]), nil
}

func dateOf(c *compiler, e *callOf, args []val) (val, error) {
	return c.cast(args[0], &castOf{position: e.position, to: Of(Date)})
}

// unitOf is the unit of time that an argument names, for what has the type of another.
func unitOf(arg val, of val) (val, error) {
	s, ok := arg.value.(string)
	s = strings.ToLower(s)
	if !ok || !isUnit(s) {
		return arg, failAt(arg.at, "'%s' is not a valid TIMESTAMP field", s)
	}
	if of.typ.Kind == Date && unitSizes[s] > 0 && unitSizes[s] < dayMillis {
		return arg, failAt(arg.at, "'%s' is not a valid DATE field", s)
	}
	return known(arg.at, Of(Varchar), s), nil
}

func dateAdd(c *compiler, e *callOf, args []val) (val, error) {
	unit, err := unitOf(args[0], args[len(args)-1])
	if err != nil {
		return val{}, err
	}
	if args[2], err = asTime(args[2], known(e.position, Of(Timestamp), nil)); err != nil {
		return val{}, err
	}
	if args[1].typ.Kind != Bigint && args[1].typ.Kind != Unknown || !args[2].typ.isTime() && args[2].typ.Kind != Unknown {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, args[2].typ, "vl_date_add", unit, args[1], args[2]), nil
}

func dateDiff(c *compiler, e *callOf, args []val) (val, error) {
	unit, err := unitOf(args[0], args[len(args)-1])
	if err != nil {
		return val{}, err
	}
	for i := 1; i < 3; i++ {
		if args[i], err = asTime(args[i], known(e.position, Of(Timestamp), nil)); err != nil {
			return val{}, err
		}
		if !args[i].typ.isTime() && args[i].typ.Kind != Unknown {
			return val{}, badArguments(e, args)
		}
	}
	return c.run(e.position, Of(Bigint), "vl_date_diff", unit, args[1], args[2]), nil
}

func dateTrunc(c *compiler, e *callOf, args []val) (val, error) {
	unit, err := unitOf(args[0], args[len(args)-1])
	if err != nil {
		return val{}, err
	}
	if !args[1].typ.isTime() && args[1].typ.Kind != Unknown {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, args[1].typ, "vl_date_trunc", unit, args[1]), nil
}

func elementAt(c *compiler, e *callOf, args []val) (val, error) {
	x, key := args[0], args[1]
	want := Bigint
	if x.typ.Kind == Map {
		want = Varchar
	}
	if x.typ.Kind != Map && x.typ.Kind != Array || key.typ.Kind != want && key.typ.Kind != Unknown {
		return val{}, badArguments(e, args)
	}
	if s, ok := key.value.(string); ok && x.source != nil { // found while the record is read
		v := x.source.path(append(x.steps[:len(x.steps):len(x.steps)], s), *x.typ.Elem, x.loose)
		v.at = e.position
		if x.loose == "" {
			v.loose = "" // the selection is grouped by the map
		}
		v.source = nil // the map's values have no fields
		return v, nil
	}
	return c.run(e.position, *x.typ.Elem, "vl_element_at", x, key, kindOf(*x.typ.Elem)), nil
}

func cardinality(c *compiler, e *callOf, args []val) (val, error) {
	if k := args[0].typ.Kind; k != Map && k != Array && k != Unknown {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, Of(Bigint), "vl_cardinality", args...), nil
}

func mapValues(c *compiler, e *callOf, args []val) (val, error) {
	if args[0].typ.Kind != Map {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, ArrayOf(*args[0].typ.Elem), "vl_map_values", args...), nil
}

func contains(c *compiler, e *callOf, args []val) (val, error) {
	if args[0].typ.Kind != Array {
		return val{}, badArguments(e, args)
	}
	typ, ok := common(*args[0].typ.Elem, args[1].typ)
	if !ok || !typ.isOrdered() && typ.Kind != JSON {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, Of(Boolean), "vl_contains", args[0], args[1], kindOf(typ)), nil
}

func arrayDistinct(c *compiler, e *callOf, args []val) (val, error) {
	if args[0].typ.Kind != Array {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, args[0].typ, "vl_array_distinct", args[0]), nil
}

func arrayExtreme(c *compiler, e *callOf, args []val) (val, error) {
	if args[0].typ.Kind != Array || !args[0].typ.Elem.isOrdered() {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, *args[0].typ.Elem, "vl_"+e.name, args[0], kindOf(*args[0].typ.Elem)), nil
}

func slice(c *compiler, e *callOf, args []val) (val, error) {
	if args[0].typ.Kind != Array || args[1].typ.Kind != Bigint || args[2].typ.Kind != Bigint {
		return val{}, badArguments(e, args)
	}
	return c.run(e.position, args[0].typ, "vl_slice", args...), nil
}

// jsonFunction is a function whose first argument is JSON, or a text that is.
func jsonFunction(result Type, function string, rest ...Kind) func(c *compiler, e *callOf, args []val) (val, error) {
	return func(c *compiler, e *callOf, args []val) (val, error) {
		if k := args[0].typ.Kind; k != JSON && k != Varchar && k != Unknown {
			return val{}, badArguments(e, args)
		}
		for i, k := range rest {
			if args[i+1].typ.Kind != k && args[i+1].typ.Kind != Unknown {
				return val{}, badArguments(e, args)
			}
		}
		if len(rest) == 1 && rest[0] == Varchar {
			if path, ok := args[1].value.(string); ok {
				if _, err := parsePath(path); err != nil {
					return val{}, failAt(args[1].at, "%v", err)
				}
			}
		}
		return c.run(e.position, result, function, args...), nil
	}
}

func jsonArrayContains(c *compiler, e *callOf, args []val) (val, error) {
	if k := args[0].typ.Kind; k != JSON && k != Varchar && k != Unknown {
		return val{}, badArguments(e, args)
	}
	switch args[1].typ.Kind {
	case Boolean, Bigint, Double, Varchar, Unknown:
		return c.run(e.position, Of(Boolean), "vl_json_array_contains", args[0], args[1], kindOf(args[1].typ)), nil
	}
	return val{}, badArguments(e, args)
}

func coalesce(c *compiler, e *callOf, args []val) (val, error) {
	typ := Of(Unknown)
	var texts []string
	for _, a := range args {
		t, ok := common(typ, a.typ)
		if !ok {
			return val{}, failAt(a.at, "All COALESCE operands must be the same type: %s", typ)
		}
		typ = t
		texts = append(texts, a.sql)
	}
	return of(e.position, typ, "COALESCE("+strings.Join(texts, ", ")+")", args...), nil
}

func nullIf(c *compiler, e *callOf, args []val) (val, error) {
	if _, ok := common(args[0].typ, args[1].typ); !ok {
		return val{}, badArguments(e, args)
	}
	return of(e.position, args[0].typ, "NULLIF("+args[0].sql+", "+args[1].sql+")", args...), nil
}

func ifOf(c *compiler, e *callOf, args []val) (val, error) {
	if k := args[0].typ.Kind; k != Boolean && k != Unknown {
		return val{}, failAt(e.position, "IF condition must be a boolean type: %s", args[0].typ)
	}
	if len(args) == 2 {
		args = append(args, known(e.position, Of(Unknown), nil))
	}
	typ, ok := common(args[1].typ, args[2].typ)
	if !ok {
		return val{}, failAt(e.position, "Result types for IF must be the same: %s vs %s", args[1].typ, args[2].typ)
	}
	return of(e.position, typ, "(CASE WHEN "+args[0].sql+" THEN "+args[1].sql+" ELSE "+args[2].sql+" END)", args...), nil
}

func concat(c *compiler, e *callOf, args []val) (val, error) {
	for _, a := range args {
		if !isText(a) {
			return val{}, badArguments(e, args)
		}
	}
	return of(e.position, Of(Varchar), "("+concatenated(args)+")", args...), nil
}

func concatenated(args []val) string {
	var texts []string
	for _, a := range args {
		texts = append(texts, a.sql)
	}
	return strings.Join(texts, " || ")
}

func substr(c *compiler, e *callOf, args []val) (val, error) {
	if !isText(args[0]) {
		return val{}, badArguments(e, args)
	}
	for _, a := range args[1:] {
		if a.typ.Kind != Bigint && a.typ.Kind != Unknown {
			return val{}, badArguments(e, args)
		}
	}
	return c.run(e.position, Of(Varchar), "vl_substr", args...), nil
}
