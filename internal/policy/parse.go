package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// MalformedError says what is wrong with the text of a policy, in words that may be shown to who wrote it. They are AWS's
// where AWS's are known.
type MalformedError struct {
	Message string // as AWS says it
	Place   string // where, such as "Statement[0].Action" or "line 1, column 12"; may be empty
}

// Error is the message with the place.
func (e *MalformedError) Error() string {
	if e.Place == "" {
		return e.Message
	}
	return e.Message + " (" + e.Place + ")"
}

func malformed(format string, args ...any) error {
	return &MalformedError{Message: fmt.Sprintf(format, args...)}
}

// Versions of the policy language. The older one, which is meant when none is given, has no variables.
const (
	version2008 = "2008-10-17"
	version2012 = "2012-10-17"
)

// ParseKeyPolicy reads and compiles a key policy, in the grammar of the IAM user guide's "Grammar of the IAM JSON policy
// language" and of the KMS developer guide's "Elements in a key policy". Its errors are *MalformedError.
//
// A statement without Action or Resource is accepted and has no effect, as in AWS KMS. Principals must have the form of one;
// that they exist is not asked. Values of conditions are not looked at. The length of the text is the caller's to limit.
func ParseKeyPolicy(text string) (*Document, error) {
	root, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	policy, err := root.object("The policy", "Version", "Id", "Statement")
	if err != nil {
		return nil, err
	}
	version := version2008
	if n, ok := policy["Version"]; ok {
		if version, err = n.string("Version"); err != nil {
			return nil, err
		}
		if version != version2008 && version != version2012 {
			return nil, malformed("Syntax errors in policy: Version must be %s or %s", version2012, version2008)
		}
	}
	if n, ok := policy["Id"]; ok {
		if _, err := n.string("Id"); err != nil {
			return nil, err
		}
	}
	statements, ok := policy["Statement"]
	if !ok {
		return nil, malformed("Missing required field Statement")
	}
	return parseStatements(statements, version)
}

// parseStatements reads one statement, or an array of them.
func parseStatements(n node, version string) (*Document, error) {
	list := []node{n}
	if n.kind == '[' {
		list = n.items
	}
	if len(list) == 0 {
		return nil, malformed("Syntax errors in policy: Statement is empty")
	}
	d := new(Document)
	sids := make(map[string]bool)
	for i, n := range list {
		where := fmt.Sprintf("Statement[%d]", i)
		fields, err := n.object(where, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
			"Condition")
		if err != nil {
			return nil, err
		}
		s, err := parseStatement(where, fields, version)
		if err != nil {
			return nil, err
		}
		if s.sid != "" && sids[s.sid] {
			return nil, malformed("Statement IDs (SID) in a single policy must be unique. %q is there twice", s.sid)
		}
		sids[s.sid] = true
		d.principals = append(d.principals, s.principals)
		if !s.actions.given() || !s.resources.given() {
			continue
		}
		if fields["Effect"].text == "Deny" {
			d.denies = append(d.denies, s)
		} else {
			d.allows = append(d.allows, s)
		}
	}
	return d, nil
}

func parseStatement(where string, fields map[string]node, version string) (s statement, err error) {
	if n, ok := fields["Sid"]; ok {
		if s.sid, err = n.string(where + ".Sid"); err != nil {
			return s, err
		}
	}
	effect, ok := fields["Effect"]
	if !ok {
		return s, malformed("Missing required field Effect (%s)", where)
	}
	if effect.kind != '"' || effect.text != "Allow" && effect.text != "Deny" {
		return s, malformed("Syntax errors in policy: %s.Effect must be Allow or Deny", where)
	}
	if s.principals, err = parsePrincipals(where, fields); err != nil {
		return s, err
	}
	if s.actions, err = parseActions(where, fields); err != nil {
		return s, err
	}
	if s.resources, err = parseResources(where, fields, version); err != nil {
		return s, err
	}
	s.unevaluated = s.resources.variable
	if n, ok := fields["Condition"]; ok {
		if s.conditions, err = parseConditions(where+".Condition", n); err != nil {
			return s, err
		}
		// An operator without keys counts too: what it means is for the evaluation of conditions to say.
		s.unevaluated = s.unevaluated || len(n.members) > 0
	}
	return s, nil
}

// oneOf is the element name, or its opposite Not + name, whichever the statement has.
func oneOf(where string, fields map[string]node, name string) (n node, element string, not bool, err error) {
	n, yes := fields[name]
	opposite, not := fields["Not"+name]
	switch {
	case yes && not:
		return node{}, "", false, malformed("Syntax errors in policy: %s has both %s and Not%s", where, name, name)
	case yes:
		return n, name, false, nil
	case not:
		return opposite, "Not" + name, true, nil
	}
	return node{}, "", false, nil
}

const invalidPrincipals = "Policy contains a statement with one or more invalid principals. "

func parsePrincipals(where string, fields map[string]node) (s principalSet, err error) {
	n, element, not, err := oneOf(where, fields, "Principal")
	if err != nil {
		return s, err
	}
	s.not = not
	switch {
	case element == "" || n.kind == '{' && len(n.members) == 0:
		return s, malformed("Policy contains a statement with no principal. (%s)", where)
	case n.kind == '"' && n.text == "*":
		s.everyone = true
		return s, nil
	case n.kind != '{':
		return s, malformed(invalidPrincipals+`%s.%s must be "*" or an object`, where, element)
	}
	for _, m := range n.members {
		place := where + "." + element + "." + m.name
		if _, known := principalForms[m.name]; !known && m.name != "AWS" {
			return s, malformed(invalidPrincipals+"%s is not one of %s", place, principalKinds)
		}
		ids, err := m.value.strings(place)
		if err != nil {
			return s, err
		}
		if len(ids) == 0 {
			return s, malformed("Policy contains a statement with no principal. (%s)", place)
		}
		for _, id := range ids {
			if !s.add(m.name, id) {
				return s, malformed(invalidPrincipals+"%s: %q", place, id)
			}
		}
	}
	return s, nil
}

// vendorForm is the service's part of an action.
var vendorForm = regexp.MustCompile(`^([A-Za-z0-9.-]+|\*)$`)

func parseActions(where string, fields map[string]node) (s actionSet, err error) {
	n, element, not, err := oneOf(where, fields, "Action")
	if err != nil || element == "" {
		return s, err
	}
	place := where + "." + element
	texts, err := n.strings(place)
	if err != nil {
		return s, err
	}
	if len(texts) == 0 {
		return s, malformed("Policy statement must contain actions. (%s)", place)
	}
	for _, text := range texts {
		vendor, name, found := strings.Cut(text, ":")
		switch {
		case text == "*":
		case !found:
			return s, malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. (%s: %q)", place, text)
		case strings.Contains(name, ":"):
			return s, malformed("Actions/Condition can contain only one colon. (%s: %q)", place, text)
		case !vendorForm.MatchString(vendor):
			return s, malformed("Vendor %s is not valid (%s)", vendor, place)
		}
		s.patterns = append(s.patterns, compilePattern(text, true))
	}
	s.not = not
	return s, nil
}

func (a *actionSet) given() bool { return len(a.patterns) > 0 }

func parseResources(where string, fields map[string]node, version string) (s resourceSet, err error) {
	n, element, not, err := oneOf(where, fields, "Resource")
	if err != nil || element == "" {
		return s, err
	}
	place := where + "." + element
	texts, err := n.strings(place)
	if err != nil {
		return s, err
	}
	if len(texts) == 0 {
		return s, malformed("Policy statement must contain resources. (%s)", place)
	}
	for _, text := range texts {
		p, ok := compileARNPattern(text)
		if !ok {
			return s, malformed(`Resource %s must be in ARN format or "*". (%s)`, text, place)
		}
		s.patterns = append(s.patterns, p)
		s.variable = s.variable || version == version2012 && strings.Contains(text, "${")
	}
	s.not = not
	return s, nil
}

func (r *resourceSet) given() bool { return len(r.patterns) > 0 }

func parseConditions(place string, n node) ([]condition, error) {
	if n.kind != '{' {
		return nil, malformed("Syntax errors in policy: %s must be an object", place)
	}
	var all []condition
	for _, operator := range n.members {
		form, ok := parseOperator(operator.name)
		if !ok {
			return nil, malformed("Invalid Condition type : %s (%s)", operator.name, place)
		}
		place := place + "." + operator.name
		if operator.value.kind != '{' {
			return nil, malformed("Syntax errors in policy: %s must be an object", place)
		}
		for _, key := range operator.value.members {
			c := form
			c.key = key.name
			if text := c.overlyPermissive(); text != "" {
				return nil, malformed("%s", text)
			}
			values, err := key.value.scalars(place + "." + key.name)
			if err != nil {
				return nil, err
			}
			c.values = values
			all = append(all, c)
		}
	}
	return all, nil
}

// object is the members of an object by name, which must be among known.
func (n node) object(place string, known ...string) (map[string]node, error) {
	if n.kind != '{' {
		return nil, malformed("Syntax errors in policy: %s must be an object", place)
	}
	members := make(map[string]node, len(n.members))
	for _, m := range n.members {
		ok := false
		for _, name := range known {
			ok = ok || name == m.name
		}
		if !ok {
			return nil, malformed("Syntax errors in policy: %s has the unknown field %q", place, m.name)
		}
		members[m.name] = m.value
	}
	return members, nil
}

func (n node) string(place string) (string, error) {
	if n.kind != '"' {
		return "", malformed("Syntax errors in policy: %s must be a string", place)
	}
	return n.text, nil
}

// strings is a string, or an array of strings.
func (n node) strings(place string) ([]string, error) {
	return n.texts(place, "strings", `"`)
}

// scalars is a string, number or Boolean, or an array of them, each as its text.
func (n node) scalars(place string) ([]string, error) {
	return n.texts(place, "strings, numbers and Booleans", `"0tf`)
}

func (n node) texts(place, what, kinds string) ([]string, error) {
	list := []node{n}
	if n.kind == '[' {
		list = n.items
	}
	var texts []string
	for _, item := range list {
		if !strings.ContainsRune(kinds, rune(item.kind)) {
			return nil, malformed("Syntax errors in policy: %s must hold %s only", place, what)
		}
		texts = append(texts, item.text)
	}
	return texts, nil
}
