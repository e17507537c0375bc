package keylife

import (
	"cmp"
	"encoding/json"
	"slices"
)

// grant is what is known of a grant; its end may be met before its beginning.
type grant struct {
	Grant
	made, gone bool
}

func (f *Fold) grantOf(id string) *grant {
	g := f.grants[id]
	if g == nil {
		if len(f.grants) >= MaxGrants {
			f.forgetGrants()
		}
		g = &grant{Grant: Grant{ID: id}}
		if len(f.grants) < MaxGrants {
			f.grants[id] = g
		}
	}
	return g
}

// forgetGrants makes room by what is over.
func (f *Fold) forgetGrants() {
	for id, g := range f.grants {
		if g.gone {
			delete(f.grants, id)
		}
	}
}

func (f *Fold) grantCreated(c *changed) {
	id := c.response.text("grantId")
	g := f.grantOf(id)
	if f.grants[id] != g {
		f.life.Now.MoreGrants++
	}
	r := c.request
	gone := g.gone
	*g = grant{made: true, gone: gone, Grant: Grant{
		ID: id, Name: r.text("name"), Grantee: cmp.Or(r.text("granteePrincipal"), r.text("granteeServicePrincipal")),
		Retiring: cmp.Or(r.text("retiringPrincipal"), r.text("retiringServicePrincipal")), Operations: r.texts("operations"), Created: c.Time, By: c.By,
	}}
	if constraints := r.object("constraints"); len(constraints) > 0 {
		if text, err := json.Marshal(map[string]any(constraints)); err == nil {
			g.Constraints = clip(string(text))
		}
	}
	c.What = "grant to " + cmp.Or(f.life.named(g.Grantee), "somebody who is not on record")
	c.detailOf("operations", joined(g.Operations))
	c.detailOf("constraints", g.Constraints)
	c.detailOf("may be retired by", f.life.named(g.Retiring))
	c.detailOf("name", g.Name)
	c.detailOf("grant", id)
}

func (f *Fold) grantEnded(c *changed) {
	c.grant = cmp.Or(c.request.text("grantId"), c.more.text("grantId"), c.response.text("grantId"))
	c.What = "grant revoked"
	if c.Operation == "RetireGrant" {
		c.What = "grant retired"
	}
	if c.grant == "" {
		c.detail("which one is not on record")
		return
	}
	g := f.grantOf(c.grant)
	g.gone = true
	if f.grants[c.grant] != g && f.life.Now.MoreGrants > 0 { // of those that are only counted
		f.life.Now.MoreGrants--
	}
	c.detailOf("grant", c.grant)
}

// grantsNow are the grants that are still there, the newest first.
func (f *Fold) grantsNow() (all []Grant) {
	for _, g := range f.grants {
		if g.made && !g.gone {
			all = append(all, g.Grant)
		}
	}
	slices.SortFunc(all, func(a, b Grant) int { return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID)) })
	return all
}
