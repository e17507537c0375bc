package notify

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigil/internal/store"
)

// topic is a topic as it was committed. It is not changed: a commit that changes it puts another in its place.
type topic struct {
	ref        topicRef
	attributes map[string]string
	tags       map[string]string
	created    time.Time
}

// States of a subscription.
const (
	pending      = "pending"
	confirmed    = "confirmed"
	unsubscribed = "unsubscribed" // by a link; its subscriber has a token that brings it back
)

// subscription is a subscription as it was committed. It is not changed either.
type subscription struct {
	ref           subscriptionRef
	protocol      string
	endpoint      string
	principal     string
	attributes    map[string]string
	state         string
	token         []byte
	expires       time.Time
	authenticated bool
	guarded       bool
}

// directory is all topics and subscriptions, in memory, behind the database by nothing.
type directory struct {
	mu            sync.RWMutex
	topics        map[topicRef]*topic
	subscriptions map[topicRef]map[string]*subscription // by id
}

func (d *directory) topic(ref topicRef) *topic {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.topics[ref]
}

func (d *directory) subscription(ref subscriptionRef) *subscription {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.subscriptions[ref.topic][ref.id]
}

// of are a topic's subscriptions, by id.
func (d *directory) of(ref topicRef) []*subscription {
	d.mu.RLock()
	defer d.mu.RUnlock()
	subs := make([]*subscription, 0, len(d.subscriptions[ref]))
	for _, s := range d.subscriptions[ref] {
		subs = append(subs, s)
	}
	slices.SortFunc(subs, func(a, b *subscription) int { return strings.Compare(a.ref.id, b.ref.id) })
	return subs
}

func (d *directory) putTopic(t *topic) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.topics[t.ref] = t
}

func (d *directory) removeTopic(ref topicRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.topics, ref)
	delete(d.subscriptions, ref)
}

func (d *directory) putSubscription(s *subscription) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.subscriptions[s.ref.topic] == nil {
		d.subscriptions[s.ref.topic] = make(map[string]*subscription)
	}
	d.subscriptions[s.ref.topic][s.ref.id] = s
}

func (d *directory) removeSubscription(ref subscriptionRef) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.subscriptions[ref.topic], ref.id)
}

// expired are the subscriptions whose token is needed and is not valid any more.
func (d *directory) expired(now time.Time) (refs []subscriptionRef) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, subs := range d.subscriptions {
		for _, s := range subs {
			if s.state != confirmed && now.After(s.expires) {
				refs = append(refs, s.ref)
			}
		}
	}
	return refs
}

func (d *directory) load(tx store.Tx) error {
	d.topics, d.subscriptions = make(map[topicRef]*topic), make(map[topicRef]map[string]*subscription)
	topics, err := store.List(tx, scanTopic, `SELECT `+topicColumns+` FROM notify_topic`)
	if err != nil {
		return err
	}
	for _, t := range topics {
		d.putTopic(t)
	}
	subs, err := store.List(tx, scanSubscription, `SELECT `+subscriptionColumns+` FROM notify_subscription`)
	for _, s := range subs {
		d.putSubscription(s)
	}
	return err
}

const (
	topicColumns        = `account, region, name, attributes, tags, created`
	subscriptionColumns = `account, region, topic, id, protocol, endpoint, principal, attributes, state, token, expires, authenticated, guarded`
)

func scanTopic(row store.Scanner) (*topic, error) {
	t := &topic{}
	var attributes, tags string
	var created int64
	if err := row.Scan(&t.ref.account, &t.ref.region, &t.ref.name, &attributes, &tags, &created); err != nil {
		return nil, err
	}
	t.created = time.UnixMilli(created).UTC()
	if err := json.Unmarshal([]byte(attributes), &t.attributes); err != nil {
		return nil, err
	}
	return t, json.Unmarshal([]byte(tags), &t.tags)
}

func scanSubscription(row store.Scanner) (*subscription, error) {
	s := &subscription{}
	var attributes string
	var expires, authenticated, guarded int64
	t := &s.ref.topic
	err := row.Scan(&t.account, &t.region, &t.name, &s.ref.id, &s.protocol, &s.endpoint, &s.principal, &attributes, &s.state, &s.token,
		&expires, &authenticated, &guarded)
	if err != nil {
		return nil, err
	}
	s.expires, s.authenticated, s.guarded = time.UnixMilli(expires).UTC(), authenticated != 0, guarded != 0
	return s, json.Unmarshal([]byte(attributes), &s.attributes)
}

// topicIn is a topic as it is in a transaction.
func topicIn(tx store.Tx, ref topicRef) (*topic, error) {
	t, err := scanTopic(tx.QueryRow(`SELECT `+topicColumns+` FROM notify_topic WHERE account = $1 AND region = $2 AND name = $3`,
		ref.account, ref.region, ref.name))
	if err == store.ErrNoRows {
		return nil, notFound("Topic")
	}
	return t, err
}

// subscriptionIn is a subscription as it is in a transaction.
func subscriptionIn(tx store.Tx, ref subscriptionRef) (*subscription, error) {
	s, err := scanSubscription(tx.QueryRow(`SELECT `+subscriptionColumns+` FROM notify_subscription
		WHERE account = $1 AND region = $2 AND topic = $3 AND id = $4`, ref.topic.account, ref.topic.region, ref.topic.name, ref.id))
	if err == store.ErrNoRows {
		return nil, notFound("Subscription")
	}
	return s, err
}

// saveTopic writes a topic, new or changed, and makes it known once that is durable.
func (n *Notify) saveTopic(tx store.Tx, t *topic) error {
	_, err := tx.Exec(`INSERT INTO notify_topic (`+topicColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (account, region, name) DO UPDATE SET attributes = excluded.attributes, tags = excluded.tags`,
		t.ref.account, t.ref.region, t.ref.name, object(t.attributes), object(t.tags), t.created.UnixMilli())
	if err == nil {
		tx.OnCommit(func() { n.known.putTopic(t) })
	}
	return err
}

// saveSubscription writes a subscription, new or changed, and makes it known once that is durable.
func (n *Notify) saveSubscription(tx store.Tx, s *subscription) error {
	t := s.ref.topic
	_, err := tx.Exec(`INSERT INTO notify_subscription (`+subscriptionColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (account, region, topic, id) DO UPDATE SET attributes = excluded.attributes, state = excluded.state,
			token = excluded.token, expires = excluded.expires, authenticated = excluded.authenticated, guarded = excluded.guarded`,
		t.account, t.region, t.name, s.ref.id, s.protocol, s.endpoint, s.principal, object(s.attributes), s.state, s.token,
		s.expires.UnixMilli(), number(s.authenticated), number(s.guarded))
	if err == nil {
		tx.OnCommit(func() { n.known.putSubscription(s) })
	}
	return err
}

// dropSubscription deletes a subscription.
func (n *Notify) dropSubscription(tx store.Tx, ref subscriptionRef) error {
	_, err := tx.Exec(`DELETE FROM notify_subscription WHERE account = $1 AND region = $2 AND topic = $3 AND id = $4`,
		ref.topic.account, ref.topic.region, ref.topic.name, ref.id)
	if err == nil {
		tx.OnCommit(func() { n.known.removeSubscription(ref) })
	}
	return err
}

// object is a JSON object of texts.
func object(m map[string]string) string {
	if m == nil {
		return "{}"
	}
	data, _ := json.Marshal(m) // texts are never refused
	return string(data)
}

// with is a copy of m in which name has the value.
func with(m map[string]string, name, value string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]string)
	}
	m[name] = value
	return m
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
