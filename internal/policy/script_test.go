package policy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigil/internal/arn"
	"vigil/internal/policy"
)

// TestScripts runs testdata/*.txt, which say who may do what under which policies:
//
//	key NAME, trust NAME, topic NAME, iam NAME [ARN]
//	                           names the JSON text on the indented lines below: a key policy, a role's trust policy, the policy of
//	                           another resource, or a policy of IAM, which is a managed one if it has an ARN
//	resource NAME ARN [policy=NAME] [cross-account] [unnamed] [granted]
//	                           something to ask about; its account is the ARN's
//	who NAME WHO [id=ID] [issuer=ARN] [provider=NAME] [iam=NAME,…] [boundary=NAME] [session=NAME,…]
//	                           a caller with a unique id and policies of its own; session= alone is a session's empty list
//	given KEY = VALUE | VALUE  a condition key of the requests below; given nothing forgets them all
//	ids NAME NEW ARN=ID …      NEW is the policy NAME with principals tied to unique ids
//	allow WHO ACTION RESOURCE [because REASON]
//	                           the request must be allowed, for this reason: a policy.Reason in words
//	deny WHO ACTION RESOURCE because REASON
//	                           it must be denied for this reason
//	says TEXT                  what the denial above must read
//
// WHO is a name given before, or root:ACCOUNT, user:ACCOUNT/NAME, session:ACCOUNT/ROLE/NAME, federated:ACCOUNT/NAME, service:NAME or
// web:PROVIDER. RESOURCE is a name given before, or *. A line that begins with # is a comment.
func TestScripts(t *testing.T) {
	eachScript(t, "testdata/*.txt", func() func(line, block string) error { return newScript().run })
}

// eachScript runs the lines of each file with what begin returns for it, and each with the indented lines below it.
func eachScript(t *testing.T, pattern string, begin func() func(line, block string) error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			run := begin()
			lines := strings.Split(string(text), "\n")
			for i := 0; i < len(lines); {
				line, at := lines[i], i+1
				i++
				var block []string
				for i < len(lines) && strings.HasPrefix(lines[i], "    ") {
					block = append(block, lines[i])
					i++
				}
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				if err := run(line, strings.Join(block, "\n")); err != nil {
					t.Errorf("%s:%d: %s\n\t%v", file, at, line, err)
				}
			}
		})
	}
}

// A service that finds no key for a ciphertext asks about the zero resource, and the caller is told what a stranger is.
func TestNoResource(t *testing.T) {
	who := policy.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"}
	d := policy.Decide(policy.Request{Principal: who, Action: "kms:Decrypt", Resource: policy.Resource{Unnamed: true}})
	const want = "User: arn:aws:iam::111122223333:root is not authorized to perform: kms:Decrypt on the resource associated with this " +
		"ciphertext because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based " +
		"policy explicitly denies access"
	if d.Allowed || d.Denial() != want {
		t.Errorf("allowed: %v\n%s", d.Allowed, d.Denial())
	}
	if d := policy.Decide(policy.Request{}); d.Allowed {
		t.Error("nobody may do nothing to nothing")
	}
}

type script struct {
	policies  map[string]*policy.Source
	resources map[string]policy.Resource
	callers   map[string]caller
	context   map[string][]string // by key in lower case
	last      policy.Decision
}

// caller is who asks, with what its own account says of it.
type caller struct {
	policy.Principal
	own *policy.Permissions
}

func newScript() *script {
	return &script{map[string]*policy.Source{}, map[string]policy.Resource{}, map[string]caller{}, map[string][]string{}, policy.Decision{}}
}

func (s *script) run(line, block string) error {
	verb, rest, _ := strings.Cut(line, " ")
	request, because, _ := strings.Cut(rest, " because ")
	switch verb {
	case "key", "trust", "topic", "iam":
		return s.policy(verb, rest, block)
	case "resource":
		return s.resource(strings.Fields(rest))
	case "who":
		return s.who(strings.Fields(rest))
	case "given":
		return s.given(rest)
	case "ids":
		return s.ids(strings.Fields(rest))
	case "allow":
		if err := s.ask(request); err != nil {
			return err
		}
		if !s.last.Allowed || because != "" && s.last.Reason.String() != because {
			return fmt.Errorf("allowed is %v: %v", s.last.Allowed, s.last.Reason)
		}
		return nil
	case "deny":
		if err := s.ask(request); err != nil {
			return err
		}
		if s.last.Allowed || s.last.Reason.String() != because {
			return fmt.Errorf("allowed is %v: %v", s.last.Allowed, s.last.Reason)
		}
		return nil
	case "says":
		if got := s.last.Denial(); got != rest {
			return fmt.Errorf("the denial reads\n\t%s", got)
		}
		return nil
	}
	return fmt.Errorf("unknown word %q", verb)
}

var parsers = map[string]func(string) (*policy.Document, error){
	"key":   policy.ParseKeyPolicy,
	"trust": policy.ParseTrustPolicy,
	"topic": policy.ParseResourcePolicy,
	"iam":   policy.ParseIdentityPolicy,
}

func (s *script) policy(kind, rest, text string) error {
	name, managed, _ := strings.Cut(rest, " ")
	d, err := parsers[kind](text)
	s.policies[name] = &policy.Source{ARN: managed, Document: d}
	return err
}

func (s *script) ids(fields []string) error {
	from := s.policies[fields[0]]
	if from == nil {
		return fmt.Errorf("no policy %q", fields[0])
	}
	ids := map[string]string{}
	for _, field := range fields[2:] {
		of, id, _ := strings.Cut(field, "=")
		ids[of] = id
	}
	s.policies[fields[1]] = &policy.Source{Document: from.Document.WithUniqueIDs(ids)}
	return nil
}

func (s *script) resource(fields []string) error {
	a, err := arn.Parse(fields[1])
	if err != nil {
		return err
	}
	r := policy.Resource{ARN: fields[1], Account: a.Account}
	for _, option := range fields[2:] {
		name, isPolicy := strings.CutPrefix(option, "policy=")
		switch {
		case isPolicy && s.policies[name] != nil:
			r.Policy = s.policies[name].Document
		case option == "cross-account":
			r.CrossAccount = true
		case option == "unnamed":
			r.Unnamed = true
		case option == "granted":
			r.Granted = true
		default:
			return fmt.Errorf("unknown option %q", option)
		}
	}
	s.resources[fields[0]] = r
	return nil
}

func (s *script) who(fields []string) error {
	p, err := principal(fields[1])
	if err != nil {
		return err
	}
	c := caller{p, &policy.Permissions{}}
	for _, option := range fields[2:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "id":
			c.UniqueID = value
		case "issuer":
			c.Issuer = value
		case "provider":
			c.Provider = value
		case "iam":
			c.own.Identity, err = s.sources(value)
		case "boundary":
			var boundary []policy.Source
			if boundary, err = s.sources(value); err == nil {
				c.own.Boundary = &boundary[0]
			}
		case "session":
			c.own.HasSession = true
			c.own.Session, err = s.sources(value)
		default:
			err = fmt.Errorf("unknown option %q", option)
		}
		if err != nil {
			return err
		}
	}
	s.callers[fields[0]] = c
	return nil
}

func (s *script) sources(names string) (all []policy.Source, err error) {
	if names == "" {
		return nil, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		source := s.policies[name]
		if source == nil {
			return nil, fmt.Errorf("no policy %q", name)
		}
		all = append(all, *source)
	}
	return all, nil
}

func (s *script) given(rest string) error {
	if rest == "nothing" {
		s.context = map[string][]string{}
		return nil
	}
	key, values, found := strings.Cut(rest, " = ")
	if !found {
		return fmt.Errorf("want KEY = VALUE")
	}
	s.context[strings.ToLower(key)] = strings.Split(values, " | ")
	return nil
}

func (s *script) ask(request string) error {
	fields := strings.Fields(request)
	if len(fields) != 3 {
		return fmt.Errorf("want WHO ACTION RESOURCE")
	}
	who, known := s.callers[fields[0]]
	if !known {
		p, err := principal(fields[0])
		if err != nil {
			return err
		}
		who.Principal = p
	}
	r, ok := s.resources[fields[2]]
	if fields[2] == "*" {
		r, ok = policy.Resource{ARN: "*", Account: who.Account}, true
	}
	if !ok {
		return fmt.Errorf("unknown resource %q", fields[2])
	}
	s.last = policy.Decide(policy.Request{Principal: who.Principal, Permissions: who.own, Action: fields[1], Resource: r,
		Context: func(key string) ([]string, bool) {
			values, ok := s.context[key]
			return values, ok
		}})
	return nil
}

func principal(text string) (policy.Principal, error) {
	kind, name, _ := strings.Cut(text, ":")
	switch kind {
	case "service":
		return policy.Principal{Type: "AWSService", Service: name}, nil
	case "web":
		return policy.Principal{Type: "WebIdentityUser", Provider: name}, nil
	}
	account, name, _ := strings.Cut(name, "/")
	role, _, _ := strings.Cut(name, "/")
	iam, sts := "arn:aws:iam::"+account+":", "arn:aws:sts::"+account+":"
	switch kind {
	case "root":
		return policy.Principal{Type: "Root", ARN: iam + "root", Account: account}, nil
	case "user":
		return policy.Principal{Type: "IAMUser", ARN: iam + "user/" + name, Account: account}, nil
	case "session":
		return policy.Principal{Type: "AssumedRole", ARN: sts + "assumed-role/" + name, Account: account, Issuer: iam + "role/" + role}, nil
	case "federated":
		return policy.Principal{Type: "FederatedUser", ARN: sts + "federated-user/" + name, Account: account}, nil
	}
	return policy.Principal{}, fmt.Errorf("unknown principal %q", text)
}
