package notary

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"vigil"
	"vigil/internal/store"
)

const digestSize = sha256.Size

// tree is the right edge of a tree that grows: of each level, the tile that is not full yet. It is all that one needs to add leaves and to
// know the root; whole tiles are done with, and given to full.
type tree struct {
	size    int64
	digests [][digestSize]byte // of the records of the bundle that is not full
	levels  [][]tlog.Hash      // by level; levels[0] are the hashes of digests
	full    func(level int, n int64, hashes []tlog.Hash, digests [][digestSize]byte) error
}

func emptyTree() *tree { return &tree{levels: [][]tlog.Hash{nil}} }

// add adds a leaf for the record of that digest.
func (t *tree) add(digest [digestSize]byte) error {
	t.digests = append(t.digests, digest)
	t.size++
	return t.push(0, vigil.LeafHash(digest))
}

func (t *tree) push(level int, h tlog.Hash) error {
	if level == len(t.levels) {
		t.levels = append(t.levels, nil)
	}
	t.levels[level] = append(t.levels[level], h)
	hashes := t.levels[level]
	if len(hashes) < vigil.BundleWidth {
		return nil
	}
	var digests [][digestSize]byte
	if level == 0 {
		digests, t.digests = t.digests, nil
	}
	if t.full != nil {
		if err := t.full(level, t.number(level)-1, hashes, digests); err != nil {
			return err
		}
	}
	t.levels[level] = nil
	return t.push(level+1, vigil.HashTile(hashes))
}

// number is that of the level's tile that is not full.
func (t *tree) number(level int) int64 { return t.size >> (vigil.TileHeight * (level + 1)) }

// root is the tree's hash.
func (t *tree) root() (tlog.Hash, error) {
	return tlog.TreeHash(t.size, vigil.TileHashes(func(level int, n int64, width int) ([]tlog.Hash, error) {
		if level >= len(t.levels) || n != t.number(level) || len(t.levels[level]) < width {
			return nil, fmt.Errorf("tile %d/%d is not at the right edge of a tree of %d leaves", level, n, t.size) // cannot be
		}
		return t.levels[level], nil
	}))
}

// openTree reads the right edge of the tree that a checkpoint is of, and returns ErrInconsistent if it has another root.
func openTree(tx store.Tx, c vigil.Checkpoint) (*tree, error) {
	t := &tree{size: c.Size}
	for level := 0; level == 0 || c.Size>>(vigil.TileHeight*level) > 0; level++ {
		n := t.number(level)
		width := vigil.WidthAt(level, n, c.Size)
		var hashes []tlog.Hash
		if width > 0 {
			var err error
			if level == 0 {
				if t.digests, err = readDigests(tx, n); err != nil {
					return nil, err
				}
				hashes = leafHashes(t.digests)
			} else if hashes, err = readTile(tx, level, n); err != nil {
				return nil, err
			}
			if len(hashes) != width {
				return nil, fmt.Errorf("%w: tile %d/%d has %d hashes, and %d were signed", ErrInconsistent, level, n, len(hashes), width)
			}
		}
		t.levels = append(t.levels, hashes)
	}
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	if root != c.Root {
		return nil, fmt.Errorf("%w: the tree of %d records has the root %v, and %v was signed", ErrInconsistent, c.Size, root, c.Root)
	}
	return t, nil
}

// growIn has tiles that become full written to the database.
func (t *tree) growIn(tx store.Tx) {
	t.full = func(level int, n int64, hashes []tlog.Hash, digests [][digestSize]byte) error {
		if level == 0 {
			return storeDigests(tx, n, digests)
		}
		return storeTile(tx, level, n, hashes)
	}
}

// store writes the tiles that are not full. The others were written when they became so.
func (t *tree) store(tx store.Tx) error {
	for level, hashes := range t.levels {
		if len(hashes) == 0 {
			continue
		}
		var err error
		if level == 0 {
			err = storeDigests(tx, t.number(0), t.digests)
		} else {
			err = storeTile(tx, level, t.number(level), hashes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func leafHashes(digests [][digestSize]byte) []tlog.Hash {
	hashes := make([]tlog.Hash, len(digests), vigil.BundleWidth)
	for i, digest := range digests {
		hashes[i] = vigil.LeafHash(digest)
	}
	return hashes
}

// readDigests reads the digests of a bundle; none if there is no such row.
func readDigests(tx store.Tx, n int64) ([][digestSize]byte, error) {
	return readHashes[[digestSize]byte](tx, `SELECT digests FROM notary_digest WHERE n = $1`, n)
}

// readTile reads a tile of a level above 0; no hashes if there is no such row.
func readTile(tx store.Tx, level int, n int64) ([]tlog.Hash, error) {
	return readHashes[tlog.Hash](tx, `SELECT hashes FROM notary_tile WHERE level = $1 AND n = $2`, level, n)
}

func readHashes[H ~[digestSize]byte](tx store.Tx, query string, args ...any) ([]H, error) {
	var raw []byte
	if err := tx.QueryRow(query, args...).Scan(&raw); err != nil && !errors.Is(err, store.ErrNoRows) {
		return nil, err
	}
	if len(raw)%digestSize != 0 || len(raw) > digestSize*vigil.BundleWidth {
		return nil, fmt.Errorf("%w: a tile of %d bytes", ErrInconsistent, len(raw))
	}
	hashes := make([]H, 0, vigil.BundleWidth)
	for ; len(raw) > 0; raw = raw[digestSize:] {
		hashes = append(hashes, H(raw[:digestSize]))
	}
	return hashes, nil
}

func storeDigests(tx store.Tx, n int64, digests [][digestSize]byte) error {
	_, err := tx.Exec(`INSERT INTO notary_digest (n, digests) VALUES ($1, $2) ON CONFLICT (n) DO UPDATE SET digests = excluded.digests`, n, join(digests))
	return err
}

func storeTile(tx store.Tx, level int, n int64, hashes []tlog.Hash) error {
	_, err := tx.Exec(`INSERT INTO notary_tile (level, n, hashes) VALUES ($1, $2, $3) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`,
		level, n, join(hashes))
	return err
}

func join[H ~[digestSize]byte](hashes []H) []byte {
	raw := make([]byte, 0, digestSize*len(hashes))
	for _, h := range hashes {
		raw = append(raw, h[:]...)
	}
	return raw
}

// tileHashes are the first width hashes of a tile of any level, of which it must have as many.
func tileHashes(tx store.Tx, level int, n int64, width int) (hashes []tlog.Hash, err error) {
	if level == 0 {
		digests, err := readDigests(tx, n)
		if err != nil {
			return nil, err
		}
		hashes = leafHashes(digests[:min(width, len(digests))])
	} else if hashes, err = readTile(tx, level, n); err != nil {
		return nil, err
	}
	if len(hashes) < width {
		return nil, fmt.Errorf("%w: tile %d/%d has %d hashes, and not %d", ErrInconsistent, level, n, len(hashes), width)
	}
	return hashes[:width], nil
}
