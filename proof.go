package vigil

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Proof is a record with what shows that it is in the log: a file of form C2SP tlog-proof, whose extra data is the record. Who has
// the log's key needs nothing else.
type Proof struct {
	Record     []byte           // just as the journal has it
	Index      int64            // the record's place in the journal, from 0
	Path       tlog.RecordProof // the inclusion proof, the leaf's sibling first
	Checkpoint []byte           // signed
}

const proofHeader = "c2sp.org/tlog-proof@v1"

// MaxProofSize is the most that a proof file may have, in bytes.
const MaxProofSize = 64 << 20

// maxPath is the longest inclusion proof there can be.
const maxPath = 63

// ErrProof is returned for bytes that are no proof file.
var ErrProof = errors.New("vigil: not a proof file")

// Text is the proof as a file.
func (p *Proof) Text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nextra %s\nindex %d\n", proofHeader, base64.StdEncoding.EncodeToString(p.Record), p.Index)
	for _, h := range p.Path {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// IsProof says that a file means to be a proof file, by its first line.
func IsProof(file []byte) bool { return bytes.HasPrefix(file, []byte(proofHeader+"\n")) }

// ParseProof reads a proof file, or returns ErrProof. It verifies nothing.
func ParseProof(file []byte) (*Proof, error) {
	if len(file) > MaxProofSize {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrProof, len(file))
	}
	head, checkpoint, ok := bytes.Cut(file, []byte("\n\n"))
	if !ok {
		return nil, fmt.Errorf("%w: it has no checkpoint", ErrProof)
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrProof, proofHeader)
	}
	if len(lines) < 3 || len(lines)-3 > maxPath {
		return nil, fmt.Errorf("%w: it has %d lines before its checkpoint", ErrProof, len(lines))
	}
	extra, ok := strings.CutPrefix(lines[1], "extra ")
	if !ok {
		return nil, fmt.Errorf("%w: it has no record", ErrProof)
	}
	p := &Proof{Checkpoint: checkpoint}
	var err error
	if p.Record, err = base64.StdEncoding.Strict().DecodeString(extra); err != nil || strings.ContainsRune(extra, '\r') {
		return nil, fmt.Errorf("%w: its record is not in base64", ErrProof)
	}
	index, ok := strings.CutPrefix(lines[2], "index ")
	if p.Index, err = parseDecimal(index); !ok || err != nil {
		return nil, fmt.Errorf("%w: it has no index", ErrProof)
	}
	for _, line := range lines[3:] {
		h, err := parseHash(line)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrProof, err)
		}
		p.Path = append(p.Path, h)
	}
	return p, nil
}

// Verify returns the checkpoint under which the record stands at the index, once it has verified that it does, and that
// the log signed it: see OpenCheckpoint.
func (p *Proof) Verify(log note.Verifier, witnesses ...note.Verifier) (*SignedCheckpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, log, witnesses...)
	if err != nil {
		return nil, err
	}
	if p.Index >= c.Size {
		return nil, fmt.Errorf("vigil: the checkpoint is of %d records, and the proof is of record %d", c.Size, p.Index)
	}
	if err := tlog.CheckRecord(p.Path, c.Size, c.Root, p.Index, LeafHash(Digest(p.Record))); err != nil {
		return nil, fmt.Errorf("vigil: the record is not the one that the checkpoint has as record %d: %w", p.Index, err)
	}
	return c, nil
}
