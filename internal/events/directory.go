package events

import (
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

	connections  map[namedRef]*connection
	destinations map[namedRef]*destination
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

func (d *directory) connection(ref namedRef) *connection {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.connections[ref]
}

// connectionByARN is nil for an ARN of one that had the name before.
func (d *directory) connectionByARN(text string) *connection {
	ref, ok := namedBy(text, "connection")
	if c := d.connection(ref); ok && c != nil && c.arn().String() == text {
		return c
	}
	return nil
}

func (d *directory) destination(ref namedRef) *destination {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.destinations[ref]
}

// destinationByARN is nil for an ARN of one that had the name before.
func (d *directory) destinationByARN(text string) *destination {
	ref, ok := namedBy(text, "api-destination")
	if one := d.destination(ref); ok && one != nil && one.arn().String() == text {
		return one
	}
	return nil
}

// namedBy is where a thing with an ARN of the form arn:…:KIND/NAME/ID is.
func namedBy(text, kind string) (ref namedRef, ok bool) {
	a, err := arn.Parse(text)
	parts := strings.Split(a.Resource, "/")
	if err != nil || a.Service != "events" || len(parts) != 3 || parts[0] != kind {
		return ref, false
	}
	return namedRef{a.Account, a.Region, parts[1]}, true
}

// connectionsOf are those of an account in a region that are wanted, by name.
func (d *directory) connectionsOf(account, region string, wanted func(*connection) bool) []*connection {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return namedOf(d.connections, account, region, wanted)
}

func (d *directory) destinationsOf(account, region string, wanted func(*destination) bool) []*destination {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return namedOf(d.destinations, account, region, wanted)
}

func namedOf[T any](all map[namedRef]*T, account, region string, wanted func(*T) bool) (found []*T) {
	var refs []namedRef
	for ref, one := range all {
		if ref.account == account && ref.region == region && wanted(one) {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, func(a, b namedRef) int { return strings.Compare(a.name, b.name) })
	for _, ref := range refs {
		found = append(found, all[ref])
	}
	return found
}

func (d *directory) putConnection(c *connection) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.connections == nil {
		d.connections = map[namedRef]*connection{}
	}
	d.connections[c.ref] = c
}

func (d *directory) removeConnection(ref namedRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.connections, ref)
}

func (d *directory) putDestination(one *destination) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.destinations == nil {
		d.destinations = map[namedRef]*destination{}
	}
	d.destinations[one.ref] = one
}

func (d *directory) removeDestination(ref namedRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.destinations, ref)
}

// load reads everything.
func (e *Events) load(tx store.Tx) error {
	buses, err := store.List(tx, func(row store.Scanner) (*bus, error) {
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
	refs, err := store.List(tx, func(row store.Scanner) (r ruleRef, err error) {
		err = row.Scan(&r.bus.account, &r.bus.region, &r.bus.name, &r.name)
		return r, err
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
	return e.loadNamed(tx)
}

// loadNamed reads the connections and API destinations.
func (e *Events) loadNamed(tx store.Tx) error {
	connections, err := store.List(tx, func(row store.Scanner) (*connection, error) {
		c, shown, created, modified, authorized := new(connection), "", int64(0), int64(0), int64(0)
		err := row.Scan(&c.ref.account, &c.ref.region, &c.ref.name, &c.id, &c.description, &c.authorization, &shown, &c.sealed, &c.version,
			&created, &modified, &authorized)
		c.created, c.modified, c.authorized = time.UnixMilli(created), time.UnixMilli(modified), time.UnixMilli(authorized)
		return c, errors.Join(err, json.Unmarshal([]byte(shown), &c.shown))
	}, `SELECT account, region, name, id, description, authorization_type, shown, sealed, version, created, modified, authorized FROM events_connection`)
	if err != nil {
		return err
	}
	for _, c := range connections {
		e.known.putConnection(c)
	}
	destinations, err := store.List(tx, func(row store.Scanner) (*destination, error) {
		d, created, modified := new(destination), int64(0), int64(0)
		err := row.Scan(&d.ref.account, &d.ref.region, &d.ref.name, &d.id, &d.description, &d.connection, &d.endpoint, &d.method, &d.rate, &d.version,
			&created, &modified)
		d.created, d.modified = time.UnixMilli(created), time.UnixMilli(modified)
		return d, err
	}, `SELECT account, region, name, id, description, connection, endpoint, method, rate, version, created, modified FROM events_destination`)
	if err != nil {
		return err
	}
	for _, d := range destinations {
		e.known.putDestination(d)
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
	targets, err := store.Column[string](tx, `SELECT target FROM events_target WHERE account = $1 AND region = $2 AND bus = $3 AND rule = $4 ORDER BY id`,
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

// count is the number that a query finds.
func count(tx store.Tx, query string, args ...any) (n int, err error) {
	return n, tx.QueryRow(query, args...).Scan(&n)
}
