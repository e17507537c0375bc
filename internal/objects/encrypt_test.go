package objects

import (
	"bytes"
	"io"
	"testing"
)

type closable struct{ *bytes.Reader }

func (closable) Close() error { return nil }

// What is encrypted is read again as it was, from anywhere on, and not if a chunk was changed, moved or cut off.
func TestSealedContents(t *testing.T) {
	aead, err := newAEAD(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{0, 1, sealedChunk - 1, sealedChunk, sealedChunk + 1, 3 * sealedChunk} {
		plain := make([]byte, size)
		for i := range plain {
			plain[i] = byte(i / 251)
		}
		s := &sealingReader{body: bytes.NewReader(plain), aead: aead}
		sealed, err := io.ReadAll(s)
		if chunks := max((size+sealedChunk-1)/sealedChunk, 1); err != nil || s.size != size || int64(len(sealed)) != size+chunks*sealOverhead {
			t.Fatalf("%d bytes are %d, with %d read: %v", size, len(sealed), s.size, err)
		}
		open := func(sealed []byte, size, from int64) ([]byte, error) {
			u := &unsealingReader{sealed: closable{bytes.NewReader(sealed)}, aead: aead, size: size, held: -1}
			if _, err := u.Seek(from, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			return io.ReadAll(u)
		}
		for _, from := range []int64{0, 1, sealedChunk - 1, sealedChunk, sealedChunk + 5, size} {
			if from > size {
				continue
			}
			if got, err := open(sealed, size, from); err != nil || !bytes.Equal(got, plain[from:]) {
				t.Errorf("%d bytes from %d on: %d bytes, %v", size, from, len(got), err)
			}
		}
		changed := bytes.Clone(sealed)
		changed[len(changed)-1] ^= 1
		if _, err := open(changed, size, 0); err != errSealed {
			t.Errorf("%d bytes that were changed: %v", size, err)
		}
		if size > sealedChunk {
			if _, err := open(sealed[:sealedChunk+sealOverhead], sealedChunk, 0); err != errSealed {
				t.Errorf("%d bytes that were cut off: %v", size, err)
			}
			moved := append(bytes.Clone(sealed[sealedChunk+sealOverhead:]), sealed[:sealedChunk+sealOverhead]...)
			if _, err := open(moved, size, 0); err != errSealed {
				t.Errorf("%d bytes that were moved: %v", size, err)
			}
		}
	}
}
