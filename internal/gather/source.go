package gather

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is something that may have records: a file, or an object of a bucket.
type Source struct {
	Name    string // an absolute path, or s3://BUCKET/KEY
	Version string // what tells it from a later one of that name
	Size    int64
	// Open opens it. What it is signed with is in meta, if that is known: members of an object's user metadata.
	Open func(ctx context.Context) (body io.ReadCloser, meta map[string]string, err error)
}

// Place where sources are.
type Lister interface {
	// List calls found with each source there is, in the order of their names. Left aside are those whose names tell that they have no records, which it counts.
	List(ctx context.Context, found func(Source) error) (aside int, err error)
}

// endings are what the names of files with records end with, when they are looked for in a folder or a bucket.
var endings = []string{".json", ".json.gz", ".ndjson", ".ndjson.gz", ".jsonl", ".jsonl.gz", ".csv", ".csv.gz"}

func mayHaveRecords(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

// Open says where the records of a command line's word are: s3://BUCKET/PREFIX, a folder, or a file.
func Open(ctx context.Context, word string) (Lister, error) {
	if rest, ok := strings.CutPrefix(word, "s3://"); ok {
		return openBucket(ctx, rest)
	}
	path, err := filepath.Abs(word)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return folder(path), nil
	}
	return file(path), nil
}

// file is one file, whatever it is called.
type file string

func (f file) List(_ context.Context, found func(Source) error) (int, error) {
	info, err := os.Stat(string(f))
	if err != nil {
		return 0, err
	}
	return 0, found(fileSource(string(f), info))
}

// folder is a folder with all that is below it.
type folder string

func (f folder) List(ctx context.Context, found func(Source) error) (aside int, err error) {
	err = filepath.WalkDir(string(f), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir():
			return nil
		case !mayHaveRecords(path):
			aside++
			return nil
		}
		info, err := os.Stat(path) // what a link leads to
		if os.IsNotExist(err) {
			return nil // it was there a moment ago
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			aside++
			return nil
		}
		return found(fileSource(path, info))
	})
	return aside, err
}

func fileSource(path string, info fs.FileInfo) Source {
	return Source{
		Name:    path,
		Version: fmt.Sprintf("%d bytes, changed %d", info.Size(), info.ModTime().UnixNano()),
		Size:    info.Size(),
		Open: func(context.Context) (io.ReadCloser, map[string]string, error) {
			f, err := os.Open(path)
			return f, nil, err
		},
	}
}
