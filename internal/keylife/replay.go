package keylife

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// keep takes a change. When there are too many, the oldest are forgotten, but for what came of them.
func (f *Fold) keep(c *changed) {
	f.changes = append(f.changes, c)
	if len(f.changes) < 2*MaxChanges {
		return
	}
	f.inOrder()
	f.once()
	var kept []*changed
	old := f.changes[:max(0, len(f.changes)-MaxChanges)]
	for _, c := range old {
		f.base.step(c)
		if c.Operation == "CreateKey" || c.Operation == "DeleteKey" {
			kept = append(kept, c)
			c.apply, c.policy, c.standard = nil, nil, false // it is in the base
			continue
		}
		f.leftOut++
	}
	f.changes = slices.Concat(kept, f.changes[len(old):])
}

func (f *Fold) inOrder() {
	slices.SortFunc(f.changes, func(a, b *changed) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.order, b.order)) })
}

// once leaves one of the changes that are the same event, as records of it may be in several versions or, with other members, from several sources: the one
// that says most.
func (f *Fold) once() {
	type event struct {
		id, operation string
		at            int64
	}
	met := make(map[event]*changed, len(f.changes))
	f.changes = slices.DeleteFunc(f.changes, func(c *changed) bool {
		e := event{c.EventID, c.Operation, c.Time.Unix()}
		have := met[e]
		if c.EventID == "" || have == nil {
			met[e] = c
			return false
		}
		if cmp.Or(cmp.Compare(len(c.Details), len(have.Details)), cmp.Compare(len(c.What), len(have.What)), cmp.Compare(c.What, have.What)) > 0 {
			*have = *c
		}
		return true
	})
}

// course is the state of the key while its changes are gone through in order, and since when.
type course struct {
	State
	policy   *policyDocument // nil if it is not on record
	disabled time.Time       // since when it can not be used, or zero
	key      string          // the key's ARN
}

func newCourse(key string) course { return course{State: State{Tags: map[string]string{}}, key: key} }

func (s *course) clone() course {
	d := *s
	d.Tags = maps.Clone(s.Tags)
	d.Aliases, d.Regions = slices.Clone(s.Aliases), slices.Clone(s.Regions)
	return d
}

// step takes one change, and says what became of the policy.
func (s *course) step(c *changed) *PolicyDiff {
	usable := s.usable()
	if c.apply != nil {
		c.apply(&s.State)
	}
	if s.usable() {
		s.disabled = time.Time{}
	} else if usable || s.disabled.IsZero() {
		s.disabled = c.Time
	}
	switch {
	case c.standard:
		s.Policy, s.DefaultOnly, s.policy = "", true, defaultPolicy(s.key)
		return &PolicyDiff{Default: true}
	case c.policy != nil:
		d, now := diffPolicy(s.policy, *c.policy)
		s.Policy, s.DefaultOnly, s.policy = *c.policy, false, now
		return d
	case c.Operation == "PutKeyPolicy":
		s.Policy, s.DefaultOnly, s.policy = "", false, nil
		return &PolicyDiff{NotOnRecord: true}
	}
	return nil
}

// usable says that the key can be used, or that it is not known that it cannot.
func (s *State) usable() bool { return s.State == "" || s.State == "Enabled" }

// replay goes through the changes in order.
func (f *Fold) replay(l *Life) {
	f.inOrder()
	f.once()
	now := f.base.clone()
	now.UsedNames, now.MoreGrants = l.Now.UsedNames, l.Now.MoreGrants
	l.Changes = make([]Change, 0, len(f.changes))
	for _, c := range f.changes {
		told := c.Change
		told.apply = nil
		told.Policy = now.step(c)
		if c.grant != "" {
			if g := f.grants[c.grant]; g != nil && g.made {
				told.What += ", which " + cmp.Or(f.life.named(g.Grantee), "somebody") + " had"
			} else {
				told.Details = append(slices.Clone(told.Details), "its making is not on record")
			}
		}
		if c.Operation == "UpdatePrimaryRegion" {
			l.primaryMoved = c.Time
		}
		l.Changes = append(l.Changes, told)
	}
	slices.Sort(now.Aliases)
	now.Grants = f.grantsNow()
	if len(now.Tags) == 0 {
		now.Tags = nil
	}
	l.Now, l.ChangesLeftOut = now.State, f.leftOut
	l.unusableSince = now.disabled
}
