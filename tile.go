package vigil

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is how many levels of the tree a tile has: C2SP tlog-tiles.
const TileHeight = 8

// Tile names a tile, or an entry bundle, of a log as C2SP tlog-tiles has them.
type Tile struct {
	Level int   // 0 for leaf hashes, to 63; Entries for an entry bundle
	N     int64 // from the left, from 0
	Width int   // 256 if it is full, otherwise 1 to 255
}

// Entries is the Level of an entry bundle.
const Entries = -1

// Path is where the tile is below the log's address: tile/0/x001/x234/067, tile/entries/273.p/112.
func (t Tile) Path() string {
	level := "entries"
	if t.Level != Entries {
		level = strconv.Itoa(t.Level)
	}
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	path := "tile/" + level + "/" + n
	if t.Width != BundleWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

// ParseTilePath reads what Path writes. There is one way to write each.
func ParseTilePath(path string) (Tile, error) {
	wrong := fmt.Errorf("vigil: %q is not the path of a tile", path)
	rest, ok := strings.CutPrefix(path, "tile/")
	level, rest, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || len(rest) > 64 {
		return Tile{}, wrong
	}
	t := Tile{Level: Entries, Width: BundleWidth}
	if level != "entries" {
		l, err := parseDecimal(level)
		if err != nil || l > 63 {
			return Tile{}, wrong
		}
		t.Level = int(l)
	}
	rest, width, partial := strings.Cut(rest, ".p/")
	if partial {
		w, err := parseDecimal(width)
		if err != nil || w < 1 || w >= BundleWidth {
			return Tile{}, wrong
		}
		t.Width = int(w)
	}
	n, err := strconv.ParseInt(strings.NewReplacer("x", "", "/", "").Replace(rest), 10, 64)
	if err != nil || n < 0 {
		return Tile{}, wrong
	}
	t.N = n
	if t.Path() != path {
		return Tile{}, wrong
	}
	return t, nil
}

// WidthAt is how many hashes, or entries, the tile of that level and number has in a tree of size leaves: 0 to 256.
func WidthAt(level int, n, size int64) int {
	for ; level > 0 && size > 0; level-- {
		size /= BundleWidth
	}
	return int(max(0, min(BundleWidth, size-min(n, size/BundleWidth+1)*BundleWidth)))
}

// HashTile is the root of the tree over a tile's hashes, of which there must be a power of two: the hash that stands for a full tile one
// level up.
func HashTile(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(HashTile(hashes[:half]), HashTile(hashes[half:]))
}

// TileHashes reads the hashes of a tree from its tiles, unverified, as tlog.TreeHash, ProveRecord and ProveTree ask for them. tile returns
// the hashes of the tile with that level and number, of which it must have width at least.
func TileHashes(tile func(level int, n int64, width int) ([]tlog.Hash, error)) tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			level, n := tlog.SplitStoredHashIndex(index)
			leaves := int64(1) << (level % TileHeight) // of the tile's own, below this node
			first := n * leaves % BundleWidth
			stored, err := tile(level/TileHeight, n*leaves/BundleWidth, int(first+leaves))
			if err != nil {
				return nil, err
			}
			if int64(len(stored)) < first+leaves {
				return nil, fmt.Errorf("vigil: tile %d/%d has %d hashes, and not %d", level/TileHeight, n*leaves/BundleWidth, len(stored), first+leaves)
			}
			hashes[i] = HashTile(stored[first : first+leaves])
		}
		return hashes, nil
	})
}
