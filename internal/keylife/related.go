package keylife

import (
	"cmp"
	"slices"
	"time"

	"vigil/internal/arn"
)

// Related is a multi-Region key's key in another Region, of the same id and material, as that Region's records have it.
type Related struct {
	Region       string    `json:"region"`
	MultiRegion  string    `json:"multiRegion,omitempty"` // PRIMARY or REPLICA
	State        string    `json:"keyState,omitempty"`
	DeletionDate string    `json:"deletionDate,omitempty"`
	LastUse      *LastUse  `json:"lastUse,omitempty"`
	Last         time.Time `json:"lastRecord"`
}

// Relatives are the ARNs of the keys in other Regions that the records name as related to the key, none if it is no multi-Region key.
func (l *Life) Relatives() (keys []string) {
	a, err := arn.Parse(l.Key)
	if err != nil || l.Now.MultiRegion == "" {
		return nil
	}
	for _, region := range append(slices.Clone(l.Now.Regions), l.Now.Primary) {
		if a.Region = region; region != "" && region != l.Region && !slices.Contains(keys, a.String()) {
			keys = append(keys, a.String())
		}
	}
	return keys
}

// Relate adds what is on record of the related keys. CloudTrail writes what becomes of each in its own Region, so the primary key's records do not say that
// a replica is gone, nor a replica's that another is the primary key now. Lives without records are passed over.
func (l *Life) Relate(others []*Life) {
	primaries := []*Life{l}
	for _, o := range others {
		if o.Records.Count == 0 || o.Region == l.Region {
			continue
		}
		l.Related = append(l.Related, Related{o.Region, o.Now.MultiRegion, o.Now.State, o.Now.DeletionDate, o.LastUse, *o.Records.Last})
		if o.Now.State == "Deleted" {
			l.Now.Regions = slices.DeleteFunc(l.Now.Regions, func(region string) bool { return region == o.Region })
		} else {
			l.Now.relate(o.Region)
		}
		primaries = append(primaries, o)
	}
	last := slices.MaxFunc(primaries, func(a, b *Life) int { return a.primaryMoved.Compare(b.primaryMoved) })
	if !last.primaryMoved.IsZero() {
		l.Now.Primary, l.Now.MultiRegion = last.Now.Primary, "REPLICA"
		if l.Now.Primary == l.Region {
			l.Now.MultiRegion = "PRIMARY"
		}
	}
	slices.SortFunc(l.Related, func(a, b Related) int { return cmp.Compare(a.Region, b.Region) })
	l.Deletion = assess(l, l.Deletion.Days)
}

// text is what of a related key is told to people.
func (r *Related) text() string {
	text := r.Region + ": " + map[string]string{"PRIMARY": "the primary key, ", "REPLICA": "a replica, "}[r.MultiRegion] + cmp.Or(r.State, "state not on record")
	if r.DeletionDate != "" {
		text += ", to be deleted " + r.DeletionDate
	}
	if r.LastUse == nil {
		return text + ", no use on record"
	}
	return text + ", last used " + stamp(r.LastUse.Time) + " by " + r.LastUse.Principal + ": " + r.LastUse.Operation
}

// named is a principal's ARN as people name it: role/app, or of which account if it is not the key's.
func (l *Life) named(principal string) string {
	a, err := arn.Parse(principal)
	if err != nil || a.Service != "iam" && a.Service != "sts" || a.Resource == "" {
		return principal
	}
	if a.Account != "" && a.Account != l.Account {
		return a.Resource + " of " + a.Account
	}
	return a.Resource
}
