package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/keylife"
	"vigil/internal/policy"
)

// GetKeyTimelineInput asks for the life of a KMS key.
type GetKeyTimelineInput struct {
	KeyId *string // the key's id, ARN, alias name or alias ARN; of a key that is or was here, or whose records were imported
	Days  *int32  // how many days count as recent, 1 to 3,650; 90 if it is not given
}

// GetKeyTimelineOutput is the life of a KMS key.
type GetKeyTimelineOutput struct {
	Timeline *string // a keylife.Life as JSON
}

// getKeyTimeline is the operation behind `vigil key timeline`. Who may look up the events of an account may see the lives of its keys; the
// operator may see those of any account.
func (s *Server) getKeyTimeline(ctx context.Context, c *call.Call, in *GetKeyTimelineInput) (*GetKeyTimelineOutput, error) {
	name, err := keyName(c, *in.KeyId)
	if err != nil {
		return nil, err
	}
	if name.Account == c.Account() {
		err = c.Allow("cloudtrail:LookupEvents", policy.Resource{ARN: "*", Account: c.Account()}, nil)
	} else {
		err = s.identity.AllowOperator(c)
	}
	if err != nil {
		return nil, err
	}
	key := name.String()
	if strings.HasPrefix(name.Resource, "alias/") {
		if key, err = s.trail.KeyOfAlias(ctx, name.Partition, name.Account, name.Region, name.Resource); err != nil {
			return nil, err
		}
	}
	days := keylife.DefaultDays
	if in.Days != nil {
		days = int(*in.Days)
	}
	var life *keylife.Life
	if key != "" {
		if life, err = s.keyLife(ctx, name, key, days); err != nil {
			return nil, err
		}
	}
	if life == nil || life.Records.Count == 0 {
		return nil, call.Errorf("NotFoundException", "Nothing is on record of %s.", name)
	}
	text, err := json.Marshal(life)
	if err != nil {
		return nil, err
	}
	return &GetKeyTimelineOutput{Timeline: new(string(text))}, nil
}

// keyName is what a caller names a key by, as the ARN of a key or of an alias.
func keyName(c *call.Call, name string) (arn.ARN, error) {
	if !strings.HasPrefix(name, "arn:") {
		if !strings.HasPrefix(name, "alias/") {
			name = "key/" + name
		}
		return arn.New("kms", c.Region, c.Account(), name), nil
	}
	a, err := arn.Parse(name)
	if err != nil || a.Service != "kms" || !strings.HasPrefix(a.Resource, "key/") && !strings.HasPrefix(a.Resource, "alias/") {
		return arn.ARN{}, call.Errorf("ValidationException", "%s is not the ARN of a key or an alias.", name)
	}
	return a, nil
}

// maxRelatives is in how many other Regions the related keys of a multi-Region key are looked for.
const maxRelatives = 64

// keyLife folds what is on record of a key, and of its related keys in other Regions.
func (s *Server) keyLife(ctx context.Context, scope arn.ARN, key string, days int) (*keylife.Life, error) {
	life, err := s.foldKey(ctx, scope, key, days)
	if err != nil {
		return nil, err
	}
	keys, related := life.Relatives(), []*keylife.Life(nil)
	for i := 0; i < len(keys) && i < maxRelatives; i++ {
		scope, err := arn.Parse(keys[i])
		if err != nil {
			continue
		}
		other, err := s.foldKey(ctx, scope, keys[i], days)
		if err != nil {
			return nil, err
		}
		related = append(related, other)
		for _, k := range other.Relatives() {
			if k != life.Key && !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	life.Relate(related)
	return life, nil
}

// foldKey folds what is on record of a key in its own Region. An alias that was moved away from it is on record without it, so the aliases' records are
// looked through as well.
func (s *Server) foldKey(ctx context.Context, scope arn.ARN, key string, days int) (*keylife.Life, error) {
	fold := keylife.New(key, s.clock.Now(), days)
	if err := s.trail.ScanKey(ctx, scope.Account, scope.Region, key, func(e journal.Entry) error {
		fold.At(e.Seq)
		fold.Add(e.Data, !e.Imported.IsZero())
		return nil
	}); err != nil {
		return nil, err
	}
	for _, alias := range fold.Aliases() {
		scope.Resource = alias
		if err := s.trail.Scan(ctx, scope.Account, scope.Region, scope.String(), func(e journal.Entry) error {
			fold.At(e.Seq)
			fold.AddAlias(e.Data, !e.Imported.IsZero())
			return nil
		}); err != nil {
			return nil, err
		}
	}
	since, ok, err := s.trail.Since(ctx, scope.Account, scope.Region)
	if err != nil {
		return nil, err
	}
	if ok {
		fold.Since(since)
	}
	return fold.Life(), nil
}
