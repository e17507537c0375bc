package kms

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
)

// GetKeyLastUsage tells the last successful cryptographic operation with a key. All of a key's uses are tracked, from
// its creation on.
func (k *KMS) GetKeyLastUsage(ctx context.Context, c *call.Call, in *kms.GetKeyLastUsageInput) (*kms.GetKeyLastUsageOutput, error) {
	key, err := k.authorize(ctx, c, in.KeyId, manage("kms:GetKeyLastUsage"))
	if err != nil {
		return nil, err
	}
	if k.lastUse == nil {
		return nil, call.NotBuilt("GetKeyLastUsage")
	}
	last := &types.KeyLastUsageData{} // an empty object when the key has not been used
	usage, used, err := k.lastUse(ctx, key.text)
	if err != nil {
		return nil, err
	}
	if used {
		last = &types.KeyLastUsageData{
			CloudTrailEventId: &usage.EventID,
			KmsRequestId:      &usage.RequestID,
			Operation:         types.KeyLastUsageTrackingOperation(usage.Operation),
			Timestamp:         &usage.Time,
		}
	}
	return &kms.GetKeyLastUsageOutput{
		KeyCreationDate:   &key.created,
		KeyId:             new(key.ref.id),
		KeyLastUsage:      last,
		TrackingStartDate: &key.created,
	}, nil
}
