package server

import (
	"errors"
	"os"
	"sync"
	"testing"
)

// Asking who serves a directory never keeps a server from starting on it, however often it is asked.
func TestAskingDoesNotKeepAServerFromStarting(t *testing.T) {
	path := t.TempDir()
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					ServingProcess(path)
				}
			}
		})
	}
	for range 20 {
		d, err := openDataDir(path)
		if err != nil {
			t.Error(err)
			break
		}
		d.close()
	}
	close(done)
	asking.Wait()
}

func TestADataDirectoryHasOneProcess(t *testing.T) {
	path := t.TempDir()
	if ServingProcess(path) != 0 {
		t.Error("a directory that nobody serves is said to be served")
	}
	d, err := openDataDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if _, err := openDataDir(path); !errors.Is(err, ErrDataInUse) {
		t.Errorf("a second process gets %v", err)
	}
	if got := ServingProcess(path); got != os.Getpid() {
		t.Errorf("process %d is said to serve it, not %d", got, os.Getpid())
	}
}
