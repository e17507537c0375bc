package notary

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"vigil"
)

// aWitness is a witness by the letter of C2SP tlog-witness, for one log.
type aWitness struct {
	mu      sync.Mutex
	key     *vigil.CosignatureSigner
	log     note.Verifier // set once the log is known
	last    vigil.Checkpoint
	refuses bool
	signed  int
}

func newAWitness(t *testing.T, name string) (*aWitness, Witness) {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := vigil.NewCosignatureSigner(name, seed[:], time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := &aWitness{key: key}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	witness, err := ParseWitness(srv.URL + "/=" + key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return w, witness
}

func (w *aWitness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	head, checkpoint, _ := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if r.URL.Path != "/add-checkpoint" || r.Method != http.MethodPost || err != nil {
		http.Error(rw, "bad request", http.StatusBadRequest)
		return
	}
	if w.log == nil || w.refuses {
		http.Error(rw, "unknown log", http.StatusNotFound)
		return
	}
	c, err := vigil.OpenCheckpoint(checkpoint, w.log)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusForbidden)
		return
	}
	if old != w.last.Size {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", w.last.Size)
		return
	}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		h, err := tlog.ParseHash(line)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		proof = append(proof, h)
	}
	if w.last.Origin == "" {
		w.last.Origin = c.Origin
	}
	if err := vigil.CheckConsistency(w.last, c.Checkpoint, proof); err != nil {
		http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	w.last = c.Checkpoint
	w.signed++
	sig, _ := w.key.Sign([]byte(c.Text()))
	id := []byte{byte(w.key.KeyHash() >> 24), byte(w.key.KeyHash() >> 16), byte(w.key.KeyHash() >> 8), byte(w.key.KeyHash())}
	fmt.Fprintf(rw, "— someone.else.example AAAAAAAA\n— %s %s\n", w.key.Name(), base64.StdEncoding.EncodeToString(append(id, sig...)))
}

func (w *aWitness) set(change func(*aWitness)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// TestWitnesses has two witnesses cosign a log that grows and starts anew; one of them knows the log from before, and one refuses for a time.
func TestWitnesses(t *testing.T) {
	h := newHouse(t)
	first, firstWitness := newAWitness(t, "witness.example.com/first")
	second, secondWitness := newAWitness(t, "witness.example.com/second")
	h.start(t)
	log, err := vigil.NewVerifier(h.n.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	h.stop(t)
	first.set(func(w *aWitness) { w.log = log })

	cosigned := func(size int64, by ...note.Verifier) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			_, body := h.get(t, "checkpoint", http.StatusOK)
			c, err := vigil.OpenCheckpoint(body, log, firstWitness.Key, secondWitness.Key)
			if err != nil {
				t.Fatal(err)
			}
			if c.Size == size && len(c.Witnesses) == len(by) {
				for i, key := range by {
					if c.Witnesses[i].Witness != key.Name() || c.Witnesses[i].Time == 0 {
						t.Errorf("cosigned by %v", c.Witnesses)
					}
				}
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the checkpoint of %d records never has %d cosignatures; it is of %d records and has %v", size, len(by), c.Size, c.Witnesses)
			}
		}
	}
	h.start(t, firstWitness, secondWitness)
	h.commit(t, 20, 5)
	cosigned(20, firstWitness.Key)
	second.set(func(w *aWitness) { w.log = log })
	h.commit(t, 300, 50)
	cosigned(320, firstWitness.Key, secondWitness.Key)
	h.stop(t)
	h.start(t, firstWitness, secondWitness)
	h.commit(t, 5, 5)
	cosigned(325, firstWitness.Key, secondWitness.Key)

	p, err := h.n.Prove(t.Context(), h.records(t)[17])
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Verify(log, firstWitness.Key, secondWitness.Key); err != nil || len(c.Witnesses) != 2 {
		t.Errorf("the proof has the cosignatures %v (%v)", c, err)
	}

	// A witness that has seen another tree is not followed.
	first.set(func(w *aWitness) { w.last.Root[0]++ })
	before := first.signed
	h.commit(t, 5, 5)
	cosigned(330, secondWitness.Key)
	first.set(func(w *aWitness) {
		if w.signed != before {
			t.Error("it has cosigned what is not consistent")
		}
	})
}

func TestParseWitness(t *testing.T) {
	const key = "witness.example.com/w1+745fb5e8+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
	for text, want := range map[string]string{
		"https://witness.example.com=" + key:     "https://witness.example.com",
		"http://127.0.0.1:8080/a/b/=" + key:      "http://127.0.0.1:8080/a/b",
		"https://witness.example.com":            "",
		"https://witness.example.com=" + key[1:]: "",
		"witness.example.com=" + key:             "",
		"ftp://witness.example.com=" + key:       "",
		"https://u:p@witness.example.com=" + key: "",
		"https://witness.example.com?x=1=" + key: "",
		"":                                       "",
		"=" + key:                                "",
		"https://witness.example.com+1=" + key:   "",
	} {
		w, err := ParseWitness(text)
		if (err == nil) != (want != "") || w.URL != want {
			t.Errorf("%q: %q, %v", text, w.URL, err)
		}
	}
}
