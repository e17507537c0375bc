package identity

import (
	"strings"

	"vigil/internal/call"
	"vigil/internal/policy"
	"vigil/internal/store"
)

// target is what a call names: a user, group or role by its name, a policy or a provider by its ARN.
type target struct {
	kind kind
	name string
}

// at is the place in the caller's account that the target names.
func (t target) at(account string) (place, error) {
	switch t.kind {
	case managed:
		p, ok := policyPlace(account, t.name)
		if !ok {
			if !strings.HasPrefix(t.name, "arn:") {
				return p, validation("ARN %s is not valid.", t.name)
			}
			return p, noSuch(managed, t.name)
		}
		return p, nil
	case provider:
		url, ok := strings.CutPrefix(t.name, "arn:aws:iam::"+account+":oidc-provider/")
		if !ok {
			return place{}, invalidInput("Invalid Open ID Connect Arn: %s", t.name)
		}
		return placeOf(account, provider, url), nil
	}
	return placeOf(account, t.kind, t.name), nil
}

// resource is the target's ARN, for the question whether the caller may: that of what is there, or what it could be.
func (t target) resource(account string, found thing) string {
	switch {
	case found != nil:
		return found.arn()
	case t.kind == managed || t.kind == provider:
		return t.name
	}
	return arnOf(account, t.kind, "/", t.name)
}

// same says whether what was found is what the target names: an ARN has more in it than a place.
func (t target) same(found thing) bool {
	return found != nil && (t.kind != managed && t.kind != provider || found.arn() == t.name)
}

// find is what a call names, if the caller may do with it what it calls for.
func (id *Identity) find(c *call.Call, t target) (thing, error) { return id.findIf(c, t, nil) }

// findIf is find with condition keys.
func (id *Identity) findIf(c *call.Call, t target, more keys) (thing, error) {
	p, err := t.at(c.Account())
	found := named[thing](id.known, p)
	if err := id.allow(c, t.resource(c.Account(), found), found, more); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if !t.same(found) {
		return nil, noSuch(t.kind, t.name)
	}
	return found, nil
}

// change changes what a call names, if the caller may. edit is given a copy of its own, as it is in the transaction.
func (id *Identity) change(c *call.Call, t target, more keys, edit func(thing) error) error {
	return id.changeIn(c, t, more, func(_ store.Tx, now thing) error { return edit(now) })
}

// changeIn is change for an edit that looks at more in the transaction.
func (id *Identity) changeIn(c *call.Call, t target, more keys, edit func(store.Tx, thing) error) error {
	found, err := id.findIf(c, t, more)
	if err != nil {
		return err
	}
	if found.at().account == awsAccount {
		return denied("Policy " + found.arn() + " is an AWS managed policy, which cannot be changed.")
	}
	c.Effect(func(tx store.Tx) error {
		now, err := again(tx, t, found)
		if err != nil {
			return err
		}
		if err := edit(tx, now); err != nil {
			return err
		}
		return id.save(tx, now)
	})
	return nil
}

// again is what was found before as it is in a transaction: the same one, though its content may be another.
func again(tx store.Tx, t target, found thing) (now thing, err error) {
	switch found.(type) {
	case *entity:
		now, err = thingOrNil(read[entity](tx, found.at()))
	case *managedPolicy:
		now, err = thingOrNil(read[managedPolicy](tx, found.at()))
	case *oidcProvider:
		now, err = thingOrNil(read[oidcProvider](tx, found.at()))
	case *accountAlias:
		now, err = thingOrNil(read[accountAlias](tx, found.at()))
	}
	if err == nil && (now == nil || now.uniqueID() != found.uniqueID()) {
		err = noSuch(t.kind, t.name)
	}
	return now, err
}

// thingOrNil makes a nil pointer a nil thing.
func thingOrNil[T any, P interface {
	*T
	thing
}](t *T, err error) (thing, error) {
	if t == nil {
		return nil, err
	}
	return P(t), err
}

// keys are condition keys by name, in lower case.
type keys map[string][]string

// requestTags adds the keys that tell which tags a request sets.
func (k keys) requestTags(set tags) keys {
	for _, t := range set {
		k["aws:requesttag/"+strings.ToLower(t.Key)] = []string{t.Value}
		k["aws:tagkeys"] = append(k["aws:tagkeys"], t.Key)
	}
	return k
}

// allow asks whether the caller may do what it calls for. found is the resource when it exists, whose tags are condition keys.
// Credentials of GetSessionToken and of GetFederationToken are for other services.
func (id *Identity) allow(c *call.Call, resource string, found thing, more keys) error {
	if s := c.Principal.Session; s != nil && c.Principal.Type != typeAssumedRole {
		return invalidToken()
	}
	return c.Allow("iam:"+c.Operation, policy.Resource{ARN: resource, Account: c.Account()}, func(key string) ([]string, bool) {
		if values, ok := more[key]; ok {
			return values, true
		}
		return tagKey(key, found)
	})
}

// tagKey is the value of aws:ResourceTag/name or iam:ResourceTag/name.
func tagKey(key string, found thing) ([]string, bool) {
	service, name, ok := strings.Cut(key, ":resourcetag/")
	t, has := found.(tagged)
	if !ok || !has || service != "aws" && service != "iam" {
		return nil, false
	}
	held := *t.tagList()
	if i := held.index(name); i >= 0 {
		return []string{held[i].Value}, true
	}
	return nil, false
}
