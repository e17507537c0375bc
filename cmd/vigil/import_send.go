package main

import (
	"bytes"
	"context"
	"strings"
	"time"

	"vigil"
	"vigil/internal/gather"
)

// A batch has this much of records, before compression, in pages of which each is small enough to be read for one record. A page's last record goes over
// its size, and it is read into memory that is measured out by 8 KiB from 32 KiB on.
const (
	batchSize    = 8 << 20
	pageSize     = 62 << 10
	pageRecords  = 128
	batchSources = 400
)

// conflicts is how often a batch is sent again that another import overtook.
const conflicts = 20

// sender makes batches of records and sends them, one at a time and in order, while the next is made.
type sender struct {
	i    *importer
	page vigil.PageWriter
	next importBatch

	queue chan importBatch
	ended chan struct{}
	stop  context.CancelFunc
	err   error // of sending; may be read when ended is closed
}

// importBatch is the input of ImportRecords.
type importBatch struct {
	Pages [][]byte
	From  []string
	Done  []doneSource
	size  int
}

type doneSource struct {
	Name, Version string
	Records       int
}

func newSender(ctx context.Context, i *importer) *sender {
	ctx, stop := context.WithCancel(ctx)
	s := &sender{i: i, queue: make(chan importBatch, 1), ended: make(chan struct{}), stop: stop}
	go func() {
		defer close(s.ended)
		for b := range s.queue {
			if s.err = s.send(ctx, b); s.err != nil {
				return
			}
		}
	}()
	return s
}

// add adds a record of a source.
func (s *sender) add(source string, r oneRecord) error {
	if n := len(s.next.From); n == 0 || s.next.From[n-1] != source {
		s.next.From = append(s.next.From, source)
	}
	if s.page.Len() == 0 {
		s.page.Imported = time.Unix(0, 0) // the server says when
	}
	s.page.Add(r.at, r.data)
	s.next.size += len(r.data)
	if s.page.Size() < pageSize && s.page.Len() < pageRecords {
		return nil
	}
	s.endPage()
	if s.next.size < batchSize && len(s.next.From) < batchSources {
		return nil
	}
	return s.flush()
}

// done notes that all records of a source were added.
func (s *sender) done(source gather.Source, records int) error {
	s.next.Done = append(s.next.Done, doneSource{source.Name, source.Version, records})
	if len(s.next.Done) < batchSources {
		return nil
	}
	return s.flush()
}

func (s *sender) endPage() {
	if s.page.Len() > 0 {
		s.next.Pages = append(s.next.Pages, bytes.Clone(s.page.Encode()))
		s.page.Reset()
	}
}

// flush has what was added sent.
func (s *sender) flush() error {
	s.endPage()
	if len(s.next.Pages)+len(s.next.Done) == 0 {
		return nil
	}
	select {
	case s.queue <- s.next:
		s.next = importBatch{}
		return nil
	case <-s.ended:
		return s.err
	}
}

// close sends the rest, if all went well, and waits until it is sent.
func (s *sender) close(well bool) error {
	var err error
	if well {
		err = s.flush()
	} else {
		s.stop()
	}
	close(s.queue)
	<-s.ended
	s.stop()
	if err == nil {
		err = s.err
	}
	return err
}

func (s *sender) send(ctx context.Context, b importBatch) error {
	for again := 0; ; again++ {
		var out struct{ Imported, Known, Differing int64 }
		err := s.i.operate(ctx, "ImportRecords", b, &out)
		if err == nil {
			s.i.progress.batch(out.Imported, out.Known, out.Differing)
			return nil
		}
		if !strings.HasPrefix(err.Error(), "ConflictException") || again == conflicts {
			return err
		}
	}
}
