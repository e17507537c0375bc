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

// noBuckets is the error that every trail's delivery of files has.
const noBuckets = "Delivery of log files to S3 buckets is not supported by this version of Vigil."

// GetTrailStatus tells how a trail does in the called region: when it began and ended logging, and how its last delivery of
// the region's events to its log group went. A shadow trail must be named by its ARN. LatestDeliveryError says, always,
// that files are not delivered to buckets.
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
	out := &cloudtrail.GetTrailStatusOutput{
		IsLogging:                         aws.Bool(found.isLogging()),
		LatestDeliveryError:               aws.String(noBuckets),
		LatestCloudWatchLogsDeliveryError: unlessEmpty(d.failure),
		LatestCloudWatchLogsDeliveryTime:  unlessZero(d.at),
		// Members that are out of use have texts all the same.
		LatestDeliveryAttemptSucceeded:     aws.String(""),
		LatestDeliveryAttemptTime:          aws.String(""),
		LatestNotificationAttemptSucceeded: aws.String(""),
		LatestNotificationAttemptTime:      aws.String(""),
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
	at      int64 // the last that succeeded, in milliseconds since 1970; 0 is none
	failure string
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
