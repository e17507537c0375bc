package notary

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"vigil"
	"vigil/internal/store"
)

// Witness is somebody else, who cosigns the log's checkpoints as long as each tree has the last one at its beginning: C2SP tlog-witness.
type Witness struct {
	URL string        // the submission prefix, without a slash at its end
	Key note.Verifier // of a cosignature key: see vigil.NewVerifier
}

// ParseWitness reads URL=VKEY.
func ParseWitness(text string) (Witness, error) {
	address, vkey, ok := cutWitness(text)
	u, err := url.Parse(address)
	if !ok || err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return Witness{}, fmt.Errorf("%q is not like https://witness.example.com=NAME+1a2b3c4d+BASE64", text)
	}
	key, err := vigil.NewVerifier(vkey)
	if err != nil {
		return Witness{}, err
	}
	return Witness{URL: strings.TrimSuffix(address, "/"), Key: key}, nil
}

// cutWitness cuts at the = before the key, which may end with some.
func cutWitness(text string) (address, vkey string, ok bool) {
	plus := strings.Index(text, "+")
	if plus < 0 {
		return "", "", false
	}
	cut := strings.LastIndex(text[:plus], "=")
	if cut < 0 {
		return "", "", false
	}
	return text[:cut], text[cut+1:], true
}

const (
	// witnessPace is how far apart two rounds of asking are.
	witnessPace = time.Second
	// witnessTimeout is how long a round waits for the slowest witness.
	witnessTimeout = 10 * time.Second
	// witnessPatience is how long a checkpoint without cosignature is held back when witnesses are named.
	witnessPatience = time.Minute
	maxWitnessBody  = 64 << 10
)

// witness is a Witness and what is known of it.
type witness struct {
	Witness
	size int64 // the tree that it has cosigned last, as far as is known
	down bool  // said so in the server's log
}

// witnessClient follows no redirects: the operator has named who is asked.
var witnessClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Published is the checkpoint to serve: the last, or, where witnesses are named, the last that one has cosigned, unless they have not
// answered for a minute. It is nil if there is none.
func (n *Notary) Published() *vigil.SignedCheckpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cosigned != nil && len(n.witnesses) > 0 && n.signed != nil &&
		(n.cosigned.Size == n.signed.Size || time.Since(n.cosignedAt) < witnessPatience) {
		return n.cosigned
	}
	return n.signed
}

// runWitnesses asks the witnesses to cosign the last checkpoint, again and again.
func (n *Notary) runWitnesses(ctx context.Context) {
	for {
		n.askWitnesses(ctx)
		select {
		case <-time.After(witnessPace):
		case <-ctx.Done():
			return
		}
		select {
		case <-n.cosign:
		case <-ctx.Done():
			return
		}
	}
}

// askWitnesses asks all witnesses at the same time, and keeps the checkpoint with the cosignatures that came.
func (n *Notary) askWitnesses(ctx context.Context) {
	c := n.Signed()
	if c == nil || n.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, witnessTimeout)
	defer cancel()
	lines := make([]string, len(n.witnesses))
	var asking sync.WaitGroup
	for i, w := range n.witnesses {
		asking.Go(func() {
			line, err := n.ask(ctx, w, c)
			if err != nil && !w.down {
				n.log.Warn("A witness does not cosign.", "witness", w.Key.Name(), "error", err)
			}
			w.down = err != nil
			lines[i] = line
		})
	}
	asking.Wait()
	cosignatures := strings.Join(lines, "")
	if cosignatures == "" {
		signal(n.cosign) // they are asked again
		return
	}
	if err := n.keepCosigned(ctx, c, cosignatures); err != nil {
		n.log.Error("A cosigned checkpoint could not be kept.", "error", err)
	}
}

func (n *Notary) keepCosigned(ctx context.Context, c *vigil.SignedCheckpoint, cosignatures string) error {
	var keys []note.Verifier
	for _, w := range n.witnesses {
		keys = append(keys, w.Key)
	}
	cosigned, err := vigil.OpenCheckpoint(append(bytes.Clone(c.Note), cosignatures...), n.verifier, keys...)
	if err != nil {
		return err
	}
	err = n.db.Update(context.WithoutCancel(ctx), func(tx store.Tx) error { return storeCheckpoint(tx, kindCosigned, cosigned.Note) })
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cosigned, n.cosignedAt = cosigned, time.Now()
	return nil
}

// errConflict is a witness's answer that it has last seen another tree than it was said to have.
type errConflict struct{ size int64 }

func (e errConflict) Error() string {
	return fmt.Sprintf("it has last cosigned a tree of %d records", e.size)
}

// ask has a witness cosign a checkpoint, and returns its signature line.
func (n *Notary) ask(ctx context.Context, w *witness, c *vigil.SignedCheckpoint) (line string, err error) {
	for range 2 {
		if line, err = n.submit(ctx, w, c); err == nil {
			w.size = c.Size
			return line, nil
		}
		conflict := errConflict{}
		if !errors.As(err, &conflict) || conflict.size > c.Size {
			break
		}
		w.size = conflict.size
	}
	return "", err
}

// submit is one request to a witness.
func (n *Notary) submit(ctx context.Context, w *witness, c *vigil.SignedCheckpoint) (string, error) {
	proof, err := n.consistency(ctx, w.size, c.Checkpoint)
	if err != nil {
		return "", err
	}
	body := fmt.Appendf(nil, "old %d\n", w.size)
	for _, h := range proof {
		body = fmt.Appendf(body, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	body = append(append(body, '\n'), c.Note...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+"/add-checkpoint", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := witnessClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxWitnessBody))
	if err != nil {
		return "", err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return w.signatureIn(answer, c, n.verifier)
	case http.StatusConflict:
		size, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if err != nil || size < 0 || resp.Header.Get("Content-Type") != "text/x.tlog.size" {
			return "", errors.New("it answered 409 without a size")
		}
		return "", errConflict{size}
	}
	return "", fmt.Errorf("it answered %s", resp.Status)
}

// signatureIn is the witness's own line in its answer, once that verifies.
func (w *witness) signatureIn(answer []byte, c *vigil.SignedCheckpoint, log note.Verifier) (string, error) {
	for line := range strings.Lines(string(answer)) {
		if !strings.HasPrefix(line, "— "+w.Key.Name()+" ") || !strings.HasSuffix(line, "\n") {
			continue
		}
		opened, err := vigil.OpenCheckpoint(append(bytes.Clone(c.Note), line...), log, w.Key)
		if err != nil {
			return "", fmt.Errorf("its cosignature: %w", err)
		}
		if len(opened.Witnesses) == 1 && opened.Witnesses[0].Time > 0 {
			return line, nil
		}
	}
	return "", errors.New("it answered without its cosignature")
}
