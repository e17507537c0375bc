package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/notify"
	"vigil/internal/objects"
	"vigil/internal/seal"
	"vigil/internal/store"
	"vigil/internal/trail"
)

// openTrails opens CloudTrail, whose trails deliver to log groups and to buckets.
func (s *Server) openTrails(ctx context.Context, root *seal.Root) (err error) {
	s.trail, err = trail.New(ctx, trail.Config{
		Journal: s.journal, DB: s.history, Clock: s.clock, Main: s.main, Watch: s.watch, PutLogs: s.putLogs,
		Buckets: trailBuckets{s.objects}, Secrets: root.For("digest signing"), Within: s.cfg.TrailDelivery, Log: s.log,
		Publish: func(tx store.Tx, from, topic arn.ARN, message string) error {
			err := s.notify.Publish(tx, topic, notify.Message{Text: message, From: "cloudtrail.amazonaws.com", Source: from.String()})
			if errors.Is(err, notify.ErrNoTopic) {
				return &call.Error{Code: "NotFound", Message: "Topic does not exist", Status: http.StatusNotFound, Cause: err}
			}
			return err
		},
		UseKey:   s.useKey,
		HasTopic: func(topic arn.ARN) bool { return s.notify.HasTopic(topic) },
	})
	return err
}

// trailBuckets are the server's own buckets, as trails see them.
type trailBuckets struct{ *objects.Objects }

// Check implements trail.Buckets.
func (b trailBuckets) Check(_ context.Context, account, bucket string) error {
	_, err := b.Region(account, bucket)
	return err
}

// putResult puts a file of a query's result into a bucket.
func (s *Server) putResult(ctx context.Context, account, bucket, key, contentType string, body io.Reader) error {
	_, err := s.objects.Put(ctx, account, bucket, key, objects.Metadata{ContentType: contentType}, body)
	return err
}

// Put implements trail.Buckets.
func (b trailBuckets) Put(ctx context.Context, account, bucket, key string, o trail.Object) error {
	m := objects.Metadata{ContentType: o.ContentType, ContentEncoding: o.ContentEncoding, User: o.Metadata}
	if o.KMSKey == "" {
		_, err := b.Objects.Put(ctx, account, bucket, key, m, bytes.NewReader(o.Body))
		return err
	}
	_, err := b.PutSealed(ctx, account, bucket, key, m, objects.Seal{KMSKey: o.KMSKey, By: o.By, Context: o.Context}, bytes.NewReader(o.Body))
	return err
}
