package metrics

import (
	"bytes"
	"context"
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

// Follow turns the journal into Vigil's own metrics until ctx is done. Each KMS call counts, in the account and region of its record
// and the minute of its time, exactly once:
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
	c := counts{}
	var r vigil.OutlineReader
	for i := range entries {
		c.add(&r, &entries[i])
	}
	b := newBatch()
	for k, n := range c {
		d := k.datum(n)
		if err := b.add(k.account, k.region, &d); err != nil {
			m.log.Warn("A record cannot be counted.", "error", err)
		}
	}
	_, err := m.write(tx, b)
	return err
}

// counts are how often something was counted.
type counts map[counted]float64

// counted is a metric and a minute.
type counted struct {
	account, region string
	name            string // CallCount, Calls or Errors
	operation, key  string // key is "" for all keys together
	minute          int64
}

func (k counted) datum(n float64) Datum {
	d := Datum{
		Namespace: kmsNamespace, Name: k.name, Unit: "Count", Time: time.Unix(k.minute*60, 0),
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

func (c counts) add(r *vigil.OutlineReader, e *journal.Entry) {
	var o vigil.Outline
	if err := r.Read(e.Data, &o); err != nil {
		return // no CloudTrail record
	}
	if string(o.EventSource) != kmsSource || string(o.EventType) != vigil.AwsAPICall || len(o.EventName) == 0 {
		return
	}
	k := counted{account: string(o.Account), region: string(o.Region), operation: string(o.EventName), minute: e.Time.Unix() / 60}
	count := func(name, key string) {
		k.name, k.key = name, key
		c[k]++
	}
	count("CallCount", "")
	count("Calls", "")
	failed := len(o.ErrorCode) > 0
	if failed {
		count("Errors", "")
	}
	for i, one := range o.Resources {
		if string(one.Type) != kmsKeyType || touchedBefore(o.Resources[:i], one.ARN) {
			continue
		}
		key := keyID(string(one.ARN))
		count("Calls", key)
		if failed {
			count("Errors", key)
		}
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
