package keylife

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"vigil"
	"vigil/internal/arn"
)

// DefaultDays is how many days count as recent unless it is said otherwise.
const DefaultDays = 90

// Fold makes a Life of records.
type Fold struct {
	life    Life
	id      string // the key's id
	recent  time.Time
	days    int
	arn     []byte
	reader  vigil.OutlineReader
	outline vigil.Outline
	decoder jsontext.Decoder
	text    bytes.Reader

	order   int64
	changes []*changed
	base    course // what came of the changes that are left out
	leftOut int64
	grants  map[string]*grant

	callers  map[string]*caller
	buf      []byte // for keys of maps
	looks    map[string]*Tally
	refused  map[string]*Refusal
	names    map[string]bool // aliases that the key was used by
	aliases  map[string]bool // aliases that were made for it
	lastUsed LastUse
}

// New begins the life of the key with an ARN. asOf is when the question is asked; the last days before it are recent.
func New(key string, asOf time.Time, days int) *Fold {
	if days <= 0 {
		days = DefaultDays
	}
	f := &Fold{arn: []byte(key), base: newCourse(key), days: days, recent: asOf.AddDate(0, 0, -days), grants: map[string]*grant{},
		callers: map[string]*caller{}, looks: map[string]*Tally{}, refused: map[string]*Refusal{}, names: map[string]bool{}, aliases: map[string]bool{}}
	f.life.Key, f.life.Asked = key, asOf.UTC()
	if a, err := arn.Parse(key); err == nil {
		f.life.Account, f.life.Region = a.Account, a.Region
		_, f.id, _ = strings.Cut(a.Resource, "/")
	}
	return f
}

// Since says when the history of the key's account and region begins.
func (f *Fold) Since(at time.Time) {
	at = at.UTC()
	f.life.Records.HistorySince = &at // unless the key's own first record, which came later, is of an earlier time
}

// At says where the next record stands in the history: of one second, what stands first came first. Without it that is what was added first.
func (f *Fold) At(place int64) { f.order = place - 1 }

// Add takes a record, if it is of KMS and about the key. Data that is no record is counted. The record is not kept.
func (f *Fold) Add(record []byte, imported bool) {
	o := &f.outline
	if err := f.reader.Read(record, o); err != nil {
		f.life.Records.Unreadable++
		return
	}
	if string(o.EventSource) != "kms.amazonaws.com" {
		return
	}
	first := slices.IndexFunc(o.Resources, f.isKey)
	if first < 0 && !f.isNamed(o, record) {
		return
	}
	at := time.Unix(o.Second, 0).UTC()
	f.cover(at, imported)
	f.order++

	name := string(o.EventName)
	switch {
	case len(o.ErrorCode) > 0:
		f.refuse(o, at, record)
	case isUse(name):
		f.use(o, at, name, first)
	case o.ReadOnly || !isChange(name):
		f.look(name, at)
	default:
		f.change(record, name, at, imported)
	}
}

// Aliases are the aliases that the records added so far say stood for the key at some time.
func (f *Fold) Aliases() []string { return sorted(f.aliases) }

// AddAlias takes a record of one of the Aliases that need not name the key: by it the alias may have been pointed to another key. Others are passed
// over, and those that Add takes.
func (f *Fold) AddAlias(record []byte, imported bool) {
	o := &f.outline
	if f.reader.Read(record, o) != nil || string(o.EventSource) != "kms.amazonaws.com" || string(o.EventName) != "UpdateAlias" ||
		len(o.ErrorCode) > 0 || slices.ContainsFunc(o.Resources, f.isKey) {
		return
	}
	if !slices.ContainsFunc(o.Resources, func(r vigil.OutlineResource) bool {
		a, err := arn.Parse(string(r.ARN))
		return err == nil && a.Account == f.life.Account && a.Region == f.life.Region && f.aliases[a.Resource]
	}) {
		return
	}
	at := time.Unix(o.Second, 0).UTC()
	f.cover(at, imported)
	f.order++
	f.change(record, "UpdateAlias", at, imported)
}

func (f *Fold) isKey(r vigil.OutlineResource) bool { return bytes.Equal(r.ARN, f.arn) }

// isNamed says that a record without resources names the key: in its parameters, or in the message of its error.
func (f *Fold) isNamed(o *vigil.Outline, record []byte) bool {
	if len(o.Resources) > 0 || f.id == "" {
		return false
	}
	if len(o.ErrorCode) > 0 && bytes.Contains(record, f.arn) {
		if _, after, found := strings.Cut(messageOf(record), f.life.Key); found && (after == "" || !strings.ContainsRune(idLetters, rune(after[0]))) {
			return true
		}
	}
	if !bytes.Contains(o.Parameters, []byte(f.id)) {
		return false
	}
	var p struct{ KeyID any }
	if json.Unmarshal(o.Parameters, &p) != nil {
		return false
	}
	id, _ := p.KeyID.(string)
	return id == f.life.Key || id == f.id && string(o.Region) == f.life.Region && string(o.Account) == f.life.Account
}

// idLetters are what the id of a key may go on with.
const idLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"

// messageOf is a record's errorMessage.
func messageOf(record []byte) string {
	var r struct{ ErrorMessage any }
	_ = json.Unmarshal(record, &r)
	text, _ := r.ErrorMessage.(string) // a message that is no text is none
	return text
}

func (f *Fold) cover(at time.Time, imported bool) {
	r := &f.life.Records
	r.Count++
	if imported {
		r.Imported++
	}
	if r.First == nil || at.Before(*r.First) {
		r.First = &at
	}
	if r.Last == nil || at.After(*r.Last) {
		r.Last = &at
	}
}

func (f *Fold) look(name string, at time.Time) {
	t := f.looks[name]
	if t == nil {
		if len(f.looks) >= MaxCallers {
			return
		}
		t = new(Tally)
		f.looks[name] = t
	}
	t.add(at)
}

// refuse counts a call that failed, whatever it was to do.
func (f *Fold) refuse(o *vigil.Outline, at time.Time, record []byte) {
	f.buf = append(append(append(f.callerKey(o), 0), o.EventName...), 0)
	f.buf = append(f.buf, o.ErrorCode...)
	r := f.refused[string(f.buf)]
	if r == nil {
		if len(f.refused) >= MaxCallers {
			if f.life.Refused == nil {
				f.life.Refused = new(Tally)
			}
			f.life.Refused.add(at)
			return
		}
		c := f.newCaller(o)
		r = &Refusal{Principal: c.Principal, ARN: c.ARN, InvokedBy: c.InvokedBy, Operation: string(o.EventName), Error: string(o.ErrorCode)}
		f.refused[string(f.buf)] = r
	}
	if r.Count == 0 || !at.Before(r.Last) {
		r.Message = clip(messageOf(record))
	}
	r.add(at)
	if at.After(f.recent) {
		r.Recent++
	}
}

// isDenied says that an error code is that of a caller who may not.
func isDenied(code string) bool {
	return strings.HasPrefix(code, "AccessDenied") || strings.HasSuffix(code, "UnauthorizedOperation")
}

// isState says that an error code is that of a key that is disabled, pending deletion or otherwise in the wrong state.
func isState(code string) bool {
	switch code {
	case "DisabledException", "KMSInvalidStateException", "KMSInvalidState", "Disabled":
		return true
	}
	return false
}

// Life is what the records that were added say.
func (f *Fold) Life() *Life {
	l := f.life
	if r := &l.Records; r.HistorySince != nil && r.First != nil && r.First.Before(*r.HistorySince) {
		r.HistorySince = r.First
	}
	l.Now.UsedNames = sorted(f.names)
	f.replay(&l)
	for name, t := range f.looks {
		l.Looks = append(l.Looks, Counted{name, *t})
	}
	slices.SortFunc(l.Looks, most)
	l.Denied, l.Failed = []Refusal{}, []Refusal{}
	for _, r := range f.refused {
		if isDenied(r.Error) {
			l.Denied = append(l.Denied, *r)
		} else {
			l.Failed = append(l.Failed, *r)
		}
	}
	for _, list := range [][]Refusal{l.Denied, l.Failed} {
		slices.SortFunc(list, func(a, b Refusal) int {
			return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Principal, b.Principal),
				cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Error, b.Error), cmp.Compare(a.InvokedBy, b.InvokedBy))
		})
	}
	l.Uses = f.uses()
	if f.lastUsed.EventID != "" || !f.lastUsed.Time.IsZero() {
		last := f.lastUsed
		l.LastUse = &last
	}
	l.Deletion = assess(&l, f.days)
	return &l
}

func most(a, b Counted) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
}

func sorted(set map[string]bool) []string {
	var all []string
	for s := range set {
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// clip shortens a text that is too long to be kept.
func clip(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText], "") + "…"
}
