package objects

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"vigil/internal/clock"
)

// Files is a Store of plain files under one directory: an object's contents are a file that can be read by anyone, with beside it another
// that says the rest and whose appearance is that of the object. docs/formats/buckets.md says how they are named.
type Files struct {
	dir   string
	clock clock.Clock
	locks sync.Map // of *sync.RWMutex by bucket: held for writing while names change, for reading while an object is opened
}

// The folders beside those of the buckets, whose names no bucket can have.
const (
	temporary = ".tmp"
	uploads   = ".uploads"
)

// OpenFiles keeps objects under dir, which is made when it is not there. What an earlier process has left half-written is removed.
func OpenFiles(dir string, clock clock.Clock) (*Files, error) {
	f := &Files{dir: dir, clock: clock}
	if err := os.RemoveAll(filepath.Join(dir, temporary)); err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	for _, name := range []string{temporary, uploads} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("buckets: %w", err)
		}
	}
	if err := f.minds(temporary); err != nil {
		return nil, err
	}
	return f, syncDir(dir)
}

// minds refuses a file system that takes a and A for the same: two keys would be one object.
func (f *Files) minds(name string) error {
	if _, err := os.Stat(filepath.Join(f.dir, strings.ToUpper(name))); err == nil {
		return fmt.Errorf("buckets: %s is on a file system that does not tell capital letters from small ones, which keys of objects differ by", f.dir)
	}
	return nil
}

func (f *Files) lock(bucket string) *sync.RWMutex {
	lock, ok := f.locks.Load(bucket)
	if !ok {
		lock, _ = f.locks.LoadOrStore(bucket, new(sync.RWMutex))
	}
	return lock.(*sync.RWMutex)
}

// place is where an object lies: a folder, and the name in it.
type place struct {
	root    string   // the bucket's folder
	folders []string // from there
	name    string
}

func (f *Files) place(bucket, key string) place {
	path := pathOf(key)
	return place{filepath.Join(f.dir, bucket), path[:len(path)-1], path[len(path)-1]}
}

func (p place) dir() string          { return filepath.Join(append([]string{p.root}, p.folders...)...) }
func (p place) file(s string) string { return filepath.Join(p.dir(), s) }
func (p place) meta() string         { return p.file(p.name + metaName) }

// entry is the file that says all about an object, whose contents are in the file Data beside it.
type entry struct {
	Info
	Data string `json:"data"`
}

func readEntry(path string) (e entry, err error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return e, ErrNotFound
	case err != nil:
		return e, fmt.Errorf("buckets: %w", err)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("buckets: %s: %w", path, err)
	}
	return e, nil
}

// Make implements Store. A bucket's folder is made with its first object.
func (f *Files) Make(context.Context, string, string) error { return nil }

// Local implements Store.
func (f *Files) Local() bool { return true }

// Head implements Store.
func (f *Files) Head(_ context.Context, bucket, key string) (Info, error) {
	e, err := readEntry(f.place(bucket, key).meta())
	return e.Info, err
}

// Get implements Store.
func (f *Files) Get(_ context.Context, bucket, key string) (*Object, error) {
	lock := f.lock(bucket)
	lock.RLock()
	defer lock.RUnlock()
	at := f.place(bucket, key)
	e, err := readEntry(at.meta())
	if err != nil {
		return nil, err
	}
	file, err := os.Open(at.file(e.Data))
	if err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	return &Object{e.Info, file}, nil
}

// Put implements Store.
func (f *Files) Put(ctx context.Context, bucket string, info Info, body io.Reader, settle Settle) (Info, error) {
	tmp, err := f.receive(body)
	if err != nil {
		return Info{}, err
	}
	defer tmp.discard()
	info.Size, info.ETag = tmp.size, hex.EncodeToString(tmp.md5)
	return f.commit(bucket, info, tmp, settle)
}

// received is what came in, durable under a name of its own.
type received struct {
	path string
	size int64
	md5  []byte
}

func (r *received) discard() { os.Remove(r.path) } // which fails when it has become something

func (f *Files) receive(body io.Reader) (_ *received, err error) {
	file, err := os.CreateTemp(filepath.Join(f.dir, temporary), "")
	if err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	sum := md5.New() // an ETag is one
	buf := make([]byte, 128<<10)
	size, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(file, sum)}, body, buf)
	if err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("buckets: %w", err)
	}
	return &received{file.Name(), size, sum.Sum(nil)}, nil
}

// commit makes what was received an object. First the contents get their name, beside those that they replace; then the entry that names
// them appears, and with it the object; then what it replaced goes.
func (f *Files) commit(bucket string, info Info, tmp *received, settle Settle) (Info, error) {
	lock := f.lock(bucket)
	lock.Lock()
	defer lock.Unlock()
	at := f.place(bucket, info.Key)
	before, err := readEntry(at.meta())
	if err != nil && err != ErrNotFound {
		return Info{}, err
	}
	present := &before.Info
	if err == ErrNotFound {
		present = nil
	}
	info.Modified = f.clock.Now().UTC()
	if err := settle(&info, present); err != nil {
		return Info{}, err
	}
	if err := f.makeFolders(at); err != nil {
		return Info{}, fmt.Errorf("buckets: %w", err)
	}
	data, err := at.free(before.Data)
	if err != nil {
		return Info{}, err
	}
	if err := os.Rename(tmp.path, at.file(data)); err != nil {
		return Info{}, fmt.Errorf("buckets: %w", err)
	}
	if err := syncDir(at.dir()); err != nil {
		os.Remove(at.file(data))
		return Info{}, err
	}
	if err := f.writeFile(at.meta(), entry{info, data}); err != nil {
		if e, readErr := readEntry(at.meta()); readErr != nil || e.Data != data {
			os.Remove(at.file(data))
		}
		return Info{}, err
	}
	if before.Data != "" {
		os.Remove(at.file(before.Data)) // if it stays, the next Put takes its place
	}
	return info, nil
}

// free is a name for contents that is not the present ones', nor that of a folder: the object's own, or that with %1 or %2.
func (p place) free(present string) (string, error) {
	for n := range 4 {
		name := p.name
		if n > 0 {
			name += "%" + strconv.Itoa(n)
		}
		if name == present {
			continue
		}
		if info, err := os.Lstat(p.file(name)); err != nil || !info.IsDir() {
			return name, nil
		}
	}
	return "", fmt.Errorf("buckets: no name is left for %s", p.file(p.name))
}

// makeFolders makes the folders of an object. Where one has the name of another object's contents, those are given another.
func (f *Files) makeFolders(at place) error {
	parent := at.root
	if err := makeFolder(parent); err != nil {
		return err
	}
	for i, name := range at.folders {
		err := makeFolder(filepath.Join(parent, name))
		if errors.Is(err, syscall.ENOTDIR) {
			if err := f.makeRoom(place{at.root, at.folders[:i], name}); err != nil {
				return err
			}
			err = makeFolder(filepath.Join(parent, name))
		}
		if err != nil {
			return err
		}
		parent = filepath.Join(parent, name)
	}
	return nil
}

// makeFolder makes a folder durably, if there is none.
func makeFolder(path string) error {
	info, err := os.Lstat(path)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// makeRoom gives an object's contents another name, as a folder needs theirs.
func (f *Files) makeRoom(at place) error {
	e, err := readEntry(at.meta())
	if err != nil && err != ErrNotFound {
		return err
	}
	if err == nil && e.Data == at.name {
		if e.Data, err = at.free(at.name); err != nil {
			return err
		}
		os.Remove(at.file(e.Data)) // left over
		if err := os.Link(at.file(at.name), at.file(e.Data)); err != nil {
			return err
		}
		if err := syncDir(at.dir()); err != nil {
			return err
		}
		if err := f.writeFile(at.meta(), e); err != nil {
			return err
		}
	}
	return os.Remove(at.file(at.name))
}

// Delete implements Store.
func (f *Files) Delete(_ context.Context, bucket, key string) error {
	lock := f.lock(bucket)
	lock.Lock()
	defer lock.Unlock()
	at := f.place(bucket, key)
	e, err := readEntry(at.meta())
	if err == ErrNotFound {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.Remove(at.meta()); err != nil {
		return fmt.Errorf("buckets: %w", err)
	}
	if err := syncDir(at.dir()); err != nil {
		return err
	}
	os.Remove(at.file(e.Data))
	for dir := at.dir(); dir != at.root && os.Remove(dir) == nil; { // as long as they are empty
		dir = filepath.Dir(dir)
	}
	return nil
}

// Drop implements Store. What there is goes out of the way at once, and is removed at leisure, or by the next OpenFiles.
func (f *Files) Drop(bucket string) error {
	lock := f.lock(bucket)
	lock.Lock()
	defer lock.Unlock()
	for _, dir := range []string{filepath.Join(f.dir, uploads, bucket), filepath.Join(f.dir, bucket)} {
		away, err := os.MkdirTemp(filepath.Join(f.dir, temporary), "")
		if err != nil {
			return fmt.Errorf("buckets: %w", err)
		}
		if err := os.Rename(dir, away); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("buckets: %w", err)
		}
		go os.RemoveAll(away)
	}
	return nil
}

// writeFile writes v as JSON into a file of that name, all or nothing, durably.
func (f *Files) writeFile(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp, err := f.receive(strings.NewReader(string(text) + "\n"))
	if err != nil {
		return err
	}
	defer tmp.discard()
	if err := os.Rename(tmp.path, path); err != nil {
		return fmt.Errorf("buckets: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("buckets: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("buckets: %w", err)
	}
	return nil
}
