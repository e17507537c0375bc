package objects

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// List implements Store. It reads only those folders in which something may be that is asked for.
func (f *Files) List(ctx context.Context, bucket string, q Query) (Page, error) {
	w := walk{ctx: ctx, q: q, lock: f.lock(bucket)}
	err := w.folder(filepath.Join(f.dir, bucket), "")
	if err == errEnough {
		err = nil
	}
	return w.page, err
}

type walk struct {
	ctx  context.Context
	q    Query
	page Page
	lock *sync.RWMutex // the bucket's
}

// errEnough ends a walk: there is more than was asked for.
var errEnough = errors.New("enough")

// found is an object or a folder in a folder.
type found struct {
	key    string // the rest of the key, of a folder with the slash
	path   string // of the folder, or of the object's entry
	folder bool
}

// folder walks all whose keys begin with at, which is empty or ends with a slash.
func (w *walk) folder(dir, at string) error {
	inside, err := w.inside(dir)
	if err != nil {
		return err
	}
	slices.SortFunc(inside, func(a, b found) int { return cmp.Compare(a.key, b.key) })
	for _, x := range inside {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		key := at + x.key
		switch {
		case x.folder && w.mayHold(key):
			err = w.folder(x.path, key)
		case !x.folder && key > w.q.After && strings.HasPrefix(key, w.q.Prefix):
			err = w.object(key, x.path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inside reads a folder in which no names change meanwhile: of one that is being replaced, some file systems tell twice, or not at all.
func (w *walk) inside(dir string) ([]found, error) {
	w.lock.RLock()
	defer w.lock.RUnlock()
	return readFolder(dir, "", nil)
}

// readFolder appends what is in a folder. Of a part of keys that is too long for one name, it looks for the rest in the folders that have
// it, as only whole parts can be put in order.
func readFolder(dir, begun string, inside []found) ([]found, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return inside, nil // which may have happened since it was seen
	} else if err != nil {
		return nil, err
	}
	for _, file := range files {
		name, path := file.Name(), filepath.Join(dir, file.Name())
		if beginning, ok := strings.CutSuffix(name, continued); ok && file.IsDir() {
			if part, ok := partOf(beginning); ok {
				if inside, err = readFolder(path, begun+part, inside); err != nil {
					return nil, err
				}
			}
			continue
		}
		name, isEntry := strings.CutSuffix(name, metaName)
		if part, ok := partOf(name); ok && file.IsDir() != isEntry {
			if file.IsDir() {
				part += "/"
			}
			inside = append(inside, found{begun + part, path, file.IsDir()})
		}
	}
	return inside, nil
}

// mayHold says whether keys that begin so may be asked for.
func (w *walk) mayHold(beginning string) bool {
	if w.q.After >= beginning && !strings.HasPrefix(w.q.After, beginning) {
		return false
	}
	if !strings.HasPrefix(beginning, w.q.Prefix) {
		return strings.HasPrefix(w.q.Prefix, beginning)
	}
	rolled, ok := w.q.rolled(beginning)
	return !ok || !w.told(rolled)
}

// rolled is the common prefix that a key is rolled into.
func (q Query) rolled(key string) (string, bool) {
	if q.Delimiter == "" {
		return "", false
	}
	i := strings.Index(key[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(q.Prefix)+i+len(q.Delimiter)], true
}

// told says whether a common prefix is in this page or was the end of the one before.
func (w *walk) told(prefix string) bool {
	return prefix == w.q.After || len(w.page.Prefixes) > 0 && w.page.Prefixes[len(w.page.Prefixes)-1] == prefix
}

func (w *walk) object(key, path string) error {
	prefix, rolled := w.q.rolled(key)
	if rolled && w.told(prefix) {
		return nil
	}
	if len(w.page.Objects)+len(w.page.Prefixes) >= w.q.Max {
		w.page.More = true
		return errEnough
	}
	if rolled {
		w.page.Prefixes = append(w.page.Prefixes, prefix)
		w.page.Last = prefix
		return nil
	}
	e, err := readEntry(path)
	if err == ErrNotFound {
		return nil // deleted meanwhile
	} else if err != nil {
		return err
	}
	w.page.Objects = append(w.page.Objects, e.Info)
	w.page.Last = key
	return nil
}
