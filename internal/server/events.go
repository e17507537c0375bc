package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"vigil/internal/arn"
	"vigil/internal/deliver"
	"vigil/internal/events"
	"vigil/internal/logs"
	"vigil/internal/notify"
	"vigil/internal/seal"
	"vigil/internal/store"
)

// openEvents opens EventBridge, whose targets are all that the other services can take an event to.
func (s *Server) openEvents(ctx context.Context, root *seal.Root) error {
	if err := checkFunctions(s.cfg.Functions); err != nil {
		return err
	}
	opened, err := events.New(ctx, events.Config{
		DB: s.main, Watch: s.watch, Clock: s.clock, Journal: s.journal, Log: s.log, Functions: s.cfg.Functions, Secrets: root.For("connections"),
		PutLogs: s.eventsToLogs, Publish: s.eventToTopic, Enqueue: s.eventToEndpoint,
	})
	s.events = opened
	return err
}

// checkFunctions refuses functions that no rule could name, or that could not be reached.
func checkFunctions(functions map[string]string) error {
	for name, endpoint := range functions {
		if a, err := arn.Parse(name); err != nil || a.Service != "lambda" || !strings.HasPrefix(a.Resource, "function:") {
			return fmt.Errorf("--function %s: it is not the ARN of a function, which is like arn:aws:lambda:us-east-1:111122223333:function:on-deletion", name)
		}
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("--function %s=%s: its URL is not one of http or https", name, endpoint)
		}
	}
	return nil
}

// eventsToLogs puts events into a log group.
func (s *Server) eventsToLogs(tx store.Tx, group arn.ARN, stream string, given []events.LogEvent) error {
	put := make([]logs.Event, len(given))
	for i, e := range given {
		put[i] = logs.Event(e)
	}
	return s.logs.Ingest(tx, logs.LogGroupID{Account: group.Account, Region: group.Region, Name: strings.TrimPrefix(group.Resource, "log-group:")}, stream, put)
}

// eventToTopic publishes an event.
func (s *Server) eventToTopic(tx store.Tx, rule, topic arn.ARN, message string, cause events.Cause) error {
	err := s.notify.Publish(tx, topic, notify.Message{
		Text: message, Cause: notify.Cause(cause), From: "events.amazonaws.com", Source: rule.String(),
	})
	if errors.Is(err, notify.ErrNoTopic) {
		return fmt.Errorf("%w: %w", events.ErrNoTarget, err)
	}
	return err
}

// credentials are a connection's, for the outbox.
func (s *Server) credentials(connection string) (deliver.Credentials, error) {
	c, err := s.events.Credentials(connection)
	return deliver.Credentials(c), err
}

// eventToEndpoint hands an event for an HTTP endpoint to the outbox. It is tried again after what EventBridge tries again after (User
// Guide, "API destinations as targets").
func (s *Server) eventToEndpoint(tx store.Tx, d events.Delivery) error {
	return s.outbox.Enqueue(tx, deliver.Delivery{
		ID: d.ID, Kind: deliver.HTTP, Method: d.Method, URL: d.URL, Header: d.Header, Body: d.Body,
		Connection: d.Connection, Lane: d.Lane, Rate: d.Rate, Timeout: d.Timeout,
		Account: d.Account, Region: d.Region, Source: d.Rule, Target: d.Target, Cause: deliver.Cause(d.Cause),
		Policy: deliver.Policy{MaxAttempts: d.MaxRetries + 1, MaxAge: d.MaxAge, RetryOn: []int{401, 407, 409, 429}, RetryAfter: true},
	})
}
