package intake

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"

	"vigil"
)

// check says what is wrong with a record that is to be imported, whose outline it reads into o. It returns nil for a JSON object of at most 1 MiB without
// line ends, with an eventTime, an eventID or at least an eventSource, and the account that it is of.
func check(r *vigil.OutlineReader, o *vigil.Outline, data []byte) error {
	if len(data) == 0 || data[0] != '{' || bytes.IndexByte(data, '\n') >= 0 || bytes.IndexByte(data, '\r') >= 0 {
		return errors.New("a record must be a JSON object on a line of its own")
	}
	err := r.ReadStrict(data, o)
	if err == vigil.ErrNotJSON {
		return errors.New("not valid JSON")
	}
	return judge(o, data, err)
}

// Check says what is wrong with a record that is valid JSON on one line, as ImportRecords judges it, and reads its outline into o.
func Check(r *vigil.OutlineReader, o *vigil.Outline, data []byte) error {
	return judge(o, data, r.Read(data, o))
}

// judge says what is wrong with a record that is valid JSON, whose outline was read with err.
func judge(o *vigil.Outline, data []byte, err error) error {
	switch {
	case len(data) > maxRecordSize:
		return fmt.Errorf("a record of %d bytes is too long", len(data))
	case err != nil:
		return errors.New("not a CloudTrail record: it has no eventTime, or members of other types")
	case len(o.EventID) > maxEventID:
		return errors.New("not a CloudTrail record: its eventID is too long")
	case len(o.EventID) == 0 && len(o.EventSource) == 0:
		return errors.New("not a CloudTrail record: it has neither eventID nor eventSource")
	case !isAccount(o.Account):
		return fmt.Errorf("the record does not say whose it is: recipientAccountId is %.20q", o.Account)
	}
	return nil
}

func isAccount(text []byte) bool {
	return len(text) == 12 && !slices.ContainsFunc(text, func(c byte) bool { return c < '0' || c > '9' })
}

// sameEvent says whether two records say the same, in whatever order and with whatever white space. What is null or empty says
// nothing: exports differ in that.
func sameEvent(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if jsonv2.Unmarshal(a, &x) != nil || jsonv2.Unmarshal(b, &y) != nil {
		return false
	}
	return reflect.DeepEqual(said(x), said(y))
}

// said is a value without what is null or empty in it, or nil if nothing is left.
func said(v any) any {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
	case map[string]any:
		for name, member := range v {
			if member = said(member); member == nil {
				delete(v, name)
			} else {
				v[name] = member
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		if len(v) == 0 {
			return nil
		}
		for i := range v {
			v[i] = said(v[i])
		}
	}
	return v
}

func inOrder(seqs []int64) []int64 {
	slices.Sort(seqs)
	return seqs
}
