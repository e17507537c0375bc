package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"vigil/internal/alarms"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/deliver"
	"vigil/internal/logs"
	"vigil/internal/metrics"
	"vigil/internal/notify"
	"vigil/internal/seal"
	"vigil/internal/store"
	"vigil/internal/trail"
)

// openWatch opens the services that watch. Their data share one database, so that what one makes of another's, such as the points
// of a metric filter, is committed with it.
func (s *Server) openWatch(ctx context.Context, root *seal.Root) (err error) {
	relay, err := parseRelay(s.cfg.SMTPRelay)
	if err != nil {
		return err
	}
	if s.outbox, err = deliver.New(ctx, deliver.Config{
		DB: s.watch, Clock: s.clock, Secrets: root.For("deliveries"), Log: s.log,
		AllowLocal: s.cfg.AllowLocalTargets, Relay: relay, Operator: s.identity.Operator,
		Connect: s.credentials,
		Open:    func(ctx context.Context, key, body []byte) ([]byte, error) { return s.notify.Decrypt(ctx, key, body) },
	}); err != nil {
		return err
	}
	if s.metrics, err = metrics.New(ctx, metrics.Config{Watch: s.watch, Clock: s.clock, Journal: s.journal, Log: s.log}); err != nil {
		return err
	}
	if s.logs, err = logs.New(ctx, logs.Config{DB: s.main, Watch: s.watch, Clock: s.clock, Log: s.log, PutMetrics: s.putMetrics, UseKey: s.useKey}); err != nil {
		return err
	}
	if s.notify, err = notify.New(ctx, notify.Config{
		DB: s.main, Watch: s.watch, Clock: s.clock, Secrets: root.For("notifications"), Journal: s.journal, Log: s.log,
		Enqueue: s.enqueueNotification, Endpoint: s.publicURL, Mail: relay.Address != "",
		UseKey: s.useKey,
		ManagedKey: func(ctx context.Context, account, region string) (string, error) {
			return s.kms.ManagedKey(ctx, account, region, "sns")
		},
	}); err != nil {
		return err
	}
	if err := s.openEvents(ctx, root); err != nil {
		return err
	}
	s.alarms, err = alarms.New(ctx, alarms.Config{
		DB: s.main, Watch: s.watch, Clock: s.clock, Log: s.log, Query: s.queryMetrics, Act: s.actOnAlarm,
		Emit: s.events.Emit,
	})
	return err
}

// useKey calls an operation of KMS in the name of by, through the door.
func (s *Server) useKey(ctx context.Context, by call.Principal, region, operation string, in any) (any, string, error) {
	return s.door.Perform(ctx, by, region, "kms", operation, in)
}

// cloudWatch is the CloudWatch API: metrics and alarms.
func (s *Server) cloudWatch() call.Service {
	service := s.metrics.Service()
	service.Operations = slices.Concat(service.Operations, s.alarms.Operations())
	return service
}

// queryMetrics answers what an alarm asks of the metrics.
func (s *Server) queryMetrics(ctx context.Context, account, region string, q alarms.Query) ([]alarms.Point, error) {
	about := metrics.Query{Namespace: q.Namespace, Name: q.Name, Unit: q.Unit, Stat: q.Stat, Period: q.Period, Start: q.Start, End: q.End}
	for _, d := range q.Dimensions {
		about.Dimensions = append(about.Dimensions, metrics.Dimension(d))
	}
	found, err := s.metrics.Statistics(ctx, account, region, about)
	if err != nil {
		return nil, err
	}
	points := make([]alarms.Point, len(found))
	for i, p := range found {
		points[i] = alarms.Point(p)
	}
	return points, nil
}

// actOnAlarm does an alarm's action, which is to publish to a topic.
func (s *Server) actOnAlarm(tx store.Tx, alarm, action, subject, message string) error {
	topic, err := arn.Parse(action)
	if err != nil || topic.Service != "sns" {
		return fmt.Errorf("%s is not the ARN of an SNS topic, the only action there is yet", action)
	}
	return s.notify.Publish(tx, topic, notify.Message{Subject: subject, Text: message, From: "cloudwatch.amazonaws.com", Source: alarm})
}

// publicURL is the URL in messages to subscribers, without a slash at its end.
func (s *Server) publicURL() string {
	if s.cfg.PublicURL != "" {
		return strings.TrimSuffix(s.cfg.PublicURL, "/")
	}
	return s.endpoint()
}

// startWatch starts what the services that watch do by themselves.
func (s *Server) startWatch() {
	s.registerHealth()
	s.background("deliveries", s.outbox.Run)
	s.background("metrics", s.metrics.Run)
	s.background("the expiry of key material", s.putExpirations)
	s.background("external key stores", s.kms.RunKeyStores)
	s.background("log retention", s.logs.Run)
	s.background("notifications", s.notify.Run)
	s.background("trails", s.trail.RunTrails)
	s.background("insights", s.trail.RunInsights)
	s.background("trails' files", s.trail.RunFiles)
	s.background("event data stores", s.lake.Run)
	s.background("events", s.events.Follow)
	s.background("alarms", s.alarms.Run)
}

// putMetrics hands what metric filters have measured to the metrics.
func (s *Server) putMetrics(tx store.Tx, account, region string, measured []logs.Datum) error {
	data := make([]metrics.Datum, len(measured))
	for i, m := range measured {
		data[i] = metrics.Datum{Namespace: m.Namespace, Name: m.Name, Unit: m.Unit, Time: m.Time, Value: m.Value}
		for _, d := range m.Dimensions {
			data[i].Dimensions = append(data[i].Dimensions, metrics.Dimension(d))
		}
	}
	return s.metrics.Put(tx, account, region, data)
}

// putLogs hands a trail's records to its log group.
func (s *Server) putLogs(tx store.Tx, account, region, group, stream string, records []trail.LogEvent) error {
	events := make([]logs.Event, len(records))
	for i, r := range records {
		events[i] = logs.Event(r)
	}
	return s.logs.Ingest(tx, logs.LogGroupID{Account: account, Region: region, Name: group}, stream, events)
}

// enqueueNotification hands a message for a subscriber to the outbox.
func (s *Server) enqueueNotification(tx store.Tx, n notify.Delivery) error {
	d := deliver.Delivery{
		ID: n.ID, Kind: deliver.HTTP, URL: n.Endpoint, Header: n.Header, Body: n.Body, Key: n.Key, Secret: n.Secret,
		Account: n.Account, Region: n.Region, Source: n.Topic, Target: n.Subscription, Cause: deliver.Cause(n.Cause),
		Policy: deliver.Policy{MaxAttempts: len(n.Schedule) + 1, Schedule: n.Schedule, RetryOn: []int{429}},
	}
	if strings.HasPrefix(n.Protocol, "email") {
		d.Kind, d.URL, d.To, d.Subject = deliver.SMTP, "", n.Endpoint, n.Subject
	}
	return s.outbox.Enqueue(tx, d)
}

// observe notes how long a KMS call took.
func (s *Server) observe(c *call.Call, took time.Duration) {
	key := ""
	for _, r := range c.Resources() {
		if a, err := arn.Parse(r.ARN); err == nil && a.Type() == "key" {
			key = r.ARN
			break
		}
	}
	s.metrics.Observe(c.Account(), c.Region, c.Operation, key, took)
}

// registerHealth registers what GET /metrics says of the server itself.
func (s *Server) registerHealth() {
	m := s.metrics
	m.Counter("vigil_records_total", "Records that are durable in the journal.", func() float64 { return float64(s.journal.Appended()) })
	m.Gauge("vigil_records_unsequenced", "Durable records that have no index yet.", func() float64 {
		return float64(s.journal.Appended() - s.journal.Sequenced())
	})
	m.Gauge("vigil_sealed", "1 while records are sealed, 0 when the log is not what was signed.", func() float64 {
		if s.notary.Err() != nil {
			return 0
		}
		return 1
	})
	m.GaugeBy("vigil_follower_lag_records", "Durable records that a follower has not followed yet.", "follower", func() map[string]float64 {
		lag := map[string]float64{}
		for name, at := range s.journal.Followed() {
			lag[name] = float64(s.journal.Appended() - at)
		}
		return lag
	})
	m.Counter("vigil_requests_refused_total", "Requests without a valid signature.", func() float64 { return float64(s.door.Refused()) })
	m.GaugeBy("vigil_deliveries", "Deliveries to endpoints outside, by what has become of them.", "state", func() map[string]float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		stats, err := s.outbox.Stats(ctx)
		if err != nil {
			return nil
		}
		return map[string]float64{"queued": float64(stats.Queued), "in flight": float64(stats.InFlight), "dead": float64(stats.Dead)}
	})
}

// parseRelay reads --smtp-relay: smtp://HOST:PORT?from=ADDRESS. No relay is no mail.
func parseRelay(text string) (deliver.Relay, error) {
	if text == "" {
		return deliver.Relay{}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "smtp" || u.Query().Get("from") == "" {
		return deliver.Relay{}, fmt.Errorf("--smtp-relay %s: it is like smtp://relay.example.com:25?from=vigil@example.com", text)
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "25")
	}
	return deliver.Relay{Address: address, From: u.Query().Get("from")}, nil
}
