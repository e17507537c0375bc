package trail

import (
	"encoding/json"
	"errors"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
)

// notice is the message that tells a topic's subscribers of a log file (CloudTrail user guide, "Configuring Amazon SNS notifications").
type notice struct {
	Bucket string   `json:"s3Bucket"`
	Keys   []string `json:"s3ObjectKey"`
}

// notifyTopic tells the trail's topic, if it has one, of a file, in the transaction that notes the file's delivery: so once. That a topic is
// not there, or does not take it, holds up nothing, and is in the trail's status.
func (t *Trail) notifyTopic(tx store.Tx, one *aTrail, f *fileRow) error {
	if one.topicARN == "" {
		return nil
	}
	message, err := json.Marshal(notice{f.bucket, []string{f.object}})
	if err != nil {
		return err
	}
	topic, err := arn.Parse(one.topicARN)
	if err != nil {
		return err
	}
	err = tx.Savepoint(func(tx store.Tx) error {
		return t.publish(tx, one.arn(), topic, string(message))
	})
	d := delivery{at: t.clock.Now().UnixMilli()}
	var refused *call.Error
	if errors.As(err, &refused) {
		d, err = delivery{failure: refused.Code}, nil
	}
	if err != nil {
		return err
	}
	return t.noteFile(tx, d, f.trail, f.region, statusNotices)
}
