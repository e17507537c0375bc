package identity

//lint:file-ignore SA1019 PackedPolicySize is deprecated, but STS answers with it still.

import (
	"context"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/policy"
)

const (
	defaultSession = 3600 // seconds
	chainedSession = 3600 // seconds that a session that was made by a session lasts at most
	maxPolicyARNs  = 10
	roleType       = "AWS::IAM::Role"
)

func allowSTS(c *call.Call, action, resource string, conditions policy.Context) error {
	return c.Allow(action, policy.Resource{ARN: resource, Account: c.Account()}, conditions)
}

// wanted is a role that is to be assumed, and what the session is to be like.
type wanted struct {
	arn     arn.ARN
	name    string // the ARN's text
	role    *entity
	session *session
	context keys // condition keys of the request
}

// want reads what AssumeRole and its relatives have in common.
func (id *Identity) want(c *call.Call, roleARN, sessionName string, document *string, managed []types.PolicyDescriptorType) (*wanted, error) {
	a, err := arn.Parse(roleARN)
	if err != nil || a.Service != "iam" || a.Region != "" || !accountForm.MatchString(a.Account) || !strings.HasPrefix(a.Resource, "role/") {
		return nil, validation("%s is invalid", roleARN)
	}
	w := &wanted{arn: a, name: roleARN, session: &session{Type: typeAssumedRole, Account: a.Account, Name: sessionName}}
	w.context = keys{"sts:rolesessionname": {sessionName}}
	c.Touch(roleType, a)
	if err := w.session.limit(document, managed); err != nil {
		return nil, err
	}
	found := id.known.entity(a.Account, role, roleARN[strings.LastIndexByte(roleARN, '/')+1:])
	if found != nil && found.arn() == roleARN {
		w.role, w.session.Holder = found, found.ID
	}
	return w, nil
}

// limit bounds a session by policies, an inline one and managed ones.
func (s *session) limit(document *string, managed []types.PolicyDescriptorType) error {
	total := 0
	if document != nil {
		if _, err := policy.ParseSessionPolicy(*document); err != nil {
			return malformed(err)
		}
		s.Policy, s.Limited = *document, true
		total += len(*document)
	}
	for _, m := range managed {
		if m.Arn == nil {
			continue
		}
		if p, ok := policyPlace(s.Account, *m.Arn); !ok || p.name == "" {
			return validation("Invalid ARN:  %s is not the ARN of a managed policy of the account.", *m.Arn)
		}
		s.PolicyARNs, s.Limited = append(s.PolicyARNs, *m.Arn), true
		total += len(*m.Arn)
	}
	switch {
	case len(s.PolicyARNs) > maxPolicyARNs:
		return call.Errorf("LimitExceeded", "The number of managed session policies exceeds %d.", maxPolicyARNs)
	case total > policy.MaxSession:
		return packedTooLarge((100*total + policy.MaxSession - 1) / policy.MaxSession)
	}
	return nil
}

func packedTooLarge(percent int) error {
	return call.Errorf("PackedPolicyTooLargeException", "Packed size of session tags and session policies consumes %d%% of allotted space.", percent)
}

func invalidParameter(format string, args ...any) error {
	return call.Errorf("InvalidParameterValue", format, args...)
}

// resource is the role as the policy package sees it. One that does not exist trusts nobody, and is told from one that does
// in no other way.
func (w *wanted) resource() policy.Resource {
	r := policy.Resource{ARN: w.name, Account: w.arn.Account, Policy: policy.NoTrust, CrossAccount: true}
	if w.role != nil {
		r.Policy = w.role.trust
	}
	return r
}

// conditions are the request's condition keys: its own and the role's tags.
func (w *wanted) conditions(key string) ([]string, bool) {
	if values, ok := w.context[key]; ok {
		return values, true
	}
	if w.role == nil {
		return nil, false
	}
	return tagKey(key, w.role)
}

// allow asks whether the caller may assume the role in this way: with its tags and its source identity too.
func (w *wanted) allow(c *call.Call, action string) error {
	actions := []string{action}
	if len(w.session.Tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if _, set := w.context["sts:sourceidentity"]; set {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		if err := c.Allow(action, w.resource(), w.conditions); err != nil {
			return err
		}
	}
	return nil
}

// assumeRole makes a session of a role. In the role's account its trust policy decides; a caller of another account needs the
// permission of its own account as well.
func (id *Identity) assumeRole(_ context.Context, c *call.Call, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	w, err := id.want(c, *in.RoleArn, *in.RoleSessionName, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	switch {
	case in.SerialNumber != nil || in.TokenCode != nil:
		return nil, call.NotBuilt("An MFA device")
	case len(in.ProvidedContexts) > 0:
		return nil, call.NotBuilt("A provided context")
	}
	if in.DurationSeconds == nil {
		in.DurationSeconds = new(int32(defaultSession))
	}
	if in.ExternalId != nil {
		w.context["sts:externalid"] = []string{*in.ExternalId}
	}
	if err := w.tag(c, in.Tags, in.TransitiveTagKeys); err != nil {
		return nil, err
	}
	if err := w.setSourceIdentity(c, in.SourceIdentity); err != nil {
		return nil, err
	}
	switch {
	case c.Principal.Type == typeRoot:
		return nil, denied("Roles may not be assumed by root accounts.")
	case c.Principal.Type == typeFederated:
		return nil, accessDenied(c, "sts:AssumeRole", w.name)
	}
	if err := w.allow(c, "sts:AssumeRole"); err != nil {
		return nil, err
	}
	if w.role == nil {
		return nil, accessDenied(c, "sts:AssumeRole", w.name)
	}
	if err := w.last(*in.DurationSeconds, isChained(c)); err != nil {
		return nil, err
	}
	made, err := id.mint(w.session, c.Time, *in.DurationSeconds, in.MinimumSessionTokenSize)
	if err != nil {
		return nil, err
	}
	out := &sts.AssumeRoleOutput{AssumedRoleUser: w.user(), Credentials: made.credentials, PackedPolicySize: made.packed,
		SessionTokenSize: made.size, SessionTokenUtilization: made.utilization}
	if w.session.SourceIdentity != "" {
		out.SourceIdentity = &w.session.SourceIdentity
	}
	return out, nil
}

func accessDenied(c *call.Call, action, resource string) error {
	return denied("User: " + c.Principal.ARN + " is not authorized to perform: " + action + " on resource: " + resource)
}

// isChained says whether the caller is itself the session of a role.
func isChained(c *call.Call) bool { return c.Principal.Type == typeAssumedRole }

// last checks how long the session is to be, in seconds.
func (w *wanted) last(seconds int32, chained bool) error {
	switch {
	case chained && seconds > chainedSession:
		return validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case seconds > w.role.MaxSession:
		return validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

// user is the session as the answer names it.
func (w *wanted) user() *types.AssumedRoleUser {
	return &types.AssumedRoleUser{
		Arn: new(assumedRoleARN(w.role, w.session.Name)), AssumedRoleId: new(w.role.ID + ":" + w.session.Name),
	}
}

// tag gives the session tags: those that the calling session hands on, which cannot be changed, and those of the request.
func (w *wanted) tag(c *call.Call, list []types.Tag, transitive []string) error {
	set, err := sessionTags(list)
	if err != nil {
		return err
	}
	if len(set) > maxTags {
		return invalidParameter("The number of session tags exceeds %d.", maxTags)
	}
	inherited := inheritedTags(c)
	for _, key := range transitive {
		switch {
		case inherited.index(key) >= 0:
			return invalidParameter("One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
		case set.index(key) < 0:
			return invalidParameter("The specified transitive tag key must be included in the requested tags.")
		}
	}
	for _, one := range set {
		if inherited.index(one.Key) >= 0 {
			return invalidParameter("One of the specified tags can't be set because it conflicts with a transitive tag from the calling session.")
		}
	}
	w.session.Tags = inherited.with(set)
	for _, one := range inherited {
		w.session.Transitive = append(w.session.Transitive, one.Key)
	}
	w.session.Transitive = append(w.session.Transitive, transitive...)
	w.context.requestTags(w.session.Tags)
	if len(w.session.Transitive) > 0 {
		w.context["sts:transitivetagkeys"] = w.session.Transitive
	}
	return nil
}

// sessionTags reads the tags of a request.
func sessionTags(list []types.Tag) (set tags, err error) {
	for _, one := range list {
		if set.index(*one.Key) >= 0 {
			return nil, invalidParameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(strings.ToLower(*one.Key), "aws:") {
			return nil, invalidParameter("Tag keys that begin with aws: are reserved.")
		}
		set = append(set, tag{*one.Key, *one.Value})
	}
	return set, nil
}

// inheritedTags are the tags that the calling session hands on.
func inheritedTags(c *call.Call) (inherited tags) {
	if c.Principal.Session == nil {
		return nil
	}
	for _, key := range c.Principal.Session.Transitive {
		inherited = append(inherited, tag{key, c.Principal.Tags[key]})
	}
	return inherited
}

var sourceIdentityForm = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// setSourceIdentity gives the session a source identity. That of the calling session stays.
func (w *wanted) setSourceIdentity(c *call.Call, given *string) error {
	before := ""
	if s := c.Principal.Session; s != nil {
		before = s.SourceIdentity
	}
	switch {
	case given == nil && before == "":
		return nil
	case given == nil:
		given = &before
	case strings.HasPrefix(strings.ToLower(*given), "aws:") || !sourceIdentityForm.MatchString(*given):
		return validation("The source identity %s is not valid.", *given)
	case before != "" && before != *given:
		return denied("The source identity of the calling session cannot be changed.")
	}
	w.session.SourceIdentity = *given
	w.context["sts:sourceidentity"] = []string{*given}
	return nil
}
