// Package notarytest reads a log as somebody else would.
package notarytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Reader is a program of somebody else's: it knows the log's key and what it has seen of the log, reads tiles as C2SP has them,
// and uses no code of Vigil.
type Reader struct {
	get func(resource string) []byte // nil for what is not there
	key note.Verifier

	seen  []tlog.Tree
	tiles map[tlog.Tile][]byte
}

// NewReader makes a reader of the log with that key. get returns a resource by its path below the log's address, or nil.
func NewReader(t testing.TB, vkey string, get func(resource string) []byte) *Reader {
	t.Helper()
	key, err := note.NewVerifier(strings.TrimSpace(vkey))
	if err != nil {
		t.Fatal(err)
	}
	return &Reader{get: get, key: key, tiles: map[tlog.Tile][]byte{}}
}

// ReadFrom has the reader read the same log elsewhere.
func (r *Reader) ReadFrom(get func(resource string) []byte) { r.get = get }

// Height implements tlog.TileReader.
func (r *Reader) Height() int { return 8 }

// SaveTiles implements tlog.TileReader.
func (r *Reader) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, t := range tiles {
		r.tiles[t] = data[i]
	}
}

// ReadTiles implements tlog.TileReader.
func (r *Reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		if kept, ok := r.tiles[t]; ok {
			data[i] = kept
			continue
		}
		path := fmt.Sprintf("tile/%d/%s", t.L, tileNumber(t.N))
		if t.W < 256 {
			path += fmt.Sprintf(".p/%d", t.W)
		}
		if data[i] = r.get(path); data[i] == nil {
			return nil, fmt.Errorf("%s is not there", path)
		}
	}
	return data, nil
}

func tileNumber(n int64) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	return text
}

// Visit reads the newest checkpoint and verifies that the log has what it had before.
func (r *Reader) Visit(t testing.TB) tlog.Tree {
	t.Helper()
	opened, err := note.Open(r.get("checkpoint"), note.VerifierList(r.key))
	if err != nil {
		t.Fatal(err)
	}
	var origin, root string
	var tree tlog.Tree
	if _, err := fmt.Sscanf(opened.Text, "%s\n%d\n%s\n", &origin, &tree.N, &root); err != nil || origin != r.key.Name() {
		t.Fatalf("the checkpoint is %q (%v)", opened.Text, err)
	}
	if tree.Hash, err = tlog.ParseHash(root); err != nil {
		t.Fatal(err)
	}
	hashes := tlog.TileHashReader(tree, r)
	for _, earlier := range r.seen {
		if earlier.N == 0 {
			continue
		}
		if earlier.N > tree.N {
			t.Fatalf("the tree had %d leaves, and has %d", earlier.N, tree.N)
		}
		proof, err := tlog.ProveTree(tree.N, earlier.N, hashes)
		if err != nil {
			t.Fatalf("%d to %d leaves: %v", earlier.N, tree.N, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, earlier.N, earlier.Hash); err != nil {
			t.Fatalf("%d to %d leaves: %v", earlier.N, tree.N, err)
		}
	}
	if !slices.Contains(r.seen, tree) {
		r.seen = append(r.seen, tree)
	}
	return tree
}

// Find verifies that an entry is in a tree.
func (r *Reader) Find(t testing.TB, tree tlog.Tree, index int64, entry []byte) {
	t.Helper()
	hashes := tlog.TileHashReader(tree, r)
	proof, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		t.Fatalf("entry %d: %v", index, err)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		t.Fatalf("entry %d: %v", index, err)
	}
}
