package trail

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"vigil/internal/call"
	"vigil/internal/store"
	"vigil/internal/trail/selectors"
)

// What a trail takes may change, but not what it takes of the past: events are delivered some time after they happened, and whoever changes
// the selectors must not be able to hide what came before. So a trail keeps its choices with their times, as it keeps the times in which it
// was logging.

// choice is what a trail takes from a time on, until its next choice.
type choice struct {
	since    int64 // milliseconds since 1970
	basic    []types.EventSelector
	advanced []types.AdvancedEventSelector
	set      *selectors.Set
}

// chosenByDefault is what a trail takes as long as nobody has chosen.
var chosenByDefault = choice{basic: []types.EventSelector{{
	ReadWriteType: types.ReadWriteTypeAll, IncludeManagementEvents: aws.Bool(true),
	DataResources: []types.DataResource{}, ExcludeManagementEventSources: []string{},
}}, set: selectors.Default()}

// selectorsMigration is a step of the main database.
const selectorsMigration = `CREATE TABLE trail_choice (
	trail    BIGINT NOT NULL,
	since    BIGINT NOT NULL,
	document TEXT   NOT NULL, -- see document
	PRIMARY KEY (trail, since))`

// document is how a choice is kept: as JSON, of one of these.
type document struct {
	EventSelectors         []types.EventSelector         `json:",omitempty"`
	AdvancedEventSelectors []types.AdvancedEventSelector `json:",omitempty"`
}

// choose makes a choice of what PutEventSelectors was given.
func choose(basic []types.EventSelector, advanced []types.AdvancedEventSelector) (made choice, err error) {
	switch {
	case len(basic) > 0 && len(advanced) > 0:
		return made, call.Errorf("InvalidEventSelectorsException", "A trail has either EventSelectors or AdvancedEventSelectors, and not both.")
	case len(basic)+len(advanced) == 0:
		return made, call.Errorf("InvalidEventSelectorsException", "Give EventSelectors or AdvancedEventSelectors.")
	case len(basic) > 0:
		made = choice{basic: slices.Clone(basic)}
		made.set, err = selectors.Basic(made.basic)
	default:
		made = choice{advanced: advanced}
		made.set, err = selectors.Advanced(selectors.Trail, advanced)
	}
	if err != nil {
		return made, call.Errorf("InvalidEventSelectorsException", "The event selectors are not valid: %s.", err)
	}
	return made, nil
}

// loadChoices reads what a trail took and takes, the latest last.
func loadChoices(tx store.Tx, trail int64) ([]choice, error) {
	return store.List(tx, func(row store.Scanner) (choice, error) {
		var since int64
		var text string
		if err := row.Scan(&since, &text); err != nil {
			return choice{}, err
		}
		var d document
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return choice{}, fmt.Errorf("selectors of trail %d: %w", trail, err)
		}
		made, err := choose(d.EventSelectors, d.AdvancedEventSelectors)
		made.since = since
		return made, err
	}, `SELECT since, document FROM trail_choice WHERE trail = $1 ORDER BY since`, trail)
}

// save adds a choice to those of a trail, and forgets those that no event can still be delivered by.
func (ch *choice) save(tx store.Tx, trail int64) error {
	text, err := json.Marshal(document{ch.basic, ch.advanced})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM trail_choice WHERE trail = $1 AND since < (SELECT MAX(since) FROM trail_choice WHERE trail = $1 AND since < $2)`,
		trail, ch.since-window.Milliseconds()); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO trail_choice (trail, since, document) VALUES ($1, $2, $3)
		ON CONFLICT (trail, since) DO UPDATE SET document = excluded.document`, trail, ch.since, string(text))
	return err
}

// chosen is what the trail took at a time.
func (t *aTrail) chosen(at int64) *choice {
	for i := range slices.Backward(t.choices) {
		if t.choices[i].since <= at {
			return &t.choices[i]
		}
	}
	return &chosenByDefault
}

// latest is what the trail takes.
func (t *aTrail) latest() *choice {
	if n := len(t.choices); n > 0 {
		return &t.choices[n-1]
	}
	return &chosenByDefault
}

// isCustom says that somebody has chosen something else than what trails take by themselves.
func (t *aTrail) isCustom() bool {
	l := t.latest()
	if len(l.basic) != 1 {
		return len(t.choices) > 0
	}
	b := l.basic[0]
	return b.ReadWriteType != types.ReadWriteTypeAll || !*b.IncludeManagementEvents || len(b.DataResources)+len(b.ExcludeManagementEventSources) > 0
}

// PutEventSelectors says which events a trail takes, in its home region: in place of what was said before, and of the events from
// this call on. Selectors are basic or advanced, never both. Data events are made for the resources that Vigil has:
// see docs/compatibility.md.
func (t *Trail) PutEventSelectors(_ context.Context, c *call.Call, in *cloudtrail.PutEventSelectorsInput) (*cloudtrail.PutEventSelectorsOutput, error) {
	found, err := t.homed(c, "PutEventSelectors", aws.ToString(in.TrailName))
	if err != nil {
		return nil, err
	}
	made, err := choose(in.EventSelectors, in.AdvancedEventSelectors)
	if err != nil {
		return nil, err
	}
	made.since = c.Time.UnixMilli()
	t.effect(c, found, func(tx store.Tx, changed *aTrail, _ []*aTrail) error {
		return made.save(tx, changed.id)
	})
	return &cloudtrail.PutEventSelectorsOutput{TrailARN: aws.String(found.arn().String()), EventSelectors: made.basic, AdvancedEventSelectors: made.advanced}, nil
}

// GetEventSelectors shows which events a trail takes. One of which nobody has said takes all management events.
func (t *Trail) GetEventSelectors(_ context.Context, c *call.Call, in *cloudtrail.GetEventSelectorsInput) (*cloudtrail.GetEventSelectorsOutput, error) {
	found, err := t.named(c, "GetEventSelectors", aws.ToString(in.TrailName))
	if err != nil {
		return nil, err
	}
	l := found.latest()
	return &cloudtrail.GetEventSelectorsOutput{TrailARN: aws.String(found.arn().String()), EventSelectors: l.basic, AdvancedEventSelectors: l.advanced}, nil
}

// asked are the data events that the trails of each account ask for. It is replaced as a whole, so that the door, which looks at each
// data call, need not wait for anybody.
type asked struct {
	p atomic.Pointer[map[askedFor]bool]
}

type askedFor struct{ account, resourceType string }

// learn takes note of what trails ask for now. A trail that is not logging asks for nothing.
func (a *asked) learn(trails map[string][]*aTrail) {
	all := map[askedFor]bool{}
	for account, list := range trails {
		for _, one := range present(list) {
			if !one.isLogging() {
				continue
			}
			for _, typ := range one.latest().set.DataTypes() {
				all[askedFor{account, typ}] = true
			}
		}
	}
	a.p.Store(&all)
}

// AsksForData says whether some trail of an account may take data events of a type of resources, such as AWS::S3::Object.
func (t *Trail) AsksForData(account, resourceType string) bool {
	all := t.asked.p.Load()
	return all != nil && len(*all) > 0 && (*all)[askedFor{account, resourceType}]
}
