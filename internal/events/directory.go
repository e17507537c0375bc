package events

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"vigil/internal/arn"
	"vigil/internal/pattern"
	"vigil/internal/store"
)

const defaultBus = "default"

// busRef is where a bus is.
type busRef struct{ account, region, name string }

func (r busRef) arn() arn.ARN { return arn.New("events", r.region, r.account, "event-bus/"+r.name) }

// ruleRef is where a rule is.
type ruleRef struct {
	bus  busRef
	name string
}

func (r ruleRef) arn() arn.ARN {
	path := r.name
	if r.bus.name != defaultBus {
		path = r.bus.name + "/" + r.name
	}
	return arn.New("events", r.bus.region, r.bus.account, "rule/"+path)
}

// bus is an event bus as it was committed. It is not changed.
type bus struct {
	ref         busRef
	description string
	created     time.Time // zero for the default bus
}

// rule is a rule as it was committed, with its targets. It is not changed either: a commit puts another in its place.
type rule struct {
	ref         ruleRef
	pattern     *pattern.Pattern
	state       types.RuleState
	description string
	role        string
	targets     []*target // by id
}

// router finds a bus's rules that match an event.
type router struct {
	rules map[string]*rule
	set   *pattern.Set[string] // of the rules that are not disabled, by name
}

// directory is the configuration, in memory, behind the database by nothing.
type directory struct {
	mu      sync.RWMutex
	buses   map[busRef]*bus // without the default ones
	routers map[busRef]*router
}

func (d *directory) bus(ref busRef) *bus {
	if ref.name == defaultBus {
		return &bus{ref: ref}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.buses[ref]
}

// busesOf are all of an account's in a region, by name.
func (d *directory) busesOf(account, region string) []*bus {
	found := []*bus{{ref: busRef{account, region, defaultBus}}}
	d.mu.RLock()
	for ref, b := range d.buses {
		if ref.account == account && ref.region == region {
			found = append(found, b)
		}
	}
	d.mu.RUnlock()
	slices.SortFunc(found, func(a, b *bus) int { return strings.Compare(a.ref.name, b.ref.name) })
	return found
}

func (d *directory) rule(ref ruleRef) *rule {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if r := d.routers[ref.bus]; r != nil {
		return r.rules[ref.name]
	}
	return nil
}

// rulesOf are a bus's, by name.
func (d *directory) rulesOf(ref busRef) []*rule {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.routers[ref]
	if r == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(r.rules), func(a, b *rule) int { return strings.Compare(a.ref.name, b.ref.name) })
}

// any says whether there is any rule at all.
func (d *directory) any() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.routers) > 0
}

func (d *directory) hasRules(ref busRef) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.routers[ref] != nil
}

// matching appends the rules of a bus that match an event.
func (d *directory) matching(ref busRef, event []byte) ([]*rule, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r := d.routers[ref]
	if r == nil {
		return nil, nil
	}
	var buffer [16]string
	names, err := r.set.Matches(event, buffer[:0])
	if err != nil || len(names) == 0 {
		return nil, err
	}
	rules := make([]*rule, len(names))
	for i, name := range names {
		rules[i] = r.rules[name]
	}
	return rules, nil
}

func (d *directory) putBus(b *bus) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.buses == nil {
		d.buses = map[busRef]*bus{}
	}
	d.buses[b.ref] = b
}

func (d *directory) removeBus(ref busRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.buses, ref)
}

func (d *directory) putRule(one *rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.routers == nil {
		d.routers = map[busRef]*router{}
	}
	r := d.routers[one.ref.bus]
	if r == nil {
		r = &router{rules: map[string]*rule{}, set: pattern.NewSet[string]()}
		d.routers[one.ref.bus] = r
	}
	old := r.rules[one.ref.name]
	r.rules[one.ref.name] = one
	switch {
	case one.state == types.RuleStateDisabled:
		r.set.Remove(one.ref.name)
	case old == nil || old.state == types.RuleStateDisabled || old.pattern.String() != one.pattern.String():
		r.set.Add(one.ref.name, one.pattern) // builds the index anew, which a change of targets need not
	}
}

func (d *directory) removeRule(ref ruleRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.routers[ref.bus]
	if r == nil {
		return
	}
	delete(r.rules, ref.name)
	r.set.Remove(ref.name)
	if len(r.rules) == 0 {
		delete(d.routers, ref.bus)
	}
}

// load reads everything.
func (e *Events) load(tx store.Tx) error {
	buses, err := list(tx, func(row scanner) (*bus, error) {
		b, created := new(bus), int64(0)
		err := row.Scan(&b.ref.account, &b.ref.region, &b.ref.name, &b.description, &created)
		b.created = time.UnixMilli(created)
		return b, err
	}, `SELECT account, region, name, description, created FROM events_bus`)
	if err != nil {
		return err
	}
	for _, b := range buses {
		e.known.putBus(b)
	}
	refs, err := list(tx, func(row scanner) (r ruleRef, err error) {
		return r, row.Scan(&r.bus.account, &r.bus.region, &r.bus.name, &r.name)
	}, `SELECT account, region, bus, name FROM events_rule ORDER BY account, region, bus, name`)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		r, err := e.readRule(tx, ref)
		if err != nil {
			return err
		}
		e.known.putRule(r)
	}
	return nil
}

// readRule reads a rule with its targets: store.ErrNoRows when there is none.
func (e *Events) readRule(tx store.Tx, ref ruleRef) (*rule, error) {
	r := &rule{ref: ref}
	var text string
	err := tx.QueryRow(`SELECT pattern, state, description, role FROM events_rule WHERE account = $1 AND region = $2 AND bus = $3 AND name = $4`,
		ref.bus.account, ref.bus.region, ref.bus.name, ref.name).Scan(&text, &r.state, &r.description, &r.role)
	if err != nil {
		return nil, err
	}
	if r.pattern, err = pattern.Parse(text); err != nil {
		return nil, fmt.Errorf("rule %s: %w", ref.arn(), err)
	}
	targets, err := list(tx, func(row scanner) (s string, err error) { return s, row.Scan(&s) },
		`SELECT target FROM events_target WHERE account = $1 AND region = $2 AND bus = $3 AND rule = $4 ORDER BY id`,
		ref.bus.account, ref.bus.region, ref.bus.name, ref.name)
	if err != nil {
		return nil, err
	}
	for _, text := range targets {
		var given types.Target
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			return nil, fmt.Errorf("rule %s: %w", ref.arn(), err)
		}
		t, err := newTarget(given)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", ref.arn(), err)
		}
		r.targets = append(r.targets, t)
	}
	return r, nil
}

// changed has memory follow what the transaction made of a rule.
func (e *Events) changed(tx store.Tx, ref ruleRef) error {
	r, err := e.readRule(tx, ref)
	if errors.Is(err, store.ErrNoRows) {
		tx.OnCommit(func() { e.known.removeRule(ref) })
		return nil
	}
	if err != nil {
		return err
	}
	tx.OnCommit(func() { e.known.putRule(r) })
	return nil
}

type scanner interface{ Scan(...any) error }

var _ scanner = (*sql.Rows)(nil)

// list is what a query finds.
func list[T any](tx store.Tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// count is the number that a query finds.
func count(tx store.Tx, query string, args ...any) (n int, err error) {
	return n, tx.QueryRow(query, args...).Scan(&n)
}
