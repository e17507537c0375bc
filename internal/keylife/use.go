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

// isUse says that an operation uses the key for cryptography.
func isUse(operation string) bool {
	switch operation {
	case "Decapsulate", "Decrypt", "DeriveSharedSecret", "Encapsulate", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
		"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "ReEncrypt", "Sign", "Verify", "VerifyMac":
		return true
	}
	return false
}

// caller is a principal, by way of a service or not, who used the key.
type caller struct {
	Use
	operations map[string]*Tally
	contexts   map[string]*contextTally // by the JSON of the record
}

type contextTally struct {
	text string // in the order of names
	Tally
}

// A ReEncrypt uses two keys, each in its own way.
const (
	reEncryptFrom = "ReEncrypt (from)"
	reEncryptTo   = "ReEncrypt (to)"
	reEncryptBoth = "ReEncrypt (from and to)"
)

// use counts a successful use. first is which of the record's resources the key is, or -1.
func (f *Fold) use(o *vigil.Outline, at time.Time, name string, first int) {
	c := f.caller(o)
	if c == nil {
		if f.life.Others == nil {
			f.life.Others = new(Tally)
		}
		f.life.Others.add(at)
		f.last(o, at, name, nil)
		return
	}
	members := []string{"encryptionContext"}
	if name == "ReEncrypt" {
		switch {
		case first == 0 && slices.ContainsFunc(o.Resources[1:], f.isKey):
			name, members = reEncryptBoth, []string{"sourceEncryptionContext", "destinationEncryptionContext"}
		case first == 0:
			name, members = reEncryptFrom, []string{"sourceEncryptionContext"}
		default:
			name, members = reEncryptTo, []string{"destinationEncryptionContext"}
		}
	}
	c.add(at)
	if at.After(f.recent) {
		c.Recent++
	}
	t := c.operations[name]
	if t == nil {
		t = new(Tally)
		c.operations[name] = t
	}
	t.add(at)
	f.parameters(o.Parameters, func(member string, value []byte) {
		switch {
		case slices.Contains(members, member):
			c.addContext(value, at)
		case member == "keyId" || member == "destinationKeyId" && name != reEncryptFrom || member == "sourceKeyId" && name != reEncryptTo:
			f.named(value)
		}
	})
	f.last(o, at, name, c)
}

func (f *Fold) last(o *vigil.Outline, at time.Time, name string, c *caller) {
	if f.lastUsed.Time.After(at) {
		return
	}
	if c == nil {
		c = f.newCaller(o)
	}
	f.lastUsed = LastUse{Time: at, Operation: name, Principal: c.who(), EventID: string(o.EventID)}
}

// tolerant are the options for what others have written, which is not to be lost for its faults.
var tolerant = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// parameters calls member with each of the parameters that are read. Those behind something that is no JSON are not.
func (f *Fold) parameters(data []byte, member func(name string, value []byte)) {
	f.text.Reset(data)
	f.decoder.Reset(&f.text, tolerant...)
	if start, err := f.decoder.ReadToken(); err != nil || start.Kind() != '{' {
		return
	}
	for f.decoder.PeekKind() == '"' {
		token, err := f.decoder.ReadToken()
		if err != nil {
			return
		}
		name := token.String()
		value, err := f.decoder.ReadValue()
		if err != nil {
			return
		}
		member(name, value)
	}
}

// named notes an alias that the key was named by.
func (f *Fold) named(value []byte) {
	i := bytes.Index(value, []byte("alias/"))
	if i < 1 || value[i-1] != '"' && value[i-1] != ':' || len(value) > MaxText || len(f.names) >= MaxContexts {
		return
	}
	if name := value[i : len(value)-1]; !f.names[string(name)] {
		var whole string
		if json.Unmarshal(value, &whole) == nil {
			f.names[whole[strings.Index(whole, "alias/"):]] = true
		}
	}
}

// addContext counts a context. When there are too many, those that were met least often are forgotten: who comes often stays.
func (c *caller) addContext(raw []byte, at time.Time) {
	if string(raw) == "null" || string(raw) == "{}" {
		return
	}
	known := raw[:min(len(raw), 4*MaxText)] // longer ones are told apart by their beginning
	t := c.contexts[string(known)]
	if t == nil {
		if len(c.contexts) >= MaxContexts {
			c.forget()
		}
		t = &contextTally{text: inOrder(raw)}
		c.contexts[string(known)] = t
	}
	t.add(at)
}

// forget forgets the half of the contexts with the smallest counts.
func (c *caller) forget() {
	counts := make([]int64, 0, len(c.contexts))
	for _, t := range c.contexts {
		counts = append(counts, t.Count)
	}
	slices.Sort(counts)
	limit, room := counts[len(counts)/2], len(counts)/2
	for raw, t := range c.contexts {
		if t.Count <= limit && room > 0 {
			delete(c.contexts, raw)
			c.MoreUses += t.Count
			c.MoreContexts++
			room--
		}
	}
	c.AtLeast = true
}

// inOrder is a context as JSON in the order of its names, or as it is if it is none.
func inOrder(raw []byte) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return clip(string(raw))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return clip(string(raw))
	}
	return clip(strings.TrimSuffix(b.String(), "\n"))
}

// callerKey tells principals apart: sessions of a role are one, calls by way of different services are not. It is good until the next.
func (f *Fold) callerKey(o *vigil.Outline) []byte {
	f.buf = append(f.buf[:0], withoutSession(o.CallerARN)...)
	if len(o.CallerARN) == 0 {
		f.buf = append(append(append(f.buf, o.Caller...), 1), o.PrincipalID...)
	}
	return append(append(f.buf, 0), o.InvokedBy...)
}

// withoutSession is the ARN of a session's role.
func withoutSession(a []byte) []byte {
	if i := bytes.Index(a, []byte(":assumed-role/")); i >= 0 {
		if j := bytes.LastIndexByte(a, '/'); j > i+len(":assumed-role/") {
			return a[:j]
		}
	}
	return a
}

// caller is the record's, or nil if it is one too many.
func (f *Fold) caller(o *vigil.Outline) *caller {
	f.buf = f.callerKey(o)
	c := f.callers[string(f.buf)]
	if c == nil && len(f.callers) < MaxCallers {
		c = f.newCaller(o)
		f.callers[string(f.buf)] = c
	}
	return c
}

func (f *Fold) newCaller(o *vigil.Outline) *caller {
	a := string(withoutSession(o.CallerARN))
	return &caller{
		Use: Use{Principal: f.principal(a, string(o.Caller), string(o.PrincipalID), string(o.InvokedBy)), ARN: a,
			InvokedBy: string(o.InvokedBy)},
		operations: map[string]*Tally{}, contexts: map[string]*contextTally{},
	}
}

// principal names who called: user/alice, assumed-role/deploy, root; of which account, if it is not the key's.
func (f *Fold) principal(callerARN, account, principalID, invokedBy string) string {
	name := ""
	a, err := arn.Parse(callerARN)
	switch {
	case err == nil:
		name, account = a.Resource, a.Account
	case callerARN != "":
		return callerARN
	case principalID != "" && principalID == account:
		name = "root"
	case principalID != "":
		name = principalID
	case invokedBy != "":
		return invokedBy
	case account != "":
		return "somebody of " + account
	default:
		return "somebody"
	}
	if account != "" && account != f.life.Account {
		name += " of " + account
	}
	return name
}

// who is the principal and the service that it came by.
func (u *Use) who() string { return by(u.Principal, u.InvokedBy) }

func by(principal, service string) string {
	if service == "" || service == principal {
		return principal
	}
	return principal + " via " + service
}

// uses are the callers, with what was counted of each.
func (f *Fold) uses() []Use {
	all := make([]Use, 0, len(f.callers))
	for _, c := range f.callers {
		u := c.Use
		u.Operations, u.Contexts = []Counted{}, []Counted{}
		for name, t := range c.operations {
			u.Operations = append(u.Operations, Counted{name, *t})
		}
		merged := map[string]*Tally{}
		for _, t := range c.contexts { // in whatever order their names were sent
			if merged[t.text] == nil {
				merged[t.text] = new(Tally)
			}
			merged[t.text].merge(t.Tally)
		}
		for text, t := range merged {
			u.Contexts = append(u.Contexts, Counted{text, *t})
		}
		slices.SortFunc(u.Operations, most)
		slices.SortFunc(u.Contexts, most)
		for len(u.Contexts) > ToldContexts {
			last := len(u.Contexts) - 1
			u.MoreUses += u.Contexts[last].Count
			u.MoreContexts++
			u.Contexts = u.Contexts[:last]
		}
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b Use) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.InvokedBy, b.InvokedBy), cmp.Compare(a.ARN, b.ARN))
	})
	return all
}
