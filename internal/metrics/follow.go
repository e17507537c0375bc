package metrics

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

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
	t := tally{now: m.clock.Now(), batch: newBatch(), kinds: map[string]*alike{}, log: m.log}
	for i := range entries {
		t.add(&entries[i])
	}
	_, err := m.write(tx, t.batch)
	return err
}

// periodOf is the period that a call at some time counts in, and when that begins, in seconds. Calls of long ago, as imported records tell of, count
// in the five minutes or the hour that retain would merge their minutes into; those that retain would drop do not count.
func periodOf(at, now time.Time) (begin int64, period time.Duration, kept bool) {
	age := now.Sub(at) - time.Hour // retain takes whole hours
	if age > retention {
		return 0, 0, false
	}
	seconds := int64(perMinute)
	for _, a := range ages {
		if age > a.age {
			seconds = max(seconds, int64(a.into))
		}
	}
	return at.Unix() - at.Unix()%seconds, time.Duration(seconds) * time.Second, true
}

// tally counts records in a batch.
type tally struct {
	now     time.Time
	batch   *batch
	log     *slog.Logger
	reader  vigil.OutlineReader
	outline vigil.Outline
	name    []byte
	kinds   map[string]*alike // by what they have in common
}

// alike is what records count in that have the account, the region, the operation and the resources in common: of many records there are few kinds.
type alike struct{ calls, errors []counter }

// counter is a metric that calls count in.
type counter struct {
	series *batchSeries
	unit   uint8
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
	k := t.kind(o)
	t.count(k.calls, begin, period)
	if len(o.ErrorCode) > 0 {
		if k.errors == nil {
			k.errors = t.counters("Errors", o)
		}
		t.count(k.errors, begin, period)
	}
}

func (t *tally) kind(o *vigil.Outline) *alike {
	t.name = t.name[:0]
	for _, text := range [...][]byte{o.Account, o.Region, o.EventName} {
		t.name = append(append(t.name, text...), 0)
	}
	for _, r := range o.Resources {
		t.name = append(append(t.name, r.Type...), 0)
		t.name = append(append(t.name, r.ARN...), 0)
	}
	if k := t.kinds[string(t.name)]; k != nil {
		return k
	}
	k := &alike{calls: append(t.usage(o), t.counters("Calls", o)...)}
	t.kinds[string(t.name)] = k
	return k
}

// usage is AWS's own metric of calls.
func (t *tally) usage(o *vigil.Outline) []counter {
	return t.counter(o, usageNamespace, "CallCount", "", Dimension{"Class", "None"}, Dimension{"Resource", string(o.EventName)},
		Dimension{"Service", "KMS"}, Dimension{"Type", "API"})
}

// counters are the metrics of that name of a record's operation, and of the operation with each key.
func (t *tally) counters(name string, o *vigil.Outline) []counter {
	operation := Dimension{"Operation", string(o.EventName)}
	all := t.counter(o, kmsNamespace, name, "Count", operation)
	for i, r := range o.Resources {
		if string(r.Type) == kmsKeyType && !touchedBefore(o.Resources[:i], r.ARN) {
			all = append(all, t.counter(o, kmsNamespace, name, "Count", Dimension{"KeyId", keyID(string(r.ARN))}, operation)...)
		}
	}
	return all
}

// counter is one counter, or none for names that metrics cannot have.
func (t *tally) counter(o *vigil.Outline, namespace, name, unit string, dimensions ...Dimension) []counter {
	s, err := t.batch.into(string(o.Account), string(o.Region), namespace, name, dimensions)
	if err != nil {
		t.log.Warn("A record cannot be counted.", "error", err)
		return nil
	}
	return []counter{{s, unitNumbers[types.StandardUnit(unit)]}}
}

func (t *tally) count(counters []counter, second int64, period time.Duration) {
	for _, c := range counters {
		c.series.bucket(second, period, c.unit).add(1, 1)
		t.batch.values++
	}
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
