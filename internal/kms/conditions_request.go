package kms

//lint:file-ignore SA1019 CustomerMasterKeySpec is deprecated, but policies may still ask for it.

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"vigil/internal/call"
)

// asked is what the request itself tells of a condition key, whose name is in lower case and without kms:.
func asked(in any, action, name string, c *call.Call) ([]string, bool) {
	switch name {
	case "encryptionalgorithm":
		return one(string(encryptionAlgorithm(in, action)))
	case "grantisforawsresource":
		switch in.(type) {
		case *kms.CreateGrantInput, *kms.ListGrantsInput, *kms.RevokeGrantInput:
			return one(strconv.FormatBool(byService(c)))
		}
		return nil, false
	}
	switch in := in.(type) {
	case *kms.CreateKeyInput:
		return askedOfNewKey(in, name)
	case *kms.CreateGrantInput:
		return askedOfGrant(in, name)
	case *grant:
		if name == "grantconstrainttype" {
			return one(constraintType(&in.constraints))
		}
	case *kms.SignInput:
		return askedOfSignature(in.SigningAlgorithm, in.MessageType, name)
	case *kms.VerifyInput:
		return askedOfSignature(in.SigningAlgorithm, in.MessageType, name)
	case *kms.ImportKeyMaterialInput:
		switch name {
		case "expirationmodel":
			return one(string(in.ExpirationModel))
		case "validto":
			return seconds(in.ValidTo)
		}
	case *kms.GetParametersForImportInput:
		switch name {
		case "wrappingalgorithm":
			return one(string(in.WrappingAlgorithm))
		case "wrappingkeyspec":
			return one(string(in.WrappingKeySpec))
		}
	}
	return askedSingly(in, name)
}

// askedSingly are the condition keys of operations that have but one.
func askedSingly(in any, name string) ([]string, bool) {
	switch in := in.(type) {
	case *kms.GenerateMacInput:
		return when(name == "macalgorithm", string(in.MacAlgorithm))
	case *kms.VerifyMacInput:
		return when(name == "macalgorithm", string(in.MacAlgorithm))
	case *kms.DeriveSharedSecretInput:
		return when(name == "keyagreementalgorithm", string(in.KeyAgreementAlgorithm))
	case *kms.GenerateDataKeyPairInput:
		return when(name == "datakeypairspec", string(in.KeyPairSpec))
	case *kms.GenerateDataKeyPairWithoutPlaintextInput:
		return when(name == "datakeypairspec", string(in.KeyPairSpec))
	case *kms.PutKeyPolicyInput:
		return when(name == "bypasspolicylockoutsafetycheck" && in.BypassPolicyLockoutSafetyCheck, "true")
	case *kms.ReplicateKeyInput:
		return when(name == "replicaregion", *in.ReplicaRegion)
	case *kms.UpdatePrimaryRegionInput:
		return when(name == "primaryregion", *in.PrimaryRegion)
	case *kms.EnableKeyRotationInput:
		if name == "rotationperiodindays" {
			return number(in.RotationPeriodInDays)
		}
	case *kms.ScheduleKeyDeletionInput:
		if name == "schedulekeydeletionpendingwindowindays" {
			return number(in.PendingWindowInDays)
		}
	}
	return nil, false
}

func when(asked bool, value string) ([]string, bool) {
	if !asked {
		return nil, false
	}
	return one(value)
}

// askedOfNewKey: what CreateKey's policies know as properties is what the new key is to have.
func askedOfNewKey(in *kms.CreateKeyInput, name string) ([]string, bool) {
	switch name {
	case "keyspec", "customermasterkeyspec":
		return one(string(in.KeySpec))
	case "keyusage", "customermasterkeyusage":
		return one(string(in.KeyUsage))
	case "keyorigin":
		return one(string(in.Origin))
	case "multiregion":
		return one(strconv.FormatBool(*in.MultiRegion))
	case "multiregionkeytype":
		return when(*in.MultiRegion, string(types.MultiRegionKeyTypePrimary))
	}
	return when(name == "bypasspolicylockoutsafetycheck" && in.BypassPolicyLockoutSafetyCheck, "true")
}

func askedOfGrant(in *kms.CreateGrantInput, name string) ([]string, bool) {
	switch name {
	case "granteeprincipal":
		return text(in.GranteePrincipal)
	case "granteeserviceprincipal":
		return text(in.GranteeServicePrincipal)
	case "retiringprincipal":
		return text(in.RetiringPrincipal)
	case "retiringserviceprincipal":
		return text(in.RetiringServicePrincipal)
	case "grantconstrainttype":
		return one(constraintType(in.Constraints))
	case "grantconstraintsourcearn":
		if in.Constraints != nil {
			return text(in.Constraints.SourceArn)
		}
	case "grantoperations":
		operations := make([]string, len(in.Operations))
		for i, op := range in.Operations {
			operations[i] = string(op)
		}
		return operations, len(operations) > 0
	}
	return nil, false
}

func constraintType(c *types.GrantConstraints) string {
	switch {
	case c == nil:
		return ""
	case c.EncryptionContextEquals != nil:
		return "EncryptionContextEquals"
	case c.EncryptionContextSubset != nil:
		return "EncryptionContextSubset"
	}
	return ""
}

func askedOfSignature(algorithm types.SigningAlgorithmSpec, message types.MessageType, name string) ([]string, bool) {
	switch name {
	case "signingalgorithm":
		return one(string(algorithm))
	case "messagetype":
		if message == "" {
			message = types.MessageTypeRaw
		}
		return one(string(message))
	}
	return nil, false
}

// encryptionAlgorithm is what an operation encrypts or decrypts with. Data keys are encrypted by symmetric keys only.
func encryptionAlgorithm(in any, action string) types.EncryptionAlgorithmSpec {
	switch in := in.(type) {
	case *kms.EncryptInput:
		return in.EncryptionAlgorithm
	case *kms.DecryptInput:
		return in.EncryptionAlgorithm
	case *kms.ReEncryptInput:
		if action == "kms:ReEncryptFrom" {
			return in.SourceEncryptionAlgorithm
		}
		return in.DestinationEncryptionAlgorithm
	case *kms.GenerateDataKeyInput, *kms.GenerateDataKeyWithoutPlaintextInput,
		*kms.GenerateDataKeyPairInput, *kms.GenerateDataKeyPairWithoutPlaintextInput:
		return types.EncryptionAlgorithmSpecSymmetricDefault
	}
	return ""
}

// encryptionContext is the request's, of ReEncrypt that of the side that is asked about, and of a grant that of its
// constraint.
func encryptionContext(in any, action string) map[string]string {
	switch in := in.(type) {
	case *kms.EncryptInput:
		return in.EncryptionContext
	case *kms.DecryptInput:
		return in.EncryptionContext
	case *kms.ReEncryptInput:
		if action == "kms:ReEncryptFrom" {
			return in.SourceEncryptionContext
		}
		return in.DestinationEncryptionContext
	case *kms.GenerateDataKeyInput:
		return in.EncryptionContext
	case *kms.GenerateDataKeyWithoutPlaintextInput:
		return in.EncryptionContext
	case *kms.GenerateDataKeyPairInput:
		return in.EncryptionContext
	case *kms.GenerateDataKeyPairWithoutPlaintextInput:
		return in.EncryptionContext
	case *kms.CreateGrantInput:
		return constrainedContext(in.Constraints)
	case *grant:
		return constrainedContext(&in.constraints)
	}
	return nil
}

func constrainedContext(c *types.GrantConstraints) map[string]string {
	switch {
	case c == nil:
		return nil
	case c.EncryptionContextEquals != nil:
		return c.EncryptionContextEquals
	}
	return c.EncryptionContextSubset
}
