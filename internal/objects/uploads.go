package objects

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An upload in parts is a folder with the object to be, and of each part its contents and an entry that names them.

const uploadFile = "upload.json"

// storedPart is a part's entry.
type storedPart struct {
	Part
	Data string `json:"data"`
}

// upload is the folder of an upload. An id is one of CreateUpload's or names none.
func (f *Files) upload(bucket, id string) (string, error) {
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return "", ErrNotFound
	}
	return filepath.Join(f.dir, uploads, bucket, strings.ToLower(id)), nil
}

// CreateUpload implements Store.
func (f *Files) CreateUpload(_ context.Context, bucket string, info Info) (string, error) {
	lock := f.lock(bucket)
	lock.Lock()
	defer lock.Unlock()
	var raw [16]byte
	rand.Read(raw[:])
	id := hex.EncodeToString(raw[:])
	dir, _ := f.upload(bucket, id)
	if err := makeFolder(filepath.Dir(dir)); err != nil {
		return "", fmt.Errorf("buckets: %w", err)
	}
	if err := makeFolder(dir); err != nil {
		return "", fmt.Errorf("buckets: %w", err)
	}
	info.Modified = f.clock.Now().UTC()
	return id, f.writeFile(filepath.Join(dir, uploadFile), entry{Info: info})
}

// Upload implements Store.
func (f *Files) Upload(_ context.Context, bucket, id string) (Info, error) {
	dir, err := f.upload(bucket, id)
	if err != nil {
		return Info{}, err
	}
	e, err := readEntry(filepath.Join(dir, uploadFile))
	return e.Info, err
}

// PutPart implements Store. A part that was there before is replaced.
func (f *Files) PutPart(_ context.Context, bucket, id string, number int, body io.Reader, settle func(*Part) error) (Part, error) {
	dir, err := f.upload(bucket, id)
	if err != nil {
		return Part{}, err
	}
	tmp, err := f.receive(body)
	if err != nil {
		return Part{}, err
	}
	defer tmp.discard()
	part := Part{Number: number, Size: tmp.size, ETag: hex.EncodeToString(tmp.md5), Modified: f.clock.Now().UTC()}
	if err := settle(&part); err != nil {
		return Part{}, err
	}
	lock := f.lock(bucket)
	lock.Lock()
	defer lock.Unlock()
	at := filepath.Join(dir, fmt.Sprintf("%05d.json", number))
	before, err := readPart(at)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Part{}, err
	}
	data := filepath.Base(tmp.path) + ".part"
	if err := os.Rename(tmp.path, filepath.Join(dir, data)); err != nil {
		if errors.Is(err, fs.ErrNotExist) { // it was ended meanwhile
			return Part{}, ErrNotFound
		}
		return Part{}, fmt.Errorf("buckets: %w", err)
	}
	if err := f.writeFile(at, storedPart{part, data}); err != nil {
		return Part{}, err
	}
	if before.Data != "" {
		os.Remove(filepath.Join(dir, before.Data))
	}
	return part, nil
}

func readPart(path string) (p storedPart, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(text, &p)
}

func (f *Files) storedParts(bucket, id string) (string, []storedPart, error) {
	dir, err := f.upload(bucket, id)
	if err != nil {
		return "", nil, err
	}
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, ErrNotFound
	} else if err != nil {
		return "", nil, fmt.Errorf("buckets: %w", err)
	}
	var parts []storedPart
	for _, file := range files {
		number, ok := strings.CutSuffix(file.Name(), ".json")
		if _, err := strconv.Atoi(number); !ok || err != nil {
			continue
		}
		part, err := readPart(filepath.Join(dir, file.Name()))
		if err != nil {
			return "", nil, fmt.Errorf("buckets: %w", err)
		}
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b storedPart) int { return cmp.Compare(a.Number, b.Number) })
	return dir, parts, nil
}

// Parts implements Store.
func (f *Files) Parts(_ context.Context, bucket, id string) ([]Part, error) {
	lock := f.lock(bucket)
	lock.RLock()
	defer lock.RUnlock()
	_, stored, err := f.storedParts(bucket, id)
	parts := make([]Part, len(stored))
	for i, p := range stored {
		parts[i] = p.Part
	}
	return parts, err
}

// Complete implements Store.
func (f *Files) Complete(ctx context.Context, bucket, id string, info Info, parts []Part, through io.Writer, settle Settle) (Info, error) {
	dir, tmp, info, err := f.assemble(bucket, id, info, parts, through)
	if err != nil {
		return Info{}, err
	}
	defer tmp.discard()
	if info, err = f.commit(bucket, info, tmp, settle); err != nil {
		return Info{}, err
	}
	os.RemoveAll(dir) // if it stays, the upload can be completed again
	return info, nil
}

// assemble makes one file of parts. It says which folder goes when that has become an object.
func (f *Files) assemble(bucket, id string, info Info, parts []Part, through io.Writer) (dir string, tmp *received, _ Info, err error) {
	dir, files, err := f.chosen(bucket, id, parts)
	if err != nil {
		return "", nil, Info{}, err
	}
	contents := &oneByOne{paths: files}
	defer contents.Close()
	sum := md5.New()
	for _, part := range parts {
		raw, err := hex.DecodeString(part.ETag)
		if err != nil {
			return "", nil, Info{}, fmt.Errorf("buckets: part %d of upload %s: %w", part.Number, id, err)
		}
		sum.Write(raw)
	}
	if tmp, err = f.receive(io.TeeReader(contents, through)); err != nil {
		return "", nil, Info{}, err
	}
	info.Size, info.ETag = tmp.size, hex.EncodeToString(sum.Sum(nil))+"-"+strconv.Itoa(len(parts))
	return dir, tmp, info, nil
}

// chosen are the files with the contents of parts that are as Parts has told.
func (f *Files) chosen(bucket, id string, parts []Part) (dir string, files []string, err error) {
	lock := f.lock(bucket)
	lock.RLock()
	defer lock.RUnlock()
	dir, stored, err := f.storedParts(bucket, id)
	if err != nil {
		return "", nil, err
	}
	for _, part := range parts {
		i, ok := slices.BinarySearchFunc(stored, part.Number, func(s storedPart, n int) int { return cmp.Compare(s.Number, n) })
		if !ok || stored[i].ETag != part.ETag {
			return "", nil, ErrNotFound
		}
		files = append(files, filepath.Join(dir, stored[i].Data))
	}
	return dir, files, nil
}

// oneByOne reads files one after the other, of which it has one open: an upload has up to 10,000 parts. A file that has gone, as its part was
// replaced or the upload ended meanwhile, is ErrNotFound; other contents get another name.
type oneByOne struct {
	paths []string
	file  *os.File
}

func (o *oneByOne) Read(p []byte) (int, error) {
	for {
		if o.file == nil {
			if len(o.paths) == 0 {
				return 0, io.EOF
			}
			file, err := os.Open(o.paths[0])
			if errors.Is(err, fs.ErrNotExist) {
				return 0, ErrNotFound
			} else if err != nil {
				return 0, fmt.Errorf("buckets: %w", err)
			}
			o.file, o.paths = file, o.paths[1:]
		}
		n, err := o.file.Read(p)
		if n > 0 || err != io.EOF {
			return n, err
		}
		o.Close()
		o.file = nil
	}
}

func (o *oneByOne) Close() error {
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}

// Abort implements Store.
func (f *Files) Abort(_ context.Context, bucket, id string) error {
	dir, err := f.upload(bucket, id)
	if err != nil {
		return err
	}
	lock := f.lock(bucket)
	lock.Lock()
	defer lock.Unlock()
	if _, err := os.Stat(dir); err != nil {
		return ErrNotFound
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("buckets: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}
