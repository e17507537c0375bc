package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// progress counts what was imported, and says so while it goes on: on a terminal on one line, and elsewhere with a line now and then.
type progress struct {
	imported, known, differing, files, skipped, aside atomic.Int64

	mu       sync.Mutex // of what is written
	out      io.Writer
	terminal bool
	shown    bool // the terminal has a line that is not ended
	begun    time.Time
	stop     chan struct{}
	stopped  chan struct{}
}

func (p *progress) begin(out io.Writer) {
	p.out, p.begun = out, time.Now()
	if f, ok := out.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.terminal = err == nil
	}
	every := 10 * time.Second
	if p.terminal {
		every = 200 * time.Millisecond
	}
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(p.stopped)
		for {
			select {
			case <-p.stop:
				return
			case <-time.After(every):
				p.show()
			}
		}
	}()
}

// end ends the showing. It may be called again.
func (p *progress) end() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	<-p.stopped
	p.stop = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *progress) file() { p.files.Add(1) }
func (p *progress) skip() { p.skipped.Add(1) }

func (p *progress) batch(imported, known, differing int64) {
	p.imported.Add(imported)
	p.known.Add(known)
	p.differing.Add(differing)
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	records := p.imported.Load() + p.known.Load()
	rate := int64(float64(records) / time.Since(p.begun).Seconds())
	line := fmt.Sprintf("%d records imported, %d known, from %d files, %d skipped; %d records/s", p.imported.Load(), p.known.Load(), p.files.Load(), p.skipped.Load(), rate)
	if !p.terminal {
		fmt.Fprintln(p.out, line)
		return
	}
	p.clear()
	fmt.Fprint(p.out, line)
	p.shown = true
}

// clear takes the line off the terminal.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.shown = false
	}
}

// print writes a line beside the progress.
func (p *progress) print(w io.Writer, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(w, format, args...)
}

// count is a number of things in words.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}

// was is a number of things of which something is told.
func was(n int64, thing string) string {
	if n == 1 {
		return count(n, thing) + " was"
	}
	return count(n, thing) + " were"
}
