package notary

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"vigil"
	"vigil/internal/store"
)

// Prefix is where the log is served.
const Prefix = "/tlog/"

// Open returns what answers an open request for the log, which needs no signature, and nil for any other request:
// the resources of C2SP tlog-tiles, and GET /tlog/key, the log's public key.
func (n *Notary) Open(r *http.Request) http.Handler {
	resource, ok := strings.CutPrefix(r.URL.Path, Prefix)
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil
	}
	switch {
	case resource == "checkpoint":
		return http.HandlerFunc(n.serveCheckpoint)
	case resource == "key":
		return http.HandlerFunc(n.serveKey)
	case strings.HasPrefix(resource, "tile/"):
		return http.HandlerFunc(n.serveTile)
	}
	return nil
}

func (n *Notary) serveCheckpoint(w http.ResponseWriter, _ *http.Request) {
	c := n.Published()
	if c == nil || n.Err() != nil {
		http.Error(w, "the log cannot be served", http.StatusServiceUnavailable)
		return
	}
	answer(w, "text/plain; charset=utf-8", "no-cache", c.Note)
}

func (n *Notary) serveKey(w http.ResponseWriter, _ *http.Request) {
	answer(w, "text/plain; charset=utf-8", "no-cache", []byte(n.vkey+"\n"))
}

// serveTile answers with a tile or an entry bundle that the published checkpoint implies.
func (n *Notary) serveTile(w http.ResponseWriter, r *http.Request) {
	t, err := vigil.ParseTilePath(strings.TrimPrefix(r.URL.Path, Prefix))
	c := n.Signed()
	if err != nil || c == nil || vigil.WidthAt(t.Level, t.N, c.Size) < t.Width {
		w.Header().Set("Cache-Control", "no-cache") // the tree may have grown when it is asked for again
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	var body []byte
	err = n.db.View(r.Context(), func(tx store.Tx) error {
		if t.Level != vigil.Entries {
			hashes, err := tileHashes(tx, t.Level, t.N, t.Width)
			body = join(hashes)
			return err
		}
		digests, err := readDigests(tx, t.N)
		if err == nil && len(digests) < t.Width {
			return ErrInconsistent
		}
		if err == nil {
			body = vigil.AppendBundle(nil, digests[:t.Width]...)
		}
		return err
	})
	if err != nil {
		if errors.Is(err, ErrInconsistent) {
			n.log.Error("A tile of the log is damaged.", "tile", t.Path(), "error", err)
		}
		http.Error(w, "the tile cannot be read", http.StatusServiceUnavailable)
		return
	}
	answer(w, "application/octet-stream", "public, max-age=31536000, immutable", body)
}

func answer(w http.ResponseWriter, contentType, caching string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", caching)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.Write(body)
}
