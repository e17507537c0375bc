package kms

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"vigil/internal/call"
	"vigil/internal/kms/xks"
)

// Metric is what was measured of a custom key store: values of one of AWS's metrics in the namespace AWS/KMS, and how
// often each occurred.
type Metric struct {
	Name       string
	Unit       string // one of CloudWatch's; "" is None
	Dimensions []Dimension
	Time       time.Time
	Values     []float64
	Counts     []float64
}

// Dimension is a name and a value that tell metrics of one name apart.
type Dimension struct{ Name, Value string }

// storeMetrics gathers what is measured until it is handed on, so that using a key writes nothing. See the KMS developer
// guide's "Monitoring with Amazon CloudWatch" for the metrics and their dimensions.
type storeMetrics struct {
	mu    sync.Mutex
	since map[series]map[float64]float64 // how often each value occurred
}

// series is what a metric is about. Empty dimensions are left out.
type series struct {
	account, region string
	name, unit      string
	dimensions      [6]Dimension
}

// measured is why a proxy was asked.
type measured struct{ kms, xks, keySpec string }

func (s *keyStore) series(name, unit string, dimensions ...Dimension) series {
	of := series{account: s.ref.account, region: s.ref.region, name: name, unit: unit}
	of.dimensions[0] = Dimension{"CustomKeyStoreId", s.ref.id}
	copy(of.dimensions[1:], dimensions)
	return of
}

func (m *storeMetrics) add(to series, value float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.since == nil {
		m.since = make(map[series]map[float64]float64)
	}
	if m.since[to] == nil {
		m.since[to] = make(map[float64]float64)
	}
	m.since[to][value]++
}

// exchange measures one request to a proxy: how long it took in whole milliseconds, at most the time limit, and its failure.
func (m *storeMetrics) exchange(s *keyStore, what measured, took time.Duration, err error, limit time.Duration) {
	var failure *xks.Failure
	if err != nil && !errors.As(err, &failure) {
		return // who called KMS is gone: it says nothing of the proxy
	}
	about := []Dimension{{"KmsOperation", what.kms}, {"XksOperation", what.xks}, {"KeySpec", what.keySpec}}
	if failure == nil || failure.Name == xks.TimedOut || failure.Status != 0 {
		m.add(s.series("XksProxyLatency", "Milliseconds", about...), math.Round(min(took, limit).Seconds()*1000))
	}
	if failure == nil {
		return
	}
	kind := "Non-retryable errors"
	if failure.Retryable() {
		kind = "Retryable errors"
	}
	m.add(s.series("XksProxyErrors", "Count", append(about, Dimension{"ErrorType", kind}, Dimension{"ExceptionName", exceptionName(what, err)})...), 1)
}

// exceptionName is what who called KMS was told.
func exceptionName(what measured, err error) string {
	switch {
	case what.xks == xks.OpHealth:
		return codeOf(failedManaging(err))
	case what.xks == xks.OpMetadata:
		return codeOf(failedCreating(err))
	}
	return codeOf(failedUsing(err))
}

func codeOf(err error) string {
	if e := (*call.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// health measures what a proxy said of itself, what it showed, and what is known of it.
func (m *storeMetrics) health(s *keyStore, is xks.Health, now time.Time) {
	const day = 24 * time.Hour
	m.add(s.series("XksProxyCredentialAge", ""), math.Floor(float64(now.Sub(s.credited))/float64(day)))
	if c := is.Certificate; c != nil {
		name := c.Subject.CommonName
		if name == "" && len(c.DNSNames) > 0 {
			name = c.DNSNames[0]
		}
		if name != "" {
			m.add(s.series("XksProxyCertificateDaysToExpire", "", Dimension{"CertificateName", name}), math.Floor(float64(c.NotAfter.Sub(now))/float64(day)))
		}
	}
	if len(is.Managers) == 0 {
		return
	}
	for _, state := range [][2]string{{"Active", xks.Active}, {"Degraded", xks.Degraded}, {"Unavailable", xks.Unavailable}} {
		m.add(s.series("XksExternalKeyManagerStates", "Count", Dimension{"XksExternalKeyManagerState", state[0]}), float64(is.Count(state[1])))
	}
}

// take empties what was gathered.
func (m *storeMetrics) take() map[series]map[float64]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.since
	m.since = nil
	return taken
}

// putMetrics hands on what was measured since the last time. What cannot be handed on is lost: it is not worth failing for.
func (k *KMS) putMetrics(ctx context.Context) error {
	type place struct{ account, region string }
	found := make(map[place][]Metric)
	now := k.clock.Now()
	for of, values := range k.storeMetrics.take() {
		metric := Metric{Name: of.name, Unit: of.unit, Time: now}
		for _, d := range of.dimensions {
			if d.Value != "" {
				metric.Dimensions = append(metric.Dimensions, d)
			}
		}
		for value, count := range values {
			metric.Values, metric.Counts = append(metric.Values, value), append(metric.Counts, count)
		}
		found[place{of.account, of.region}] = append(found[place{of.account, of.region}], metric)
	}
	if k.emit == nil {
		return nil
	}
	var failed []error
	for at, metrics := range found {
		failed = append(failed, k.emit(ctx, at.account, at.region, metrics))
	}
	return errors.Join(failed...)
}
