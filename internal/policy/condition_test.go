package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"vigil/internal/policy"
)

// TestConditions runs testdata/conditions/*.txt, which say when a Condition holds:
//
//	when JSON               the Condition below is about
//	allow KEY=VALUE; …      it holds for a request with these condition keys
//	deny KEY=VALUE; …       it does not
//
// A value with | is a key with many values, [] one with none, and nothing stands for no keys. Every line is asked of an Allow
// and, the other way round, of a Deny.
func TestConditions(t *testing.T) {
	eachScript(t, "testdata/conditions/*.txt", func() func(line, block string) error {
		var s conditions
		return s.run
	})
}

type conditions struct{ allowing, denying *policy.Document }

func (s *conditions) run(line, block string) (err error) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "when":
		const all = `"Principal":"*","Action":"kms:*","Resource":"*"`
		s.allowing, err = policy.ParseKeyPolicy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + all + `,"Condition":` + rest + block + `}}`)
		if err != nil {
			return err
		}
		s.denying, err = policy.ParseKeyPolicy(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + all + `},
			{"Effect":"Deny",` + all + `,"Condition":` + rest + block + `}]}`)
		return err
	case "allow", "deny":
		context, err := parseContext(rest)
		if err != nil {
			return err
		}
		holds := verb == "allow"
		if got := s.ask(s.allowing, context); got != holds {
			return fmt.Errorf("an Allow with this condition: allowed is %v", got)
		}
		if got := s.ask(s.denying, context); got == holds {
			return fmt.Errorf("a Deny with this condition: allowed is %v", got)
		}
		return nil
	}
	return fmt.Errorf("unknown word %q", verb)
}

func (s *conditions) ask(d *policy.Document, context policy.Context) bool {
	return policy.Decide(policy.Request{
		Principal: policy.Principal{Type: "Root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"},
		Action:    "kms:Encrypt",
		Resource:  policy.Resource{ARN: "arn:aws:kms:us-east-1:111122223333:key/a", Account: "111122223333", Policy: d},
		Context:   context,
	}).Allowed
}

// parseContext reads the keys of a line. It asks that the evaluator gives names in lower case.
func parseContext(text string) (policy.Context, error) {
	keys := map[string][]string{}
	if text != "nothing" {
		for pair := range strings.SplitSeq(text, "; ") {
			key, value, found := strings.Cut(pair, "=")
			if !found {
				return nil, fmt.Errorf("want KEY=VALUE: %q", pair)
			}
			switch {
			case value == "[]":
				keys[strings.ToLower(key)] = nil
			case strings.Contains(value, "|"):
				keys[strings.ToLower(key)] = strings.Split(value, "|")
			default:
				keys[strings.ToLower(key)] = []string{value}
			}
		}
	}
	return func(key string) ([]string, bool) {
		values, ok := keys[key]
		return values, ok
	}, nil
}
