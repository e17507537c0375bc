package metrics

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"time"

	"vigil"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// follower names the cursor of Vigil's own metrics in the journal.
const follower = "metrics"

// Namespaces of Vigil's own metrics.
const (
	usageNamespace = "AWS/Usage"
	kmsNamespace   = "Vigil/KMS"
)

const (
	kmsSource  = "kms.amazonaws.com"
	kmsKeyType = "AWS::KMS::Key"
)

// Follow turns the journal into Vigil's own metrics until ctx is done. Each KMS call counts, in the caller's account, whosever the
// key is, in the region of its record and the minute of its time (or the five minutes or the hour, when it is old), exactly once:
//
//   - AWS/Usage CallCount, by Service=KMS, Type=API, Resource=the operation and Class=None, as in AWS; it has no unit
//   - Vigil/KMS Calls, by Operation, and by KeyId and Operation for each key that the call touched; its unit is Count
//   - Vigil/KMS Errors, by the same: the calls that failed
//
// KeyId is the key's id, as in AWS/KMS, and not its ARN.
func (m *Metrics) Follow(ctx context.Context) error {
	return m.journal.Follow(ctx, journal.Follower{Name: follower, DB: m.db, Apply: m.applyEntries})
}

func (m *Metrics) applyEntries(tx store.Tx, entries []journal.Entry) error {
	t := tally{now: m.clock.Now()}
	for i := range entries {
		t.add(&entries[i])
	}
	b := newBatch()
	for k, n := range t.counts() {
		d := k.datum(n)
		if err := b.add(k.account, k.region, &d); err != nil {
			m.log.Warn("A record cannot be counted.", "error", err)
		}
	}
	_, err := m.write(tx, b)
	return err
}

// counted is a metric and a minute, or the five minutes or the hour that are kept in its place.
type counted struct {
	account, region string
	name            string // CallCount, Calls or Errors
	operation, key  string // key is "" for all keys together
	begin           int64  // in seconds since 1970
	period          int64  // in seconds
}

func (k counted) datum(n float64) Datum {
	d := Datum{
		Namespace: kmsNamespace, Name: k.name, Unit: "Count", Time: time.Unix(k.begin, 0), Resolution: time.Duration(k.period) * time.Second,
		Values: []float64{1}, Counts: []float64{n},
	}
	switch {
	case k.name == "CallCount":
		d.Namespace, d.Unit = usageNamespace, ""
		d.Dimensions = []Dimension{{"Class", "None"}, {"Resource", k.operation}, {"Service", "KMS"}, {"Type", "API"}}
	case k.key != "":
		d.Dimensions = []Dimension{{"KeyId", k.key}, {"Operation", k.operation}}
	default:
		d.Dimensions = []Dimension{{"Operation", k.operation}}
	}
	return d
}

// tally counts records that are alike in all that is counted, of which there are few kinds and many of each.
type tally struct {
	now     time.Time
	reader  vigil.OutlineReader
	outline vigil.Outline
	kind    []byte
	kinds   map[string]*alike
}

// alike are records of one kind.
type alike struct {
	counted // without name and key
	failed  bool
	keys    []string // the ids of the keys that each of them touched
	records float64
}

// periodOf is the period that a call at some time counts in, and when that begins, in seconds. Calls of long ago, as imported records tell of, count
// in the five minutes or the hour that retain would merge their minutes into; those that retain would drop do not count.
func periodOf(at, now time.Time) (begin, period int64, kept bool) {
	age := now.Sub(at) - time.Hour // retain takes whole hours
	if age > retention {
		return 0, 0, false
	}
	period = perMinute
	for _, a := range ages {
		if age > a.age {
			period = max(period, int64(a.into))
		}
	}
	return at.Unix() - at.Unix()%period, period, true
}

func (t *tally) add(e *journal.Entry) {
	o := &t.outline
	if err := t.reader.Read(e.Data, o); err != nil {
		return // no CloudTrail record
	}
	if string(o.EventSource) != kmsSource || string(o.EventType) != vigil.AwsAPICall || len(o.EventName) == 0 {
		return
	}
	if o.IsOwners() {
		return // the caller's record counts
	}
	begin, period, kept := periodOf(e.Time, t.now)
	if !kept {
		return
	}
	t.kind = binary.AppendVarint(t.kind[:0], begin)
	t.kind = binary.AppendVarint(t.kind, period)
	for _, text := range [][]byte{o.Account, o.Region, o.EventName, o.ErrorCode[:min(len(o.ErrorCode), 1)]} {
		t.kind = append(append(t.kind, text...), 0)
	}
	for _, r := range o.Resources {
		t.kind = append(append(append(t.kind, r.Type...), 0), r.ARN...)
		t.kind = append(t.kind, 0)
	}
	if kind := t.kinds[string(t.kind)]; kind != nil {
		kind.records++
		return
	}
	if t.kinds == nil {
		t.kinds = map[string]*alike{}
	}
	kind := &alike{failed: len(o.ErrorCode) > 0, records: 1,
		counted: counted{account: string(o.Account), region: string(o.Region), operation: string(o.EventName), begin: begin, period: period}}
	for i, r := range o.Resources {
		if string(r.Type) == kmsKeyType && !touchedBefore(o.Resources[:i], r.ARN) {
			kind.keys = append(kind.keys, keyID(string(r.ARN)))
		}
	}
	t.kinds[string(t.kind)] = kind
}

// counts are how often each thing was counted.
func (t *tally) counts() map[counted]float64 {
	all := map[counted]float64{}
	for _, kind := range t.kinds {
		count := func(name, key string) {
			k := kind.counted
			k.name, k.key = name, key
			all[k] += kind.records
		}
		count("CallCount", "")
		for _, key := range append([]string{""}, kind.keys...) {
			count("Calls", key)
			if kind.failed {
				count("Errors", key)
			}
		}
	}
	return all
}

func touchedBefore(resources []vigil.OutlineResource, arn []byte) bool {
	for i := range resources {
		if bytes.Equal(resources[i].ARN, arn) {
			return true
		}
	}
	return false
}

// keyID is the id in a key's ARN.
func keyID(arn string) string {
	if i := strings.LastIndexByte(arn, '/'); i >= 0 && i+1 < len(arn) {
		return arn[i+1:]
	}
	return arn
}
