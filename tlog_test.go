package vigil_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"vigil"
)

// A log of five entries, made with golang.org/x/mod/sumdb from keys of repeated bytes.
const (
	vectorKey        = "log.example.com/audit+824da868+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
	vectorSecret     = "PRIVATE+KEY+log.example.com/audit+824da868+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
	vectorWitness    = "witness.example.com/w1+745fb5e8+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
	vectorCheckpoint = `log.example.com/audit
5
cFjCBXxPO4DJl4GPVaZFd/0bZ/JPTVWZMogBy+/1wx0=

— log.example.com/audit gk2oaGfpstCOA47u2j2bY4RVmLEbZmtTqM7Dg4DRmW81+UiFF4R1nKBGC3q/TwzX75nayF6aw5Q1f2hzD4nID+kgXQE=
`
	vectorCosignature = "— witness.example.com/w1 dF+16AAAAABpVbkAWxlYC6zQk5qNs6ye/OUg2bKbSquGvWm0RSkYIqw/Bgi/tkq4dNQAN6E8hJ+M9O65/GnQv+asm98TNN06DWGEAA==\n"
)

var vectorEntries = []string{"", "a", "leaf-2", `{"n":3}`, "leaf-4"}

func verifier(t testing.TB, vkey string) note.Verifier {
	t.Helper()
	v, err := vigil.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCheckpointVector(t *testing.T) {
	c, err := vigil.OpenCheckpoint([]byte(vectorCheckpoint), verifier(t, vectorKey))
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != "log.example.com/audit" || c.Size != 5 || len(c.Witnesses) != 0 {
		t.Errorf("it reads as %+v", c)
	}
	if want := "7058c2057c4f3b80c997818f55a64577fd1b67f24f4d5599328801cbeff5c31d"; hex.EncodeToString(c.Root[:]) != want {
		t.Errorf("root %x, want %s", c.Root, want)
	}
	signer, err := note.NewSigner(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := c.Sign(signer)
	if err != nil || string(signed) != vectorCheckpoint {
		t.Errorf("signed again it is %s (%v)", signed, err)
	}
}

func TestCosignatureVector(t *testing.T) {
	cosigned := []byte(vectorCheckpoint + vectorCosignature)
	c, err := vigil.OpenCheckpoint(cosigned, verifier(t, vectorKey), verifier(t, vectorWitness))
	if err != nil {
		t.Fatal(err)
	}
	if want := []vigil.Cosignature{{Witness: "witness.example.com/w1", Time: 1767225600}}; !slices.Equal(c.Witnesses, want) {
		t.Errorf("cosigned by %v, want %v", c.Witnesses, want)
	}
	if c, err := vigil.OpenCheckpoint(cosigned, verifier(t, vectorKey)); err != nil || len(c.Witnesses) != 0 {
		t.Errorf("of a witness that is not known: %v, %v", c, err)
	}

	w, err := vigil.NewCosignatureSigner("witness.example.com/w1", bytes.Repeat([]byte{2}, 32), func() time.Time { return time.Unix(1767225600, 0) })
	if err != nil {
		t.Fatal(err)
	}
	if w.VerifierKey() != vectorWitness {
		t.Errorf("the witness's key is %s", w.VerifierKey())
	}
	opened, err := note.Open([]byte(vectorCheckpoint), note.VerifierList(verifier(t, vectorKey)))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := note.Sign(opened, w); err != nil || !strings.Contains(string(again), vectorCosignature) {
		t.Errorf("the witness signs %s (%v)", again, err)
	}
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(nil)
	_ = private
	otherKey, err := note.NewEd25519VerifierKey("log.example.com/audit", public)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	otherName, err := vigil.Checkpoint{Origin: "other.example.com", Size: 5}.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ signed, key string }{
		"another key":            {vectorCheckpoint, otherKey},
		"another size":           {strings.Replace(vectorCheckpoint, "\n5\n", "\n6\n", 1), vectorKey},
		"another root":           {strings.Replace(vectorCheckpoint, "cFjC", "cFjD", 1), vectorKey},
		"no signature":           {vectorCheckpoint[:strings.Index(vectorCheckpoint, "—")], vectorKey},
		"only a witness":         {vectorCheckpoint[:strings.Index(vectorCheckpoint, "—")] + vectorCosignature, vectorKey},
		"another log's name":     {string(otherName), vectorKey},
		"a forged cosignature":   {vectorCheckpoint + strings.Replace(vectorCosignature, "BpVbkA", "BpVbkB", 1), vectorKey},
		"nothing":                {"", vectorKey},
		"more than a checkpoint": {vectorCheckpoint + "more", vectorKey},
	} {
		if c, err := vigil.OpenCheckpoint([]byte(test.signed), verifier(t, test.key), verifier(t, vectorWitness)); err == nil {
			t.Errorf("%s: accepted as %+v", name, c)
		}
	}
	for _, text := range []string{"a\n1\n", "a\n01\n" + emptyRoot + "\n", "a\n-1\n" + emptyRoot + "\n", "a\n0\nAAAA\n", "\n0\n" + emptyRoot + "\n",
		"a\n0\n" + emptyRoot, "a\n0\ncFjCBXxPO4DJl4GPVaZFd/0bZ/JPTVWZMogBy+/1wx0=\n", "a\n0\n" + emptyRoot + "\n\n"} {
		if _, err := vigil.ParseCheckpoint(text); !errors.Is(err, vigil.ErrCheckpoint) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

const emptyRoot = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

func TestVerifierKeysThatAreRefused(t *testing.T) {
	for _, key := range []string{"", "a", "a+b", "a+00000000+", "+824da868+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c",
		strings.Replace(vectorKey, "824da868", "824da869", 1), strings.Replace(vectorWitness, "745fb5e8", "745fb5e9", 1),
		strings.Replace(vectorWitness, "witness", "wit ness", 1), "a+00000000+Bv8="} {
		if v, err := vigil.NewVerifier(key); err == nil {
			t.Errorf("%q: accepted as %s+%08x", key, v.Name(), v.KeyHash())
		}
	}
}

// tree is a log in memory, of records.
type tree struct {
	hashes  []tlog.Hash
	records [][]byte
}

func (t *tree) add(record string) {
	n := int64(len(t.records))
	t.records = append(t.records, []byte(record))
	stored, err := tlog.StoredHashesForRecordHash(n, vigil.LeafHash(vigil.Digest([]byte(record))), t)
	if err != nil {
		panic(err)
	}
	t.hashes = append(t.hashes, stored...)
}

func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = t.hashes[index]
	}
	return hashes, nil
}

func (t *tree) checkpoint(size int64) vigil.Checkpoint {
	root, err := tlog.TreeHash(size, t)
	if err != nil {
		panic(err)
	}
	return vigil.Checkpoint{Origin: "log.example.com/audit", Size: size, Root: root}
}

// proof is the proof file of a record.
func (t *tree) proof(tb testing.TB, size, index int64) *vigil.Proof {
	tb.Helper()
	signer, err := note.NewSigner(vectorSecret)
	if err != nil {
		tb.Fatal(err)
	}
	signed, err := t.checkpoint(size).Sign(signer)
	if err != nil {
		tb.Fatal(err)
	}
	path, err := tlog.ProveRecord(size, index, t)
	if err != nil {
		tb.Fatal(err)
	}
	return &vigil.Proof{Record: t.records[index], Index: index, Path: path, Checkpoint: signed}
}

func newTree(n int) *tree {
	t := &tree{}
	for i := range n {
		t.add(strings.Repeat("record ", i))
	}
	return t
}

func TestProofFile(t *testing.T) {
	log := verifier(t, vectorKey)
	log12 := newTree(12)
	for size := int64(1); size <= 12; size++ {
		for index := range size {
			file := log12.proof(t, size, index).Text()
			p, err := vigil.ParseProof(file)
			if err != nil {
				t.Fatal(err)
			}
			if again := p.Text(); !bytes.Equal(again, file) {
				t.Errorf("read and written again, a proof is\n%s\nand was\n%s", again, file)
			}
			if c, err := p.Verify(log); err != nil || c.Size != size {
				t.Errorf("record %d of %d: %v", index, size, err)
			}
		}
	}
	for name, change := range map[string]func(*vigil.Proof){
		"the record":               func(p *vigil.Proof) { p.Record = append([]byte("x"), p.Record...) },
		"the index":                func(p *vigil.Proof) { p.Index++ },
		"an index behind the tree": func(p *vigil.Proof) { p.Index = 12 },
		"a hash":                   func(p *vigil.Proof) { p.Path[1][0]++ },
		"a hash less":              func(p *vigil.Proof) { p.Path = p.Path[1:] },
		"another checkpoint":       func(p *vigil.Proof) { p.Checkpoint = log12.proof(t, 11, 3).Checkpoint },
	} {
		p := log12.proof(t, 12, 3)
		change(p)
		if _, err := p.Verify(log); err == nil {
			t.Errorf("%s was changed, and the proof is accepted", name)
		}
	}
}

// TestProofFileGolden holds the form of a proof file: one that was handed out stays good.
func TestProofFileGolden(t *testing.T) {
	const file = `c2sp.org/tlog-proof@v1
extra cmVjb3JkIA==
index 1
d3xNdv7tTKw7+vn4gdoolOOM/ZZMAZVuHPhcsu94sR4=
PIiWk0G09glYt6spC7/kzsJxvM6fV8Wbjac6BP+xO/c=

`
	got := string(newTree(3).proof(t, 3, 1).Text())
	if head := got[:strings.Index(got, "\n\n")+2]; head != file {
		t.Errorf("a proof file begins with\n%s\nwant\n%s", head, file)
	}
}

func TestConsistency(t *testing.T) {
	log := newTree(12)
	for newer := int64(0); newer <= 12; newer++ {
		for older := int64(0); older <= newer; older++ {
			var proof tlog.TreeProof
			if older > 0 && older < newer {
				var err error
				if proof, err = tlog.ProveTree(newer, older, log); err != nil {
					t.Fatal(err)
				}
			}
			if err := vigil.CheckConsistency(log.checkpoint(older), log.checkpoint(newer), proof); err != nil {
				t.Errorf("%d to %d: %v", older, newer, err)
			}
			forged := log.checkpoint(older)
			forged.Root[3]++
			if err := vigil.CheckConsistency(forged, log.checkpoint(newer), proof); err == nil && older > 0 {
				t.Errorf("%d to %d: another tree is accepted", older, newer)
			}
		}
	}
	if err := vigil.CheckConsistency(log.checkpoint(5), log.checkpoint(4), nil); err == nil {
		t.Error("a tree that has shrunk is accepted")
	}
}

// TestVectorTiles reads the five leaves' hashes as a tile.
func TestVectorTiles(t *testing.T) {
	var tile []tlog.Hash
	sum := sha256.New()
	for _, entry := range vectorEntries {
		h := tlog.RecordHash([]byte(entry))
		tile = append(tile, h)
		sum.Write(h[:])
	}
	if got, want := hex.EncodeToString(sum.Sum(nil)), "cab918f2b0a55717edaa0e5d85b9e8670f707cf30d3420dda07fb559a29070f4"; got != want {
		t.Errorf("the tile's digest is %s, want %s", got, want)
	}
	reader := vigil.TileHashes(func(level int, n int64, width int) ([]tlog.Hash, error) { return tile, nil })
	root, err := tlog.TreeHash(5, reader)
	if got, want := hex.EncodeToString(root[:]), "7058c2057c4f3b80c997818f55a64577fd1b67f24f4d5599328801cbeff5c31d"; err != nil || got != want {
		t.Errorf("the root is %s (%v), want %s", got, err, want)
	}
	path, err := tlog.ProveRecord(5, 2, reader)
	if err != nil {
		t.Fatal(err)
	}
	var proof []string
	for _, h := range path {
		proof = append(proof, h.String())
	}
	if want := []string{"10otHyrxwcrWxeiob8hpFi59HqAecpq/8XhR0QlI+ZQ=", "aI3GJEsEEZnnq0mQ32NAzj3BTKpc1aDhExrdqhIJ4aY=",
		"6p/BobbhkbRg0NYwbj6HDBc/OTMPE82htwz8cr3DmLo="}; !slices.Equal(proof, want) {
		t.Errorf("leaf 2 is proved by %q, want %q", proof, want)
	}
}

func TestTilePaths(t *testing.T) {
	for path, want := range map[string]vigil.Tile{
		"tile/0/005":                    {Level: 0, N: 5, Width: 256},
		"tile/1/x001/000":               {Level: 1, N: 1000, Width: 256},
		"tile/0/x001/x234/067.p/1":      {Level: 0, N: 1234067, Width: 1},
		"tile/63/273.p/255":             {Level: 63, N: 273, Width: 255},
		"tile/entries/x001/x234/067":    {Level: vigil.Entries, N: 1234067, Width: 256},
		"tile/entries/x123/000.p/112":   {Level: vigil.Entries, N: 123000, Width: 112},
		"tile/2/x009/x223/x372/036/005": {},
		"tile/0/5":                      {}, "tile/0/0005": {}, "tile/00/005": {}, "tile/64/005": {}, "tile/-1/005": {}, "tile/0/x000/005": {},
		"tile/0/005.p/0": {}, "tile/0/005.p/256": {}, "tile/0/005.p/01": {}, "tile/0/005.p/": {}, "tile/0/": {}, "tile/0": {}, "tile/0/005/": {},
		"tile/8/0/005": {}, "tile/0/x5": {}, "/tile/0/005": {}, "tile/0/x999/x999/x999/x999/x999/x999/999": {}, "": {}, "tile/entries/+05": {},
	} {
		got, err := vigil.ParseTilePath(path)
		if (err == nil) != (want.Width != 0) || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
}

func TestTileWidths(t *testing.T) {
	for _, test := range []struct {
		level int
		n     int64
		size  int64
		want  int
	}{
		{0, 0, 0, 0}, {0, 0, 256, 256}, {0, 1, 256, 0}, {1, 0, 256, 1}, {1, 0, 255, 0}, {2, 0, 65535, 0},
		{0, 273, 70000, 112}, {0, 272, 70000, 256}, {1, 0, 70000, 256}, {1, 1, 70000, 17}, {2, 0, 70000, 1}, {3, 0, 70000, 0},
		{vigil.Entries, 273, 70000, 112}, {0, 1 << 62, 70000, 0}, {63, 0, 1 << 62, 0},
	} {
		if got := vigil.WidthAt(test.level, test.n, test.size); got != test.want {
			t.Errorf("tile %d/%d of %d leaves has %d hashes, want %d", test.level, test.n, test.size, got, test.want)
		}
	}
}

func TestEntryBundle(t *testing.T) {
	var digests [][32]byte
	for _, record := range vectorEntries {
		digests = append(digests, vigil.Digest([]byte(record)))
	}
	bundle := vigil.AppendBundle(nil, digests...)
	if want := "002101e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; hex.EncodeToString(bundle[:35]) != want {
		t.Errorf("the first entry is %x, want %s", bundle[:35], want)
	}
	if got, err := vigil.ParseBundle(bundle); err != nil || !slices.Equal(got, digests) {
		t.Errorf("the bundle reads as %x, %v", got, err)
	}
	if want := tlog.RecordHash(bundle[2:35]); vigil.LeafHash(digests[0]) != want {
		t.Errorf("the leaf's hash is %x, want the entry's, %x", vigil.LeafHash(digests[0]), want)
	}
	for name, wrong := range map[string][]byte{
		"cut short": bundle[:34], "another length": append([]byte{0, 34}, bundle[2:]...), "another version": append([]byte{0, 33, 2}, bundle[3:]...),
		"too many": bytes.Repeat(bundle[:35], 257),
	} {
		if _, err := vigil.ParseBundle(wrong); !errors.Is(err, vigil.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	f.Add(newTree(3).proof(f, 3, 1).Text())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\n" + vectorCheckpoint))
	log := verifier(f, vectorKey)
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := vigil.ParseProof(file)
		if err != nil {
			return
		}
		if again := p.Text(); !bytes.Equal(again, file) {
			t.Errorf("%q reads as %q", file, again)
		}
		p.Verify(log)
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	f.Add([]byte(vectorCheckpoint))
	f.Add([]byte(vectorCheckpoint + vectorCosignature))
	log, witness := verifier(f, vectorKey), verifier(f, vectorWitness)
	f.Fuzz(func(t *testing.T, signed []byte) {
		if c, err := vigil.ParseCheckpoint(string(signed)); err == nil && c.Text() != string(signed) {
			t.Errorf("%q reads as %q", signed, c.Text())
		}
		if c, err := vigil.OpenCheckpoint(signed, log, witness); err == nil && c.Root.String() != "cFjCBXxPO4DJl4GPVaZFd/0bZ/JPTVWZMogBy+/1wx0=" {
			t.Errorf("forged: %q", signed)
		}
	})
}

func FuzzTilePath(f *testing.F) {
	f.Add("tile/entries/x001/x234/067.p/112")
	f.Fuzz(func(t *testing.T, path string) {
		if tile, err := vigil.ParseTilePath(path); err == nil && tile.Path() != path {
			t.Errorf("%q reads as %+v, which is %q", path, tile, tile.Path())
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add(vigil.AppendBundle(nil, [32]byte{1}, [32]byte{2}))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		if digests, err := vigil.ParseBundle(bundle); err == nil && !bytes.Equal(vigil.AppendBundle(nil, digests...), bundle) {
			t.Errorf("%x reads as %x", bundle, digests)
		}
	})
}

func FuzzNewVerifier(f *testing.F) {
	f.Add(vectorKey)
	f.Add(vectorWitness)
	f.Fuzz(func(t *testing.T, key string) {
		if v, err := vigil.NewVerifier(key); err == nil && v.Verify([]byte("text\n"), make([]byte, 72)) {
			t.Errorf("%q verifies anything", key)
		}
	})
}
