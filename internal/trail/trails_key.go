package trail

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/arn"
	"vigil/internal/call"
)

// serviceName is CloudTrail where it uses a KMS key for a trail. The key's policy has to let it.
const serviceName = "cloudtrail.amazonaws.com"

// service is CloudTrail itself, for a trail.
func (t *aTrail) service() call.Principal {
	return call.Principal{Type: "AWSService", Service: serviceName, SourceARN: t.arn().String()}
}

// seal has a log file be encrypted with the trail's key, if it has one. Digest files are not.
func (t *aTrail) seal(o *Object) {
	if t.kmsKey != "" {
		o.KMSKey, o.By, o.Context = t.kmsKey, t.service(), t.keyContext()
	}
}

// keyContext is what the encryption context of a trail's data keys has, beside aws:s3:arn. Policies of keys tell trails by it.
func (t *aTrail) keyContext() map[string]string {
	return map[string]string{"aws:cloudtrail:arn": t.arn().String()}
}

// chooseKey gives a trail the key of a name, or none if it is empty. CloudTrail describes the key and has it generate a data key for the folder
// of the trail's files, as it will for each of them. It asks KMS, and so must not be called in a transaction.
func (t *Trail) chooseKey(ctx context.Context, caller call.Principal, one *aTrail, name string) error {
	if name == "" {
		one.kmsKey = ""
		return nil
	}
	if t.useKey == nil || !t.buckets.CanEncrypt() {
		return call.NotBuilt("Encrypting log files in an S3-compatible store elsewhere (KmsKeyId)")
	}
	key, err := one.parseKey(name)
	if err != nil {
		return err
	}
	out, _, err := t.useKey(ctx, one.service(), key.Region, "DescribeKey", &kms.DescribeKeyInput{KeyId: aws.String(key.String())})
	if err != nil {
		// KMS tells a service nothing of a key that it may not use. Whether there is one is the caller's to learn, if the caller may.
		caller.Service = serviceName
		if _, _, again := t.useKey(ctx, caller, key.Region, "DescribeKey", &kms.DescribeKeyInput{KeyId: aws.String(key.String())}); again != nil {
			err = again
		}
		return keyError(name, err)
	}
	found := aws.ToString(out.(*kms.DescribeKeyOutput).KeyMetadata.Arn)
	folder := one.bucket + "/"
	if one.prefix != "" {
		folder += one.prefix + "/"
	}
	encryption := one.keyContext()
	encryption["aws:s3:arn"] = "arn:" + arn.Partition(one.home) + ":s3:::" + folder + "AWSLogs/" + one.account + "/"
	if _, _, err := t.useKey(ctx, one.service(), key.Region, "GenerateDataKey", &kms.GenerateDataKeyInput{
		KeyId: &found, KeySpec: kmstypes.DataKeySpecAes256, EncryptionContext: encryption,
	}); err != nil {
		return keyError(name, err)
	}
	one.kmsKey = found
	return nil
}

// parseKey reads the name of a key: an id or an alias of the trail's account and home region, or the ARN of either, of that region.
func (t *aTrail) parseKey(name string) (arn.ARN, error) {
	invalid := call.Errorf("InvalidKmsKeyIdException", "The KMS key %s is not valid: it is a key ID, a key ARN, an alias name or an alias ARN.", name)
	if !strings.HasPrefix(name, "arn:") {
		resource := "key/" + name
		if strings.HasPrefix(name, "alias/") {
			resource = name
		}
		if strings.Trim(name, keyCharacters) != "" || name == "alias/" {
			return arn.ARN{}, invalid
		}
		return arn.New("kms", t.home, t.account, resource), nil
	}
	a, err := arn.Parse(name)
	if err != nil || a.Service != "kms" || a.Account == "" || a.Type() != "key" && a.Type() != "alias" || a.ID() == "" {
		return arn.ARN{}, invalid
	}
	if a.Region != t.home {
		return arn.ARN{}, unknownKey(name)
	}
	return a, nil
}

// keyCharacters are those of keys' ids and aliases.
const keyCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-"

func unknownKey(name string) error {
	return call.Errorf("KmsKeyNotFoundException", "KMS key %s does not exist, or is not in the trail's home region.", name)
}

// keyError is what CloudTrail says of an error of KMS's.
func keyError(name string, err error) error {
	var e *call.Error
	switch {
	case !errors.As(err, &e) || e.Status >= 500:
		return err
	case e.Code == "NotFoundException":
		return unknownKey(name)
	case e.Code == "AccessDeniedException":
		return call.Errorf("InsufficientEncryptionPolicyException", "Insufficient permissions to access S3 bucket or KMS key %s.", name)
	case e.Code == "InvalidArnException" || e.Code == "ValidationException":
		return call.Errorf("InvalidKmsKeyIdException", "%s", e.Message)
	}
	return call.Errorf("KmsException", "%s", e.Message)
}
