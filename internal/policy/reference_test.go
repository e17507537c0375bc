package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vigil/internal/policy"
)

// The reference evaluator: slow, straight from the IAM user guide's sentences, over the JSON as it is. It shares nothing with the
// compiled one.

type refStatement struct {
	Effect                                   string
	Principal, NotPrincipal                  []string // AWS only; "*" is everyone
	Action, NotAction, Resource, NotResource []string
	Condition                                map[string]map[string][]string
}

type refRequest struct {
	who                         policy.Principal
	action, resource            string
	account                     string
	context                     map[string][]string
	key                         []refStatement
	identity, boundary, session []refStatement
	bounded, hasSession         bool
	granted, cross              bool
}

func (r *refRequest) allowed() bool {
	for _, statements := range [][]refStatement{r.key, r.identity, r.boundary, r.session} {
		for _, s := range statements {
			if s.Effect == "Deny" && r.applies(s) && r.denyNames(s) {
				return false
			}
		}
	}
	own := r.who.Account == r.account
	if !own && !r.cross {
		return false
	}
	if r.granted {
		return true
	}
	root := r.who.Type == "Root"
	identity := root || r.anyAllow(r.identity)
	boundary := root || !r.bounded || r.anyAllow(r.boundary)
	session := root || !r.hasSession || r.anyAllow(r.session)
	for _, s := range r.key {
		if s.Effect != "Allow" || !r.applies(s) {
			continue
		}
		everything := identity && boundary && session
		for _, by := range r.allowNames(s) {
			switch {
			case !own, by == "account" && !root, by == "issuer" && r.who.Type == "FederatedUser":
				if everything {
					return true
				}
			case by == "issuer":
				if boundary && session {
					return true
				}
			default:
				return true
			}
		}
	}
	return false
}

func (r *refRequest) anyAllow(statements []refStatement) bool {
	return slices.ContainsFunc(statements, func(s refStatement) bool { return s.Effect == "Allow" && r.applies(s) })
}

// names are the ways in which a list of principals names the caller.
func (r *refRequest) names(list []string) (by []string) {
	for _, name := range list {
		switch name {
		case "*":
			by = append(by, "everyone")
		case r.who.Account, "arn:aws:iam::" + r.who.Account + ":root":
			by = append(by, "account")
		case r.who.ARN:
			by = append(by, "self")
		case r.who.Issuer:
			by = append(by, "issuer")
		case r.who.UniqueID:
			if r.who.Issuer == "" {
				by = append(by, "self")
			} else {
				by = append(by, "issuer")
			}
		}
	}
	return by
}

func (r *refRequest) allowNames(s refStatement) []string {
	if s.NotPrincipal == nil {
		return r.names(s.Principal)
	}
	if len(r.names(s.NotPrincipal)) == 0 {
		return []string{"everyone"}
	}
	return nil
}

func (r *refRequest) denyNames(s refStatement) bool {
	switch {
	case s.Principal == nil && s.NotPrincipal == nil: // IAM's own
		return true
	case s.NotPrincipal == nil:
		return len(r.names(s.Principal)) > 0
	}
	by := r.names(s.NotPrincipal)
	has := func(way string) bool { return slices.Contains(by, way) }
	return !has("everyone") && !(has("account") && (r.who.Type == "Root" || has("self")) && (r.who.Issuer == "" || has("issuer")))
}

func (r *refRequest) applies(s refStatement) bool {
	action := func(p string) bool {
		return regexp.MustCompile(`(?is)^` + r.glob(p, true, false) + `$`).MatchString(r.action)
	}
	if s.NotAction != nil && slices.ContainsFunc(s.NotAction, action) || s.NotAction == nil && !slices.ContainsFunc(s.Action, action) {
		return false
	}
	resource := func(p string) bool { return p == "*" || r.arnLike(p, r.resource, true) }
	if s.NotResource != nil && slices.ContainsFunc(s.NotResource, resource) || s.NotResource == nil && !slices.ContainsFunc(s.Resource, resource) {
		return false
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			if !r.holds(operator, strings.ToLower(key), values) {
				return false
			}
		}
	}
	return true
}

// glob is a regular expression for a text, or one that matches nothing when a variable has no value.
func (r *refRequest) glob(text string, wild, vars bool) string {
	var out strings.Builder
	for text != "" {
		if m := regexp.MustCompile(`^\$\{([^}]*)\}`).FindStringSubmatch(text); vars && m != nil {
			text = text[len(m[0]):]
			key, fallback, has := strings.Cut(m[1], ", '")
			switch values := r.context[strings.ToLower(key)]; {
			case key == "*" || key == "?" || key == "$":
				out.WriteString(regexp.QuoteMeta(key))
			case len(values) == 1:
				out.WriteString(regexp.QuoteMeta(values[0]))
			case len(values) == 0 && has:
				out.WriteString(regexp.QuoteMeta(strings.TrimSuffix(fallback, "'")))
			default:
				return `[^\x00-\x{10FFFF}]`
			}
			continue
		}
		switch c := text[:1]; {
		case wild && c == "*":
			out.WriteString(`.*`)
		case wild && c == "?":
			out.WriteString(`.`)
		default:
			out.WriteString(regexp.QuoteMeta(c))
		}
		text = text[1:]
	}
	return out.String()
}

func (r *refRequest) like(p, value string, wild bool) bool {
	return regexp.MustCompile(`(?s)^` + r.glob(p, wild, true) + `$`).MatchString(value)
}

// arnLike compares part by part. A Resource has variables in its last part only.
func (r *refRequest) arnLike(p, value string, resource bool) bool {
	split := regexp.MustCompile(`(?s)^((?:\$\{[^}]*\}|[^:])*):((?:\$\{[^}]*\}|[^:])*):((?:\$\{[^}]*\}|[^:])*):((?:\$\{[^}]*\}|[^:])*):((?:\$\{[^}]*\}|[^:])*):(.*)$`)
	parts, of := split.FindStringSubmatch(p), strings.SplitN(value, ":", 6)
	if parts == nil || len(of) != 6 {
		return p == "*" || parts == nil && r.like(p, value, false) && strings.Contains(p, "${")
	}
	for i, part := range of {
		if !regexp.MustCompile(`(?s)^` + r.glob(parts[i+1], true, !resource || i == 5) + `$`).MatchString(part) {
			return false
		}
	}
	return true
}

func (r *refRequest) holds(operator, key string, values []string) bool {
	have := r.context[key]
	name, ifExists := strings.CutSuffix(operator, "IfExists")
	qualifier, name2, qualified := strings.Cut(name, ":")
	if qualified {
		name = name2
	} else {
		qualifier = ""
	}
	if name == "Null" {
		return slices.ContainsFunc(values, func(v string) bool { return v == "true" && len(have) == 0 || v == "false" && len(have) > 0 })
	}
	negated := strings.Contains(name, "Not")
	name = strings.Replace(name, "Not", "", 1)
	if len(have) == 0 {
		return ifExists || qualifier == "ForAllValues" || qualifier == "" && negated
	}
	n := 0 // how many values of the request meet one of the policy's
	for _, value := range have {
		if slices.ContainsFunc(values, func(v string) bool { return r.compare(name, v, value) }) {
			n++
		}
	}
	switch {
	case qualifier == "ForAllValues" && negated:
		return n == 0
	case qualifier == "ForAllValues":
		return n == len(have)
	case qualifier == "ForAnyValue" && negated:
		return n < len(have)
	case negated:
		return n == 0
	}
	return n > 0
}

func (r *refRequest) compare(name, want, value string) bool {
	switch name {
	case "StringEquals":
		return r.like(want, value, false)
	case "StringEqualsIgnoreCase":
		return regexp.MustCompile(`(?si)^` + r.glob(want, false, true) + `$`).MatchString(value)
	case "StringLike":
		return r.like(want, value, true)
	case "ArnEquals", "ArnLike":
		return r.arnLike(want, value, false)
	case "Bool":
		v := strings.ToLower(value)
		return (v == "true" || v == "false") && strings.ToLower(want) == v
	case "BinaryEquals":
		a, err1 := base64.StdEncoding.DecodeString(want)
		b, err2 := base64.StdEncoding.DecodeString(value)
		return err1 == nil && err2 == nil && string(a) == string(b)
	case "IpAddress":
		if !strings.Contains(want, "/") {
			return net.ParseIP(want) != nil && net.ParseIP(want).Equal(net.ParseIP(value))
		}
		_, network, err := net.ParseCIDR(want)
		return err == nil && net.ParseIP(value) != nil && network.Contains(net.ParseIP(value))
	}
	var order int
	if name, ok := strings.CutPrefix(name, "Numeric"); ok {
		a, ok1 := new(big.Rat).SetString(value)
		b, ok2 := new(big.Rat).SetString(want)
		return ok1 && ok2 && inOrder2(name, a.Cmp(b))
	}
	a, err1 := refDate(value)
	b, err2 := refDate(want)
	if err1 != nil || err2 != nil {
		return false
	}
	order = a.Compare(b)
	return inOrder2(strings.TrimPrefix(name, "Date"), order)
}

func inOrder2(name string, order int) bool {
	return order == 0 && strings.HasSuffix(name, "Equals") || order < 0 && strings.HasPrefix(name, "Less") || order > 0 && strings.HasPrefix(name, "Greater")
}

func refDate(text string) (at time.Time, err error) {
	for _, layout := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", time.RFC3339} {
		if at, err = time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	seconds, ok := new(big.Rat).SetString(text)
	if !ok || !seconds.IsInt() {
		return at, err
	}
	return time.Unix(seconds.Num().Int64(), 0), nil
}

// choices makes what it is asked for of the fuzzer's bytes.
type choices []byte

func (c *choices) next(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % n
}

func (c *choices) of(list []string) string { return list[c.next(len(list))] }

func (c *choices) some(list []string) []string {
	all := []string{c.of(list)}
	for range c.next(3) {
		all = append(all, c.of(list))
	}
	return all
}

var (
	refPrincipals = []string{"*", "111122223333", "arn:aws:iam::444455556666:root", "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/App",
		"arn:aws:sts::111122223333:assumed-role/App/s", "arn:aws:sts::111122223333:federated-user/f", "AIDACKCEVSQ6C2EXAMPLE", "AROACKCEVSQ6C2EXAMPLE"}
	refCallers = []policy.Principal{
		{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"},
		{Type: "Root", ARN: "arn:aws:iam::444455556666:root", Account: "444455556666"},
		{Type: "IAMUser", ARN: "arn:aws:iam::111122223333:user/alice", Account: "111122223333", UniqueID: "AIDACKCEVSQ6C2EXAMPLE"},
		{Type: "IAMUser", ARN: "arn:aws:iam::444455556666:user/alice", Account: "444455556666", UniqueID: "AIDAOTHERSQ6C2EXAMPLE"},
		{Type: "AssumedRole", ARN: "arn:aws:sts::111122223333:assumed-role/App/s", Account: "111122223333", UniqueID: "AROACKCEVSQ6C2EXAMPLE", Issuer: "arn:aws:iam::111122223333:role/App"},
		{Type: "FederatedUser", ARN: "arn:aws:sts::111122223333:federated-user/f", Account: "111122223333", UniqueID: "AIDACKCEVSQ6C2EXAMPLE", Issuer: "arn:aws:iam::111122223333:user/alice"},
	}
	refActions   = []string{"kms:Encrypt", "kms:*", "*", "kms:?ncrypt", "kms:Decrypt", "KMS:encrypt", "kms:*t", "s3:*"}
	refResources = []string{"*", "arn:aws:kms:us-east-1:111122223333:key/a", "arn:aws:kms:*:*:key/*", "arn:aws:kms:us-east-1:*:key/${a:s}", "arn:aws:kms:us-east-1:111122223333:key/${a:m, 'a'}",
		"arn:aws:kms:us-east-?:111122223333:*", "arn:aws:s3:::x", "arn:aws:kms:us-east-1:${a:s}:key/a", "arn:aws:kms:*:key/a:b"}
	refOperators = []string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
		"ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike", "NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals",
		"NumericGreaterThan", "NumericGreaterThanEquals", "DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan",
		"DateGreaterThanEquals", "Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "Null"}
	refKeys   = []string{"a:s", "A:S", "a:m", "a:n"}
	refValues = []string{"a", "A", "ab", "a*", "*", "?b", "a?*", "${a:s}", "x${a:n}", "${a:m, 'a'}", "${*}", "1", "1.0", "2", "-3.50", "100", "0.01", "2026", "2026-03", "2026-03-01T12:00:00Z",
		"1772366400", "true", "FALSE", "YQ==", "YWI=", "10.0.0.1", "10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "2001:db8::1", "arn:aws:iam::111122223333:role/App",
		"arn:aws:iam::*:role/*", "arn:aws:iam::${a:s}:role/App", "arn:aws:s3:::a:b", "arn:aws:s3:*::a", "111122223333", ""}
)

func (c *choices) statements(most int, withPrincipals bool) (all []refStatement) {
	for range 1 + c.next(most) {
		s := refStatement{Effect: []string{"Allow", "Allow", "Deny"}[c.next(3)]}
		if withPrincipals {
			if c.next(4) == 3 {
				s.NotPrincipal = c.some(refPrincipals)
			} else {
				s.Principal = c.some(refPrincipals)
			}
		}
		if c.next(5) == 4 {
			s.NotAction = c.some(refActions)
		} else {
			s.Action = c.some(refActions)
		}
		if c.next(5) == 4 {
			s.NotResource = c.some(refResources)
		} else {
			s.Resource = c.some(refResources)
		}
		for range c.next(3) {
			operator := c.of(refOperators)
			if operator != "Null" {
				operator = []string{"", "", "ForAllValues:", "ForAnyValue:"}[c.next(4)] + operator + []string{"", "", "IfExists"}[c.next(3)]
			}
			if s.Condition == nil {
				s.Condition = map[string]map[string][]string{}
			}
			values := c.some(refValues)
			if operator == "Null" {
				values = []string{[]string{"true", "false"}[c.next(2)]}
			}
			s.Condition[operator] = map[string][]string{c.of(refKeys): values}
		}
		all = append(all, s)
	}
	return all
}

// document is the statements as the JSON of a policy.
func document(t *testing.T, statements []refStatement, parse func(string) (*policy.Document, error)) *policy.Document {
	var list []map[string]any
	for _, s := range statements {
		m := map[string]any{"Effect": s.Effect}
		add := func(name string, values []string) {
			if values != nil {
				m[name] = values
			}
		}
		add("Action", s.Action)
		add("NotAction", s.NotAction)
		add("Resource", s.Resource)
		add("NotResource", s.NotResource)
		if s.Principal != nil {
			m["Principal"] = map[string]any{"AWS": s.Principal}
		}
		if s.NotPrincipal != nil {
			m["NotPrincipal"] = map[string]any{"AWS": s.NotPrincipal}
		}
		if s.Condition != nil {
			m["Condition"] = s.Condition
		}
		list = append(list, m)
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": list})
	if err != nil {
		t.Fatal(err)
	}
	d, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

// FuzzDecide compares the compiled evaluator with the reference one.
func FuzzDecide(f *testing.F) {
	for seed := range 500 {
		var text []byte
		x := uint32(seed)*2654435761 + 1
		for range 120 {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			text = append(text, byte(x>>8))
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := choices(text)
		r := refRequest{who: refCallers[c.next(len(refCallers))], action: "kms:Encrypt", resource: "arn:aws:kms:us-east-1:111122223333:key/a", account: "111122223333",
			context: map[string][]string{}, cross: c.next(4) > 0, granted: c.next(8) == 7}
		for _, key := range []string{"a:s", "a:m", "a:n"} {
			if c.next(4) > 0 {
				r.context[key] = c.some(refValues)[:1]
			}
		}
		if c.next(2) == 1 {
			r.context["a:m"] = c.some(refValues)
		}
		r.key = c.statements(3, true)
		q := policy.Request{Principal: r.who, Action: r.action, Context: func(key string) ([]string, bool) {
			values, ok := r.context[key]
			return values, ok
		}}
		q.Resource = policy.Resource{ARN: r.resource, Account: r.account, Policy: document(t, r.key, policy.ParseKeyPolicy), Granted: r.granted, CrossAccount: r.cross}
		if r.who.Type != "Root" {
			q.Permissions = &policy.Permissions{}
			if c.next(3) > 0 {
				r.identity = c.statements(2, false)
				q.Permissions.Identity = []policy.Source{{Document: document(t, r.identity, policy.ParseIdentityPolicy)}}
			}
			if r.bounded = c.next(3) == 2; r.bounded {
				r.boundary = c.statements(1, false)
				q.Permissions.Boundary = &policy.Source{Document: document(t, r.boundary, policy.ParseIdentityPolicy)}
			}
			if r.hasSession = c.next(3) == 2; r.hasSession {
				r.session = c.statements(1, false)
				q.Permissions.HasSession = true
				q.Permissions.Session = []policy.Source{{Document: document(t, r.session, policy.ParseSessionPolicy)}}
			}
		}
		d := policy.Decide(q)
		if d.Allowed != r.allowed() {
			all, _ := json.MarshalIndent(map[string]any{"who": r.who, "key": r.key, "identity": r.identity, "boundary": r.boundary, "session": r.session, "context": r.context,
				"granted": r.granted, "cross": r.cross}, "", " ")
			t.Errorf("allowed is %v (%v), the reference says %v:\n%s", d.Allowed, d.Reason, r.allowed(), all)
		}
	})
}
