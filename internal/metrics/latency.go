package metrics

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"vigil/internal/store"
)

// Latencies are gathered in histograms and put once a minute, so that a call costs the door a look-up and an atomic addition. What
// was not put yet is lost when the process is killed.

// A histogram's bins are of equal width within each doubling, 16 of them: a latency is told to within 3 %.
const (
	binBits      = 4
	binsDoubling = 1 << binBits
	doublings    = 27 // from 1 µs to 134 s
	bins         = doublings * binsDoubling
)

// maxObserved is of how many keys' operations a minute's latencies are told apart. Those of more count by operation only.
const maxObserved = 10_000

// observed is what latencies are told apart by.
type observed struct {
	account, region, operation string
	key                        string // the key's ARN, or "" for all
}

type histogram [bins]atomic.Uint32

type latency struct {
	mu      sync.RWMutex
	current map[observed]*histogram
}

func (l *latency) init() { l.current = map[observed]*histogram{} }

// Observe notes how long a KMS call took, for Vigil/KMS Latency by Operation, and by KeyId and Operation unless keyARN is empty.
// The unit is Milliseconds, and the error at most 3 %. It does not wait for anything, and allocates only for what it has not seen within
// the minute.
func (m *Metrics) Observe(account, region, operation, keyARN string, took time.Duration) {
	bin := binOf(took)
	m.latency.observe(observed{account, region, operation, ""}, bin)
	if keyARN != "" {
		m.latency.observe(observed{account, region, operation, keyARN}, bin)
	}
}

func (l *latency) observe(what observed, bin int) {
	l.mu.RLock()
	h := l.current[what]
	if h != nil {
		h[bin].Add(1)
	}
	l.mu.RUnlock()
	if h != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if h = l.current[what]; h == nil {
		if len(l.current) >= maxObserved && what.key != "" {
			return
		}
		h = new(histogram)
		l.current[what] = h
	}
	h[bin].Add(1)
}

// binOf is the bin of a duration.
func binOf(took time.Duration) int {
	us := max(took.Microseconds(), 0)
	if us < binsDoubling {
		return int(us)
	}
	exponent := bits.Len64(uint64(us)) - 1
	bin := (exponent-binBits+1)<<binBits | int(us>>(exponent-binBits))&(binsDoubling-1)
	return min(bin, bins-1)
}

// middle is the latency in the middle of a bin, in milliseconds.
func middle(bin int) float64 {
	if bin < binsDoubling {
		return (float64(bin) + 0.5) / 1000
	}
	exponent := bin>>binBits + binBits - 1
	width := math.Ldexp(1, exponent-binBits)
	return (math.Ldexp(1, exponent) + (float64(bin&(binsDoubling-1))+0.5)*width) / 1000
}

// take takes out what has been observed. Nobody is adding to it afterwards.
func (l *latency) take() map[observed]*histogram {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.current
	l.current = make(map[observed]*histogram, len(taken))
	return taken
}

// putLatencies puts what has been observed, at a time within the minute that it was observed in.
func (m *Metrics) putLatencies(ctx context.Context, at time.Time) error {
	taken := m.latency.take()
	if len(taken) == 0 {
		return nil
	}
	b := newBatch()
	for what, h := range taken {
		d := h.datum(what, at)
		if err := b.add(what.account, what.region, &d); err != nil {
			m.log.Warn("A latency cannot be put.", "error", err)
		}
	}
	err := m.commitGroup(ctx, &group{batches: []*batch{b}})
	var inDoubt *store.CommitError
	if err != nil && !errors.As(err, &inDoubt) {
		m.latency.giveBack(taken)
	}
	if err != nil {
		return fmt.Errorf("metrics: putting latencies: %w", err)
	}
	return nil
}

// giveBack has what could not be put be put with the next minute's.
func (l *latency) giveBack(taken map[observed]*histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for what, h := range taken {
		into := l.current[what]
		if into == nil {
			l.current[what] = h
			continue
		}
		for bin := range h {
			into[bin].Add(h[bin].Load())
		}
	}
}

func (h *histogram) datum(what observed, at time.Time) Datum {
	d := Datum{Namespace: kmsNamespace, Name: "Latency", Unit: "Milliseconds", Time: at}
	if what.key != "" {
		d.Dimensions = append(d.Dimensions, Dimension{"KeyId", keyID(what.key)})
	}
	d.Dimensions = append(d.Dimensions, Dimension{"Operation", what.operation})
	for bin := range h {
		if n := h[bin].Load(); n > 0 {
			d.Values = append(d.Values, middle(bin))
			d.Counts = append(d.Counts, float64(n))
		}
	}
	return d
}
