package kms

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/policy"
)

// question is one permission that a call asks for. It answers what the conditions of policies ask of it: see the KMS
// developer guide's "AWS KMS condition keys". Nothing of that is computed before a policy asks.
//
// What the input of an operation tells conditions is in asked (conditions_request.go): a new operation adds its case
// there, and gives its input to access.with.
type question struct {
	ctx   context.Context
	k     *KMS
	c     *call.Call
	a     access
	of    *key   // nil for what is not about a key
	named string // how the caller names the key; empty if it does not
}

// value is a policy.Context.
func (q *question) value(condition string) ([]string, bool) {
	name, ours := strings.CutPrefix(condition, "kms:")
	if !ours {
		return q.tag(condition)
	}
	switch name {
	case "calleraccount":
		return one(q.c.Account())
	case "viaservice":
		return one(viaService(q.c))
	case "requestalias":
		return one(q.requestAlias())
	case "reencryptonsamekey":
		return q.reEncryptOnSameKey()
	case "trailingdayswithoutkeyusage":
		return q.trailingDays()
	case "encryptioncontextkeys":
		return q.contextKeys()
	}
	if pair, ok := strings.CutPrefix(name, "encryptioncontext:"); ok {
		return q.contextValue(pair)
	}
	if measured, ok := strings.CutPrefix(name, "recipientattestation:"); ok {
		return q.a.recipient.measured(measured)
	}
	if values, ok := asked(q.a.in, q.a.action, name, q.c); ok {
		return values, true
	}
	if q.of == nil {
		return nil, false
	}
	return q.of.property(name)
}

// one is a key with a value, or a missing one.
func one(value string) ([]string, bool) {
	if value == "" {
		return nil, false
	}
	return []string{value}, true
}

// property is what conditions are told of a key itself.
func (k *key) property(name string) ([]string, bool) {
	switch name {
	case "keyspec", "customermasterkeyspec":
		return one(string(k.spec))
	case "keyusage", "customermasterkeyusage":
		return one(string(k.usage))
	case "keyorigin":
		return one(string(k.origin))
	case "multiregion":
		return one(strconv.FormatBool(k.multiRegion != ""))
	case "multiregionkeytype":
		return one(string(k.multiRegion))
	case "resourcealiases":
		if len(k.aliases) > maxAliases { // who relies on them is refused then
			return nil, false
		}
		return k.aliases, len(k.aliases) > 0
	}
	return nil, false
}

// tag is a condition key of tags: of the key, or of the request.
func (q *question) tag(condition string) ([]string, bool) {
	if condition == "aws:resourceaccount" && q.of != nil {
		return one(q.of.ref.account)
	}
	if name, ok := strings.CutPrefix(condition, "aws:resourcetag/"); ok && q.of != nil {
		return tagNamed(q.of.tags, name)
	}
	if name, ok := strings.CutPrefix(condition, "aws:requesttag/"); ok {
		return tagNamed(tagsOf(q.a.in), name)
	}
	if condition != "aws:tagkeys" {
		return nil, false
	}
	if in, ok := q.a.in.(*kms.UntagResourceInput); ok {
		return in.TagKeys, true
	}
	var names []string
	for _, tag := range tagsOf(q.a.in) {
		names = append(names, *tag.TagKey)
	}
	return names, len(names) > 0
}

// tagNamed is the value of a tag whose name is given in lower case. It may be empty.
func tagNamed(tags []types.Tag, name string) ([]string, bool) {
	for _, tag := range tags {
		if strings.EqualFold(*tag.TagKey, name) {
			return []string{*tag.TagValue}, true
		}
	}
	return nil, false
}

// tagsOf are the tags that a request gives.
func tagsOf(in any) []types.Tag {
	switch in := in.(type) {
	case *kms.CreateKeyInput:
		return in.Tags
	case *kms.ReplicateKeyInput:
		return in.Tags
	case *kms.TagResourceInput:
		return in.Tags
	}
	return nil
}

// viaService is the service that calls in the caller's name, as SERVICE.REGION.amazonaws.com. It is empty for a direct
// call.
func viaService(c *call.Call) string {
	p := &c.Principal
	if p.Service == "" || p.Type == typeService {
		return ""
	}
	service, rest, _ := strings.Cut(p.Service, ".")
	if rest == "amazonaws.com" {
		return service + "." + c.Region + ".amazonaws.com"
	}
	return p.Service
}

// typeService is the type of a principal that is a service itself.
const typeService = "AWSService"

// byService says that a service calls, for itself or in somebody's name.
func byService(c *call.Call) bool { return c.Principal.Service != "" }

// requestAlias is the name of the alias by which the caller names the key, for operations that look for keys by alias.
func (q *question) requestAlias() string {
	if !q.a.aliases {
		return ""
	}
	if strings.HasPrefix(q.named, "alias/") {
		return q.named
	}
	if target, ok := parseARN(q.named); ok && target.Type() == "alias" {
		return target.Resource
	}
	return ""
}

// contextValue is the value of a pair of the encryption context, by its name in lower case. Pairs whose names differ in
// nothing but case are all of it.
func (q *question) contextValue(name string) (values []string, ok bool) {
	for pair, value := range q.context() {
		if strings.EqualFold(pair, name) {
			values = append(values, value)
		}
	}
	return values, len(values) > 0
}

func (q *question) contextKeys() (names []string, ok bool) {
	for name := range q.context() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, len(names) > 0
}

// context is the encryption context that the question is about: only symmetric encryption keys have one.
func (q *question) context() map[string]string {
	if q.of != nil && q.of.spec != types.KeySpecSymmetricDefault {
		return nil
	}
	return encryptionContext(q.a.in, q.a.action)
}

// reEncryptOnSameKey tells, at both questions of ReEncrypt, whether both are about one key.
func (q *question) reEncryptOnSameKey() ([]string, bool) {
	in, ok := q.a.in.(*kms.ReEncryptInput)
	if !ok || q.of == nil {
		return nil, false
	}
	var other keyRef
	if q.a.action == "kms:ReEncryptFrom" {
		other = q.place(*in.DestinationKeyId)
	} else if header, err := keycrypt.ParseBlob(in.CiphertextBlob); err == nil {
		other = q.place(header.KeyARN)
	} else if in.SourceKeyId != nil {
		other = q.place(*in.SourceKeyId)
	}
	return one(strconv.FormatBool(other == q.of.ref))
}

// place is where the key is that a name means, or the zero place.
func (q *question) place(name string) keyRef {
	alias := aliasRef{q.c.Account(), q.c.Region, name}
	if target, ok := parseARN(name); ok {
		if target.Type() != "alias" {
			return keyRef{target.Account, target.Region, target.ID()}
		}
		alias = aliasRef{target.Account, target.Region, target.Resource}
	} else if !strings.HasPrefix(name, "alias/") {
		return keyRef{q.c.Account(), q.c.Region, name}
	}
	id, err := q.k.target(q.ctx, alias)
	if err != nil {
		return keyRef{}
	}
	return keyRef{alias.account, alias.region, id}
}

// trailingDays is how many whole days have passed since the key was last used, or since it was created if it never
// was: all uses of a key are tracked.
func (q *question) trailingDays() ([]string, bool) {
	switch q.a.in.(type) {
	case *kms.DisableKeyInput, *kms.ScheduleKeyDeletionInput:
	default:
		return nil, false
	}
	if q.of == nil || q.k.lastUse == nil {
		return nil, false
	}
	since := q.of.created
	usage, used, err := q.k.lastUse(q.ctx, q.of.text)
	if err != nil {
		q.k.log.Error("the last use of a key could not be found for a condition", "key", q.of.text, "error", err)
		return nil, false
	}
	if used {
		since = usage.Time
	}
	days := math.Floor(q.c.Time.Sub(since).Hours() / 24)
	return one(strconv.FormatFloat(max(days, 0), 'f', 0, 64))
}

func number(n *int32) ([]string, bool) {
	if n == nil {
		return nil, false
	}
	return one(strconv.Itoa(int(*n)))
}

func seconds(t *time.Time) ([]string, bool) {
	if t == nil {
		return nil, false
	}
	return one(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64))
}

func text(s *string) ([]string, bool) {
	if s == nil {
		return nil, false
	}
	return one(*s)
}

// conditionsOf is what conditions are told when a permission is asked for that is about no key that exists.
func conditionsOf(c *call.Call, a access) policy.Context {
	return (&question{c: c, a: a}).value
}
