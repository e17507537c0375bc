package server

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/notary"
	"vigil/internal/seal"
)

// openNotary opens the log that the journal's records are sealed in.
func (s *Server) openNotary(ctx context.Context, root *seal.Root) (err error) {
	s.notary, err = notary.New(ctx, notary.Config{
		Journal: s.journal, DB: s.main, Secrets: root.For("transparency log"), Dir: s.files.path,
		Origin: origin(s.cfg.PublicURL), Witnesses: s.cfg.Witnesses, Log: s.log,
	})
	return err
}

// origin is the name of a log that is served below a URL: without scheme and slash at its end.
func origin(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Host + strings.TrimSuffix(u.Path, "/") + strings.TrimSuffix(notary.Prefix, "/")
}

// sealRest waits until what was recorded is sealed, when the server stops. What is not by then is sealed by the next start.
func (s *Server) sealRest() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.notary.Err() == nil {
		_ = s.journal.Wait(ctx, notary.Follower)
	}
}

// LogKey is the public key that the server signs checkpoints of its log with, as vigil.NewVerifier reads it.
func (s *Server) LogKey() string { return s.notary.VerifierKey() }

// ProveEventInput asks for the proof of an event.
type ProveEventInput struct {
	EventId *string // 1 to 128 characters
}

// ProveEventOutput is the proof.
type ProveEventOutput struct {
	Proof *string // a proof file: docs/formats/tlog.md
}

// prove makes the proof of an event, which the event history finds, or else the notary's walk through all records.
func (s *Server) prove(ctx context.Context, eventID string) (*vigil.Proof, error) {
	places, err := s.trail.FindEvents(ctx, []string{eventID})
	if err != nil {
		return nil, err
	}
	entries, err := s.journal.Get(ctx, places[0])
	if err != nil {
		return nil, err
	}
	var r vigil.OutlineReader
	var o vigil.Outline
	for _, e := range entries {
		if s.notary.Err() != nil || r.Read(e.Data, &o) != nil || string(o.ID(e.Data)) != eventID {
			continue
		}
		if err := s.journal.Wait(ctx, notary.Follower); err != nil {
			return nil, err
		}
		return s.notary.Prove(ctx, e)
	}
	return s.notary.ProveEvent(ctx, eventID)
}

// proveEvent is the operation behind `vigil prove`. A proof has the whole record, of whichever account, so it is for the operator.
func (s *Server) proveEvent(ctx context.Context, c *call.Call, in *ProveEventInput) (*ProveEventOutput, error) {
	if err := s.identity.AllowOperator(c); err != nil {
		return nil, err
	}
	proof, err := s.prove(ctx, *in.EventId)
	switch {
	case errors.Is(err, notary.ErrNoEvent):
		return nil, call.Errorf("EventNotFoundException", "There is no event with the id %s.", *in.EventId)
	case errors.Is(err, notary.ErrInconsistent):
		return nil, call.Errorf("InconsistentLogException", "The log is not what was signed; vigil verify says what is wrong.")
	case err != nil:
		return nil, err
	}
	text := string(proof.Text())
	return &ProveEventOutput{Proof: &text}, nil
}
