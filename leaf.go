package vigil

import (
	"crypto/sha256"
	"errors"

	"golang.org/x/mod/sumdb/tlog"
)

// The journal's records are the leaves of a Merkle tree, in their order: docs/formats/tlog.md. A leaf is an entry of 33 bytes that commits
// to its record by digest, so that entries can be public, a record may be of any size, and the tree outlives the records.

// LeafVersion is the first byte of an entry of form 1.
const LeafVersion = 1

// LeafSize is the size of an entry in bytes.
const LeafSize = 1 + sha256.Size

// Digest is what an entry has of a record: SHA-256 of its bytes, just as the journal keeps them.
func Digest(record []byte) [sha256.Size]byte { return sha256.Sum256(record) }

// LeafEntry is the log's entry for a record of that digest: the version and the digest.
func LeafEntry(digest [sha256.Size]byte) [LeafSize]byte {
	var entry [LeafSize]byte
	entry[0] = LeafVersion
	copy(entry[1:], digest[:])
	return entry
}

// LeafHash is the hash in the tree of a record of that digest: RFC 6962, section 2.1, over the entry.
func LeafHash(digest [sha256.Size]byte) tlog.Hash {
	entry := LeafEntry(digest)
	return tlog.RecordHash(entry[:])
}

// BundleWidth is how many entries a full entry bundle has, and how many hashes a full tile.
const BundleWidth = 256

const bundledSize = 2 + LeafSize // a length of two bytes, and the entry

// ErrBundle is returned for bytes that are no entry bundle of this log.
var ErrBundle = errors.New("vigil: not an entry bundle of a journal's records")

// AppendBundle appends the entry bundle (C2SP tlog-tiles) of records with these digests to dst: 35 bytes a record.
func AppendBundle(dst []byte, digests ...[sha256.Size]byte) []byte {
	for _, digest := range digests {
		dst = append(dst, 0, LeafSize, LeafVersion)
		dst = append(dst, digest[:]...)
	}
	return dst
}

// ParseBundle returns the digests of the records of an entry bundle, which has 256 at most, or ErrBundle.
func ParseBundle(bundle []byte) ([][sha256.Size]byte, error) {
	if len(bundle)%bundledSize != 0 || len(bundle)/bundledSize > BundleWidth {
		return nil, ErrBundle
	}
	digests := make([][sha256.Size]byte, 0, len(bundle)/bundledSize)
	for ; len(bundle) > 0; bundle = bundle[bundledSize:] {
		if bundle[0] != 0 || bundle[1] != LeafSize || bundle[2] != LeafVersion {
			return nil, ErrBundle
		}
		digests = append(digests, [sha256.Size]byte(bundle[3:bundledSize]))
	}
	return digests, nil
}
