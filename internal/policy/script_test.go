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

// TestScripts runs testdata/*.txt, which say who may do what under which policy:
//
//	policy NAME                names the JSON text on the indented lines below it
//	resource NAME ARN [policy=NAME] [cross-account] [unnamed]
//	                           something to ask about; its account is the ARN's
//	allow WHO ACTION RESOURCE  the request must be allowed
//	deny WHO ACTION RESOURCE because REASON
//	                           it must be denied for this reason: a policy.Reason in words
//	says TEXT                  what the denial above must read
//
// WHO is root:ACCOUNT, user:ACCOUNT/NAME or session:ACCOUNT/ROLE/NAME. RESOURCE is a name given before, or *. A line that begins
// with # is a comment.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := script{policies: map[string]*policy.Document{}, resources: map[string]policy.Resource{}}
			lines := strings.Split(string(text), "\n")
			for i := 0; i < len(lines); {
				line, at := lines[i], i+1
				i++
				var block []string
				for i < len(lines) && strings.HasPrefix(lines[i], "    ") {
					block = append(block, lines[i])
					i++
				}
				if err := s.run(line, strings.Join(block, "\n")); err != nil {
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
	policies  map[string]*policy.Document
	resources map[string]policy.Resource
	last      policy.Decision
}

func (s *script) run(line, block string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "", "#":
		return nil
	case "policy":
		d, err := policy.ParseKeyPolicy(block)
		s.policies[rest] = d
		return err
	case "resource":
		return s.resource(strings.Fields(rest))
	case "allow":
		if err := s.ask(rest); err != nil {
			return err
		}
		if !s.last.Allowed {
			return fmt.Errorf("denied: %v", s.last.Reason)
		}
		return nil
	case "deny":
		request, because, _ := strings.Cut(rest, " because ")
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
			r.Policy = s.policies[name]
		case option == "cross-account":
			r.CrossAccount = true
		case option == "unnamed":
			r.Unnamed = true
		default:
			return fmt.Errorf("unknown option %q", option)
		}
	}
	s.resources[fields[0]] = r
	return nil
}

func (s *script) ask(request string) error {
	fields := strings.Fields(request)
	if len(fields) != 3 {
		return fmt.Errorf("want WHO ACTION RESOURCE")
	}
	who, err := principal(fields[0])
	if err != nil {
		return err
	}
	r, ok := s.resources[fields[2]]
	if fields[2] == "*" {
		r, ok = policy.Resource{ARN: "*", Account: who.Account}, true
	}
	if !ok {
		return fmt.Errorf("unknown resource %q", fields[2])
	}
	s.last = policy.Decide(policy.Request{Principal: who, Action: fields[1], Resource: r})
	return nil
}

func principal(text string) (policy.Principal, error) {
	kind, name, _ := strings.Cut(text, ":")
	account, name, _ := strings.Cut(name, "/")
	switch kind {
	case "root":
		return policy.Principal{Type: "Root", ARN: arn.Root("", account), Account: account}, nil
	case "user":
		return policy.Principal{Type: "IAMUser", ARN: "arn:aws:iam::" + account + ":user/" + name, Account: account}, nil
	case "session":
		return policy.Principal{Type: "AssumedRole", ARN: "arn:aws:sts::" + account + ":assumed-role/" + name, Account: account}, nil
	}
	return policy.Principal{}, fmt.Errorf("unknown principal %q", text)
}
