package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The server's own health, in the text form of Prometheus, version 0.0.4. It is no CloudWatch metric: it is about the process
// and belongs to its operator.

// health is what the operator is shown.
type health struct {
	mu       sync.Mutex
	families map[string]family
}

type family struct {
	help, typ string
	label     string // "" for a single sample
	read      func() map[string]float64
}

// Gauge registers a number that goes up and down, read whenever health is asked for, from any goroutine. It panics when the name is
// taken or is not a name of Prometheus'.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.health.register(name, family{help: help, typ: "gauge", read: single(read)})
}

// Counter registers a number that only goes up while the process lives.
func (m *Metrics) Counter(name, help string, read func() float64) {
	m.health.register(name, family{help: help, typ: "counter", read: single(read)})
}

// GaugeBy registers a gauge for each value of a label, such as the lag of each follower.
func (m *Metrics) GaugeBy(name, help, label string, read func() map[string]float64) {
	m.health.register(name, family{help: help, typ: "gauge", label: label, read: read})
}

func single(read func() float64) func() map[string]float64 {
	return func() map[string]float64 { return map[string]float64{"": read()} }
}

func (h *health) register(name string, f family) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !healthName(name) || f.label != "" && !healthName(f.label) {
		panic("metrics: " + name + " is no name of Prometheus'")
	}
	if _, taken := h.families[name]; taken {
		panic("metrics: " + name + " is registered twice")
	}
	if h.families == nil {
		h.families = map[string]family{}
	}
	h.families[name] = f
}

func healthName(name string) bool {
	for i, r := range name {
		if !(r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || i > 0 && '0' <= r && r <= '9') {
			return false
		}
	}
	return name != ""
}

// Health answers GET and HEAD with all that is registered. It shows no account's data, but is for the operator.
func (m *Metrics) Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD are allowed.", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(m.health.text()) // a client that has gone is its own affair
	})
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (h *health) text() []byte {
	h.mu.Lock()
	families := maps.Clone(h.families)
	h.mu.Unlock()
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(families)) {
		f := families[name]
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, escapeHelp.Replace(f.help), name, f.typ)
		samples := f.read()
		for _, value := range slices.Sorted(maps.Keys(samples)) {
			b.WriteString(name)
			if f.label != "" {
				fmt.Fprintf(&b, `{%s="%s"}`, f.label, escapeLabel.Replace(value))
			}
			b.WriteString(" " + healthNumber(samples[value]) + "\n")
		}
	}
	return b.Bytes()
}

func healthNumber(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "+Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// ownHealth registers what this package knows.
func (m *Metrics) ownHealth() {
	m.Counter("vigil_metrics_values_put_total", "Values put into metrics since the process began.", func() float64 {
		return float64(m.put.Load())
	})
	m.Gauge("vigil_metrics_log_bytes", "Size of the points that are not yet in rows of hours, about.", func() float64 {
		return float64(m.pages.size.Load())
	})
	m.Gauge("vigil_metrics_series_in_memory", "Metrics that are in memory.", func() float64 {
		m.mu.RLock()
		defer m.mu.RUnlock()
		return float64(len(m.series))
	})
	m.Gauge("go_goroutines", "Goroutines of the process.", func() float64 { return float64(runtime.NumGoroutine()) })
	m.Gauge("go_memstats_heap_inuse_bytes", "Memory of the heap that is in use.", func() float64 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapInuse)
	})
}
