package trail

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/call"
	"vigil/internal/store"
)

// GetTrailStatus tells how a trail does in the called region: when it began and ended logging, and how its last deliveries of
// the region's events went: of files and digests to its bucket, of their notifications to its topic, of events to its log group. An error
// stays until the next delivery succeeds; nothing is lost meanwhile. A shadow trail must be named by its ARN.
func (t *Trail) GetTrailStatus(ctx context.Context, c *call.Call, in *cloudtrail.GetTrailStatusInput) (*cloudtrail.GetTrailStatusOutput, error) {
	found, err := t.named(c, "GetTrailStatus", aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	if !found.isIn(c.Region) {
		return nil, unknownTrail(aws.ToString(in.Name), c.Account())
	}
	d, err := t.delivered(ctx, found.id, c.Region)
	if err != nil {
		return nil, err
	}
	files, digests, notices, err := t.filesStatus(ctx, found.id, c.Region)
	if err != nil {
		return nil, err
	}
	out := &cloudtrail.GetTrailStatusOutput{
		IsLogging:                         aws.Bool(found.isLogging()),
		LatestDeliveryError:               unlessEmpty(files.failure),
		LatestDeliveryTime:                unlessZero(files.at),
		LatestDigestDeliveryError:         unlessEmpty(digests.failure),
		LatestDigestDeliveryTime:          unlessZero(digests.at),
		LatestNotificationError:           unlessEmpty(notices.failure),
		LatestNotificationTime:            unlessZero(notices.at),
		LatestCloudWatchLogsDeliveryError: unlessEmpty(d.failure),
		LatestCloudWatchLogsDeliveryTime:  unlessZero(d.at),
		// Members that are out of use have texts all the same.
		LatestDeliveryAttemptSucceeded:     oldTime(files.at),
		LatestDeliveryAttemptTime:          oldTime(files.attempted),
		LatestNotificationAttemptSucceeded: oldTime(notices.at),
		LatestNotificationAttemptTime:      oldTime(notices.attempted),
		TimeLoggingStarted:                 aws.String(""),
		TimeLoggingStopped:                 aws.String(""),
	}
	for _, p := range found.logging { // the last one's remain
		if out.StartLoggingTime = unlessZero(p.begin); out.StartLoggingTime != nil {
			out.TimeLoggingStarted = aws.String(out.StartLoggingTime.Format(time.RFC3339))
		}
		if ended := unlessZero(p.end); ended != nil {
			out.StopLoggingTime, out.TimeLoggingStopped = ended, aws.String(ended.Format(time.RFC3339))
		}
	}
	return out, nil
}

// delivery is how the last delivery went.
type delivery struct {
	at        int64 // the last that succeeded, in milliseconds since 1970; 0 is none
	attempted int64 // the last; for files only
	failure   string
}

// statusKind is what a status of files is of.
type statusKind int64

const (
	statusFiles   statusKind = 1
	statusDigests statusKind = 2
	statusNotices statusKind = 3
)

// filesStatus is how the last deliveries of files, digests and notifications went.
func (t *Trail) filesStatus(ctx context.Context, trail int64, region string) (files, digests, notices delivery, err error) {
	err = t.watch.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT kind, attempted, succeeded, error FROM trail_file_status WHERE trail = $1 AND region = $2`, trail, region)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kind int64
			var d delivery
			if err := rows.Scan(&kind, &d.attempted, &d.at, &d.failure); err != nil {
				return err
			}
			switch statusKind(kind) {
			case statusFiles:
				files = d
			case statusDigests:
				digests = d
			case statusNotices:
				notices = d
			}
		}
		return rows.Err()
	})
	return files, digests, notices, err
}

// noteFile writes how a delivery of files went. That of one that failed leaves the time of the last that succeeded.
func (t *Trail) noteFile(tx store.Tx, d delivery, trail int64, region string, kind statusKind) error {
	_, err := tx.Exec(`INSERT INTO trail_file_status (trail, region, kind, attempted, succeeded, error) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (trail, region, kind) DO UPDATE SET attempted = excluded.attempted, error = excluded.error,
			succeeded = CASE WHEN excluded.succeeded > 0 THEN excluded.succeeded ELSE trail_file_status.succeeded END`,
		trail, region, int64(kind), t.clock.Now().UnixMilli(), d.at, d.failure)
	return err
}

// oldTime is a time as members that are out of use have it: a text, which is empty without.
func oldTime(ms int64) *string {
	if ms == 0 {
		return aws.String("")
	}
	return aws.String(time.UnixMilli(ms).UTC().Format(time.RFC3339))
}

func (t *Trail) delivered(ctx context.Context, trail int64, region string) (d delivery, err error) {
	err = t.watch.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(`SELECT delivered, error FROM trail_delivery WHERE trail = $1 AND region = $2`, trail, region).Scan(&d.at, &d.failure)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		return err
	})
	return d, err
}

// note writes how a delivery went. That of one that failed leaves the time of the last that succeeded.
func (d delivery) note(tx store.Tx, trail int64, region string) error {
	_, err := tx.Exec(`INSERT INTO trail_delivery (trail, region, delivered, error) VALUES ($1, $2, $3, $4)
		ON CONFLICT (trail, region) DO UPDATE SET error = excluded.error,
			delivered = CASE WHEN excluded.delivered > 0 THEN excluded.delivered ELSE trail_delivery.delivered END`,
		trail, region, d.at, d.failure)
	return err
}

func unlessZero(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	return aws.Time(time.UnixMilli(ms).UTC())
}
