package presto

import "strings"

// Kind is what a value is.
type Kind int

// The kinds of values. Integers of all sizes are Bigint, and decimals are Double.
const (
	Unknown Kind = iota // of NULL
	Boolean
	Bigint
	Double
	Varchar
	Timestamp
	Date
	JSON
	Array
	Map
	Row
	DayTime   // an interval of milliseconds
	YearMonth // an interval of months
)

// Type is a type of Presto's.
type Type struct {
	Kind   Kind
	Elem   *Type   // of an Array, and of a Map's values; its keys are Varchar
	Fields []Field // of a Row
}

// Field is a field of a row, or a column of a table.
type Field struct {
	Name   string // in lower case
	Member string // what it is called in a record
	Type   Type
}

var kindNames = [...]string{"unknown", "boolean", "bigint", "double", "varchar", "timestamp", "date", "json", "array", "map", "row",
	"interval day to second", "interval year to month"}

// String is the type's name in Presto.
func (t Type) String() string {
	switch t.Kind {
	case Array:
		return "array(" + t.Elem.String() + ")"
	case Map:
		return "map(varchar," + t.Elem.String() + ")"
	case Row:
		var fields []string
		for _, f := range t.Fields {
			fields = append(fields, f.Name+" "+f.Type.String())
		}
		return "row(" + strings.Join(fields, ",") + ")"
	}
	return kindNames[t.Kind]
}

// Of is a type that has no parts.
func Of(k Kind) Type { return Type{Kind: k} }

// ArrayOf is the type of arrays of e.
func ArrayOf(e Type) Type { return Type{Kind: Array, Elem: &e} }

// MapOf is the type of maps from varchar to e.
func MapOf(e Type) Type { return Type{Kind: Map, Elem: &e} }

// RowOf is the type of rows.
func RowOf(fields ...Field) Type { return Type{Kind: Row, Fields: fields} }

func (t Type) field(name string) (Field, bool) {
	for _, f := range t.Fields {
		if f.Name == strings.ToLower(name) {
			return f, true
		}
	}
	return Field{}, false
}

func (t Type) isNumber() bool { return t.Kind == Bigint || t.Kind == Double }
func (t Type) isTime() bool   { return t.Kind == Timestamp || t.Kind == Date }

func (t Type) isOrdered() bool {
	switch t.Kind {
	case JSON, Array, Map, Row:
		return false
	}
	return true
}

func (t Type) equal(u Type) bool { return t.String() == u.String() }
