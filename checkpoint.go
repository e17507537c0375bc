package vigil

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is what a log signs: its name, how many leaves its tree has, and the tree's root. C2SP tlog-checkpoint.
type Checkpoint struct {
	Origin string    // the log's name; also the name of the key that signs
	Size   int64     // leaves
	Root   tlog.Hash // SHA-256 of nothing when Size is 0
	// Extensions are further lines, which C2SP discourages and Vigil does not write.
	Extensions []string
}

// ErrCheckpoint is returned for text that is no checkpoint.
var ErrCheckpoint = errors.New("vigil: not a checkpoint")

// MaxCheckpointSize is the most that a signed checkpoint may have, in bytes: more than 16 cosignatures of the largest kind need.
const MaxCheckpointSize = 128 << 10

// Text is the text that is signed.
func (c Checkpoint) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
	for _, line := range c.Extensions {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(signers ...note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.Text()}, signers...)
}

// ParseCheckpoint reads the text of a checkpoint, without signatures, or returns ErrCheckpoint.
func ParseCheckpoint(text string) (Checkpoint, error) {
	body, ended := strings.CutSuffix(text, "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) < 3 {
		return Checkpoint{}, fmt.Errorf("%w: it has three lines or more", ErrCheckpoint)
	}
	for _, line := range lines {
		if line == "" {
			return Checkpoint{}, fmt.Errorf("%w: a line is empty", ErrCheckpoint)
		}
	}
	c := Checkpoint{Origin: lines[0], Extensions: lines[3:]}
	if len(c.Extensions) == 0 {
		c.Extensions = nil
	}
	var err error
	if c.Size, err = parseDecimal(lines[1]); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: its size is %q", ErrCheckpoint, lines[1])
	}
	if c.Root, err = parseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: its root is %q", ErrCheckpoint, lines[2])
	}
	if empty, _ := tlog.TreeHash(0, nil); c.Size == 0 && c.Root != empty {
		return Checkpoint{}, fmt.Errorf("%w: an empty tree with another root than an empty tree's", ErrCheckpoint)
	}
	return c, nil
}

// SignedCheckpoint is a checkpoint that was verified.
type SignedCheckpoint struct {
	Checkpoint
	Witnesses []Cosignature // those of known witnesses
	Note      []byte        // the signed note, with all signatures
}

// Cosignature is a witness's statement that, at the time, this was the largest consistent tree that it had seen of the log.
type Cosignature struct {
	Witness string // the key's name
	Time    int64  // in seconds since 1970
}

// OpenCheckpoint verifies a signed checkpoint: the log, whose key's name must be the origin, must have signed it, and so must each of
// witnesses whose signature it has. How many witnesses are enough is for the caller to judge, by the result. Signatures by unknown keys
// are passed over.
func OpenCheckpoint(signed []byte, log note.Verifier, witnesses ...note.Verifier) (*SignedCheckpoint, error) {
	if len(signed) > MaxCheckpointSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrCheckpoint, len(signed))
	}
	opened, err := note.Open(signed, note.VerifierList(append([]note.Verifier{log}, witnesses...)...))
	if err != nil {
		if unknown := (*note.UnverifiedNoteError)(nil); errors.As(err, &unknown) {
			return nil, fmt.Errorf("vigil: the checkpoint has no signature by %s+%08x", log.Name(), log.KeyHash())
		}
		return nil, fmt.Errorf("vigil: checkpoint: %w", err)
	}
	c := &SignedCheckpoint{Note: bytes.Clone(signed)}
	byLog := false
	for _, s := range opened.Sigs {
		if s.Name == log.Name() && s.Hash == log.KeyHash() {
			byLog = true
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(s.Base64)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
		}
		c.Witnesses = append(c.Witnesses, Cosignature{Witness: s.Name, Time: cosignatureTime(raw)})
	}
	if !byLog {
		return nil, fmt.Errorf("vigil: the checkpoint has no signature by %s+%08x", log.Name(), log.KeyHash())
	}
	if c.Checkpoint, err = ParseCheckpoint(opened.Text); err != nil {
		return nil, err
	}
	if c.Origin != log.Name() {
		return nil, fmt.Errorf("vigil: the checkpoint is of %q, and the key is of %q", c.Origin, log.Name())
	}
	return c, nil
}

// CheckConsistency verifies that the tree of newer is the tree of older with leaves added behind it: that nothing of it was changed,
// removed or moved. The proof, of C2SP's and RFC 6962's form, is empty if the sizes are equal or older is empty.
func CheckConsistency(older, newer Checkpoint, proof tlog.TreeProof) error {
	switch {
	case older.Origin != newer.Origin:
		return fmt.Errorf("vigil: %q and %q are two logs", older.Origin, newer.Origin)
	case older.Size > newer.Size:
		return fmt.Errorf("vigil: the tree had %d leaves, and has %d", older.Size, newer.Size)
	case older.Size == 0 || older.Size == newer.Size:
		if len(proof) != 0 {
			return errors.New("vigil: a consistency proof that needs none")
		}
		if older.Size == newer.Size && older.Root != newer.Root {
			return fmt.Errorf("vigil: two trees of %d leaves with different roots", older.Size)
		}
		return nil
	}
	if err := tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("vigil: the tree of %d leaves does not have that of %d leaves at its beginning: %w", newer.Size, older.Size, err)
	}
	return nil
}

// parseDecimal reads a number as C2SP writes one: without sign or leading zeros.
func parseDecimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text || n < 0 {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

func parseHash(text string) (h tlog.Hash, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(h) || strings.ContainsAny(text, "\r\n") {
		return h, fmt.Errorf("%q is not a hash", text)
	}
	return tlog.Hash(raw), nil
}
