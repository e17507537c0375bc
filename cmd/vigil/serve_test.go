package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// TestMemoryLimit is of a server that uses more than its least limit, which would otherwise do little but collect.
func TestMemoryLimit(t *testing.T) {
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(-1)
	defer func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) }()
	until := func(what string, reached func(limit int64) bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !reached(debug.SetMemoryLimit(-1)); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: the limit is %d", what, debug.SetMemoryLimit(-1))
			}
			runtime.GC()
		}
	}
	tuneCollector(&cli{environ: []string{"GOGC=100"}})
	if debug.SetMemoryLimit(-1) != limit {
		t.Fatal("The limit is set although GOGC is")
	}
	tuneCollector(&cli{environ: nil})
	until("in the beginning", func(limit int64) bool { return limit == leastLimit })
	used := make([]byte, leastLimit)
	until("with much in use", func(limit int64) bool { return limit >= 3*leastLimit && limit < 4*leastLimit })
	runtime.KeepAlive(used)
	used = nil
	until("when it is not any more", func(limit int64) bool { return limit == leastLimit })
}
