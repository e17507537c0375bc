package trail

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
	"vigil/internal/trail/tags"
)

// linger is for how long a deleted trail is kept for what is still to be delivered of it.
const linger = 7 * 24 * time.Hour

// CreateTrail makes a trail, which logs once StartLogging is called. It has the management events of the account in its
// home region, or in all of them. It delivers to a bucket, which has to be there and the account's own, and to a log group if it has one.
// With KmsKeyId, which may be an id, an alias or the ARN of either, log files are encrypted with that key, whose policy has to let CloudTrail
// describe it and generate data keys. IsOrganizationTrail is refused: no account is in an organization. The role is kept, and not assumed.
func (t *Trail) CreateTrail(ctx context.Context, c *call.Call, in *cloudtrail.CreateTrailInput) (*cloudtrail.CreateTrailOutput, error) {
	made := &aTrail{account: c.Account(), home: c.Region, name: aws.ToString(in.Name), global: true}
	if err := checkTrailName(made.name); err != nil {
		return nil, err
	}
	if err := allowTrail(c, "CreateTrail", made.arn()); err != nil {
		return nil, err
	}
	if err := checkOrganization(in.IsOrganizationTrail); err != nil {
		return nil, err
	}
	made.change(settings{in.S3BucketName, in.S3KeyPrefix, in.CloudWatchLogsLogGroupArn, in.CloudWatchLogsRoleArn, in.SnsTopicName,
		in.IncludeGlobalServiceEvents, in.IsMultiRegionTrail, in.EnableLogFileValidation}, c.Time)
	if err := made.check(); err != nil {
		return nil, err
	}
	if err := tags.Check(in.TagsList); err != nil {
		return nil, err
	}
	if err := t.checkTargets(ctx, made); err != nil {
		return nil, err
	}
	if err := t.chooseKey(ctx, c.Principal, made, aws.ToString(in.KmsKeyId)); err != nil {
		return nil, err
	}

	c.Effect(func(tx store.Tx) error {
		all, err := loadTrails(tx, made.account)
		if err != nil {
			return err
		}
		if err := fits(present(all), made); err != nil {
			return err
		}
		if err := tx.QueryRow(`UPDATE trail_next SET id = id + 1 WHERE one = 1 RETURNING id`).Scan(&made.id); err != nil {
			return err
		}
		if err := made.save(tx); err != nil {
			return err
		}
		if err := made.saveReach(tx, 0); err != nil {
			return err
		}
		for _, tag := range in.TagsList {
			if err := made.putTag(tx, tag); err != nil {
				return err
			}
		}
		return t.refresh(tx, made.account)
	})
	d := made.describe()
	return &cloudtrail.CreateTrailOutput{
		CloudWatchLogsLogGroupArn: d.CloudWatchLogsLogGroupArn, CloudWatchLogsRoleArn: d.CloudWatchLogsRoleArn,
		IncludeGlobalServiceEvents: d.IncludeGlobalServiceEvents, IsMultiRegionTrail: d.IsMultiRegionTrail,
		IsOrganizationTrail: d.IsOrganizationTrail, KmsKeyId: d.KmsKeyId, LogFileValidationEnabled: d.LogFileValidationEnabled,
		Name: d.Name, S3BucketName: d.S3BucketName, S3KeyPrefix: d.S3KeyPrefix, TrailARN: d.TrailARN,
		SnsTopicARN: d.SnsTopicARN,
		//lint:ignore SA1019 CloudTrail still answers with it
		SnsTopicName: d.SnsTopicName,
	}, nil
}

// UpdateTrail changes those settings of a trail that it is given, in the trail's home region. An empty text takes the prefix,
// the topic, the KMS key, or the log group and its role, away. Which regions and services it is of holds for events from the call on. What is still to be delivered of
// the time before is otherwise delivered as the settings are then: files that the old bucket refused go to the new one.
func (t *Trail) UpdateTrail(ctx context.Context, c *call.Call, in *cloudtrail.UpdateTrailInput) (*cloudtrail.UpdateTrailOutput, error) {
	found, err := t.homed(c, "UpdateTrail", aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	if err := checkOrganization(in.IsOrganizationTrail); err != nil {
		return nil, err
	}
	s := settings{in.S3BucketName, in.S3KeyPrefix, in.CloudWatchLogsLogGroupArn, in.CloudWatchLogsRoleArn, in.SnsTopicName,
		in.IncludeGlobalServiceEvents, in.IsMultiRegionTrail, in.EnableLogFileValidation}
	then := *found
	then.change(s, c.Time)
	if err := then.check(); err != nil {
		return nil, err
	}
	if err := t.checkTargets(ctx, &then); err != nil {
		return nil, err
	}
	if in.KmsKeyId != nil {
		if err := t.chooseKey(ctx, c.Principal, &then, *in.KmsKeyId); err != nil {
			return nil, err
		}
	}
	out := new(cloudtrail.UpdateTrailOutput)
	t.effect(c, found, func(tx store.Tx, changed *aTrail, others []*aTrail) error {
		changed.change(s, c.Time)
		if in.KmsKeyId != nil {
			changed.kmsKey = then.kmsKey
		}
		if err := changed.check(); err != nil {
			return err
		}
		if err := fits(others, changed); err != nil {
			return err
		}
		d := changed.describe()
		*out = cloudtrail.UpdateTrailOutput{
			CloudWatchLogsLogGroupArn: d.CloudWatchLogsLogGroupArn, CloudWatchLogsRoleArn: d.CloudWatchLogsRoleArn,
			IncludeGlobalServiceEvents: d.IncludeGlobalServiceEvents, IsMultiRegionTrail: d.IsMultiRegionTrail,
			IsOrganizationTrail: d.IsOrganizationTrail, KmsKeyId: d.KmsKeyId, LogFileValidationEnabled: d.LogFileValidationEnabled,
			Name: d.Name, S3BucketName: d.S3BucketName, S3KeyPrefix: d.S3KeyPrefix, TrailARN: d.TrailARN,
			SnsTopicARN: d.SnsTopicARN,
			//lint:ignore SA1019 CloudTrail still answers with it
			SnsTopicName: d.SnsTopicName,
		}
		if err := changed.saveReach(tx, c.Time.UnixMilli()); err != nil {
			return err
		}
		return changed.save(tx)
	})
	return out, nil
}

// DeleteTrail ends a trail, in its home region. What was recorded before is still delivered.
func (t *Trail) DeleteTrail(_ context.Context, c *call.Call, in *cloudtrail.DeleteTrailInput) (*cloudtrail.DeleteTrailOutput, error) {
	found, err := t.homed(c, "DeleteTrail", aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	t.effect(c, found, func(tx store.Tx, deleted *aTrail, _ []*aTrail) error {
		deleted.deleted = c.Time.UnixMilli()
		if err := deleted.save(tx); err != nil {
			return err
		}
		if err := endLogging(tx, deleted, c.Time); err != nil {
			return err
		}
		return sweep(tx, c.Time.Add(-linger))
	})
	return &cloudtrail.DeleteTrailOutput{}, nil
}

// sweep removes what was deleted before a time for good.
func sweep(tx store.Tx, before time.Time) error {
	for _, statement := range []string{
		`DELETE FROM trail_logging WHERE trail IN (SELECT id FROM trail WHERE deleted > 0 AND deleted < $1)`,
		`DELETE FROM trail_reach WHERE trail IN (SELECT id FROM trail WHERE deleted > 0 AND deleted < $1)`,
		`DELETE FROM trail_choice WHERE trail IN (SELECT id FROM trail WHERE deleted > 0 AND deleted < $1)`,
		`DELETE FROM trail_insight_selector WHERE trail IN (SELECT id FROM trail WHERE deleted > 0 AND deleted < $1)`,
		`DELETE FROM trail_tag WHERE trail IN (SELECT id FROM trail WHERE deleted > 0 AND deleted < $1)`,
		`DELETE FROM trail WHERE deleted > 0 AND deleted < $1`,
	} {
		if _, err := tx.Exec(statement, before.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

// StartLogging has a trail log, in its home region. Nothing changes for one that does. The record of this call is the trail's first.
func (t *Trail) StartLogging(_ context.Context, c *call.Call, in *cloudtrail.StartLoggingInput) (*cloudtrail.StartLoggingOutput, error) {
	found, err := t.homed(c, "StartLogging", aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	t.effect(c, found, func(tx store.Tx, started *aTrail, _ []*aTrail) error {
		if started.isLogging() {
			return nil
		}
		// Times of logging that nobody can still be behind are forgotten.
		if _, err := tx.Exec(`DELETE FROM trail_logging WHERE trail = $1 AND ended > 0 AND ended < $2`, started.id, c.Time.Add(-window).UnixMilli()); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO trail_logging (trail, begun, ended) VALUES ($1, $2, 0)
			ON CONFLICT (trail, begun) DO UPDATE SET ended = 0`, started.id, c.Time.UnixMilli())
		return err
	})
	return &cloudtrail.StartLoggingOutput{}, nil
}

// StopLogging ends a trail's logging, in its home region. Nothing changes for one that does not log. The record of this call is
// the trail's last.
func (t *Trail) StopLogging(_ context.Context, c *call.Call, in *cloudtrail.StopLoggingInput) (*cloudtrail.StopLoggingOutput, error) {
	found, err := t.homed(c, "StopLogging", aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	t.effect(c, found, func(tx store.Tx, stopped *aTrail, _ []*aTrail) error {
		return endLogging(tx, stopped, c.Time)
	})
	return &cloudtrail.StopLoggingOutput{}, nil
}

func endLogging(tx store.Tx, t *aTrail, at time.Time) error {
	if !t.isLogging() {
		return nil
	}
	last := t.logging[len(t.logging)-1]
	_, err := tx.Exec(`UPDATE trail_logging SET ended = $1 WHERE trail = $2 AND begun = $3`, max(at.UnixMilli(), last.begin), t.id, last.begin)
	return err
}

// effect has a trail changed with the call's record. change is given the trail as it is then, and all the account's trails.
func (t *Trail) effect(c *call.Call, found *aTrail, change func(tx store.Tx, now *aTrail, all []*aTrail) error) {
	c.Effect(func(tx store.Tx) error {
		all, err := loadTrails(tx, found.account)
		if err != nil {
			return err
		}
		all = present(all)
		i := slices.IndexFunc(all, func(one *aTrail) bool { return one.id == found.id })
		if i < 0 {
			return unknownTrail(found.name, found.account)
		}
		if err := change(tx, all[i], all); err != nil {
			return err
		}
		return t.refresh(tx, found.account)
	})
}

// settings are what CreateTrail and UpdateTrail say of a trail; nil is nothing.
type settings struct {
	bucket, prefix, groupARN, roleARN, topic *string
	global, everywhere, validated            *bool
}

func (t *aTrail) change(s settings, at time.Time) {
	if s.topic != nil {
		t.topicARN = t.topicOf(*s.topic)
	}
	if s.validated != nil {
		t.validate(*s.validated, at.UnixMilli())
	}
	for _, text := range []struct{ to, from *string }{{&t.bucket, s.bucket}, {&t.prefix, s.prefix}, {&t.groupARN, s.groupARN}, {&t.roleARN, s.roleARN}} {
		if text.from != nil {
			*text.to = *text.from
		}
	}
	for _, flag := range []struct{ to, from *bool }{{&t.global, s.global}, {&t.everywhere, s.everywhere}} {
		if flag.from != nil {
			*flag.to = *flag.from
		}
	}
}

func (t *aTrail) check() error {
	if t.everywhere && !t.global {
		return call.Errorf("InvalidParameterCombinationException", "Multi-Region trail must include global service events.")
	}
	for _, err := range []error{checkBucketName(t.bucket), checkPrefix(t.prefix), checkGroup(t), checkTopic(t)} {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkTargets asks whether a trail's bucket and topic are there and take what it delivers.
func (t *Trail) checkTargets(ctx context.Context, one *aTrail) error {
	err := t.buckets.Check(ctx, one.account, one.bucket)
	var refused *call.Error
	switch {
	case errors.As(err, &refused) && refused.Code == "NoSuchBucket":
		return call.Errorf("S3BucketDoesNotExistException", "S3 bucket %s does not exist!", one.bucket)
	case errors.As(err, &refused) && refused.Status < 500:
		return call.Errorf("InsufficientS3BucketPolicyException", "Incorrect S3 bucket policy is detected for bucket: %s", one.bucket)
	case err != nil:
		return err
	}
	if one.topicARN == "" {
		return nil
	}
	// Policies of topics that would let another account's trail publish are not looked at.
	if topic, err := arn.Parse(one.topicARN); err != nil || topic.Account != one.account || !t.hasTopic(topic) {
		return call.Errorf("InsufficientSnsTopicPolicyException", "SNS Topic does not exist or the topic policy is incorrect!")
	}
	return nil
}

// fits says whether a new trail, or one of all that has changed, may be beside the others: there are so many in a region at
// most, and a name is a region's once, shadow trails included.
func fits(all []*aTrail, changed *aTrail) error {
	inRegion := map[string]int{}
	ofAll := 0
	for _, one := range all {
		if one.id == changed.id {
			continue
		}
		if one.name == changed.name && (one.isIn(changed.home) || changed.isIn(one.home)) {
			return call.Errorf("TrailAlreadyExistsException", "Trail %s already exists for customer: %s", changed.name, changed.account)
		}
		if one.everywhere {
			ofAll++
		} else {
			inRegion[one.home]++
		}
	}
	inRegion[changed.home] += 0 // looked at, though there is no other
	for region, n := range inRegion {
		if changed.isIn(region) && n+ofAll >= maxTrails {
			return call.Errorf("MaximumNumberOfTrailsExceededException", "User: %s already has %d trails in %s.", changed.account, n+ofAll, region)
		}
	}
	return nil
}
