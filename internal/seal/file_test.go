package seal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func keyFile(t *testing.T, content []byte, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "root.key")
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

func mustFile(t *testing.T, path string, create bool) Seal {
	t.Helper()
	s, err := File(path, create)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFileIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	first := mustFile(t, path, true)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != 32 || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("the file has %d bytes and mode %v", info.Size(), info.Mode())
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("the directory holds %v", names)
	}
	blob, err := first.Wrap([]byte("dek"))
	if err != nil {
		t.Fatal(err)
	}
	for _, create := range []bool{true, false} {
		got, err := mustFile(t, path, create).Unwrap(blob)
		if err != nil || string(got) != "dek" {
			t.Errorf("create %v: %q, %v", create, got, err)
		}
	}
}

func TestFileMadeByManyAtOnceIsOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	seals := make([]Seal, 8)
	var wg sync.WaitGroup
	for i := range seals {
		wg.Go(func() {
			s, err := File(path, true)
			if err != nil {
				t.Error(err)
			}
			seals[i] = s
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	blob, err := seals[0].Wrap([]byte("dek"))
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range seals {
		if _, err := s.Unwrap(blob); err != nil {
			t.Errorf("seal %d: %v", i, err)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	good := bytes.Repeat([]byte{7}, 32)
	for _, test := range []struct {
		name    string
		content []byte
		mode    fs.FileMode
		message string
	}{
		{"readable by the group", good, 0o640, "can be reached by others than its owner (mode 0640)"},
		{"readable by all", good, 0o604, "can be reached by others than its owner (mode 0604)"},
		{"writable by the group", good, 0o620, "can be reached by others than its owner (mode 0620)"},
		{"empty", nil, 0o600, "has 0 bytes; a root key has exactly 32"},
		{"too short", good[:31], 0o600, "has 31 bytes; a root key has exactly 32"},
		{"with a newline", append(bytes.Clone(good), '\n'), 0o600, "has 33 bytes; a root key has exactly 32"},
		{"zeros", make([]byte, 32), 0o600, "is all zeros, which is no key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if runtime.GOOS == "windows" && test.mode != 0o600 {
				t.Skip("a mode says nothing on Windows")
			}
			path := keyFile(t, test.content, test.mode)
			_, err := File(path, true)
			if err == nil || !strings.Contains(err.Error(), test.message) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v", err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, test.content) {
				t.Error("the file has changed")
			}
		})
	}
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := File(dir, true); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		if _, err := File(filepath.Join(t.TempDir(), "a", "root.key"), true); err == nil || !strings.Contains(err.Error(), "cannot be made") {
			t.Errorf("got %v", err)
		}
	})
}

func TestMissingFileIsNotMadeUnlessAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	_, err := File(path, false)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "the root key "+path+" is missing") {
		t.Errorf("got %v", err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 0 {
		t.Errorf("the directory holds %v", names)
	}
}

func TestAReadOnlyFileIsEnough(t *testing.T) {
	mustFile(t, keyFile(t, bytes.Repeat([]byte{7}, 32), 0o400), false)
}

func TestSealRefusesWhatItDidNotWrap(t *testing.T) {
	s := mustFile(t, keyFile(t, bytes.Repeat([]byte{7}, 32), 0o600), false)
	other := mustFile(t, keyFile(t, bytes.Repeat([]byte{8}, 32), 0o600), false)
	blob, err := s.Wrap([]byte("a data-encryption key of 32 byte"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Unwrap(blob); !errors.Is(err, ErrOtherKey) {
		t.Errorf("another key: %v", err)
	}
	for i := range blob {
		for bit := range 8 {
			damaged := bytes.Clone(blob)
			damaged[i] ^= 1 << bit
			if got, err := s.Unwrap(damaged); err == nil {
				t.Fatalf("bit %d of byte %d flipped: %q", bit, i, got)
			}
		}
	}
	for n := range blob {
		if _, err := s.Unwrap(blob[:n]); err == nil {
			t.Errorf("cut to %d bytes: accepted", n)
		}
	}
}
