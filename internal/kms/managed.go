package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/kms/keycrypt"
	"vigil/internal/store"
)

// ManagedKey is the ARN of the key that an account has for a service of Vigil's own in a region: what AWS calls an AWS managed key. It
// is made the first time that it is asked for, with the alias alias/aws/SERVICE. Its policy lets everybody in the account who
// may use the service encrypt and decrypt through it, and see what the key is, and nobody do anything else with it. It
// is rotated every year. service is the first label of the service's host name, such as sns.
func (k *KMS) ManagedKey(ctx context.Context, account, region, service string) (string, error) {
	alias := aliasRef{account, region, "alias/aws/" + service}
	if !isAccountID(account) || region == "" || strings.Contains(service, "/") || !isAliasName(alias.name) {
		return "", fmt.Errorf("kms: no managed key for service %q in account %q and region %q", service, account, region)
	}
	id, err := k.target(ctx, alias)
	if errors.Is(err, store.ErrNoRows) {
		id, err = k.makeManaged(ctx, alias, service)
	}
	if err != nil {
		return "", err
	}
	return keyRef{account, region, id}.arn().String(), nil
}

// makeManaged makes a service's key, unless another call has just made it, and records it as the service's own CreateKey.
func (k *KMS) makeManaged(ctx context.Context, alias aliasRef, service string) (id string, err error) {
	now := k.clock.Now()
	made := &key{
		ref:  keyRef{alias.account, alias.region, uuid.NewString()},
		spec: types.KeySpecSymmetricDefault, usage: types.KeyUsageTypeEncryptDecrypt, origin: types.OriginTypeAwsKms,
		state: types.KeyStateEnabled, manager: types.KeyManagerTypeAws, created: fromMillis(toMillis(now)),
		description: fmt.Sprintf("Default key that protects my %s data when no other key is defined", strings.ToUpper(service)),
	}
	made.arn = made.ref.arn()
	made.text = made.arn.String()
	made.current = keycrypt.Generate(made.ref.id, keycrypt.SizeSymmetric)
	made.currentID = made.current.ID()
	insert, err := k.insertKey(made, managedPolicy(alias.account, alias.region, service), nil)
	if err != nil {
		return "", err
	}
	effect := func(tx store.Tx) error {
		if id, err = targetOf(tx, alias); !errors.Is(err, store.ErrNoRows) {
			return err // it is there, or the database fails
		}
		id = made.ref.id
		if err := insert(tx); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE kms_key SET rotation_period = $4, next_rotation = $5 WHERE account = $1 AND region = $2 AND id = $3`,
			made.ref.account, made.ref.region, made.ref.id, int64(defaultRotationPeriod), toMillis(now.Add(defaultRotationPeriod*day)))
		if err != nil {
			return err
		}
		tx.OnCommit(k.wake)
		_, err = tx.Exec(`INSERT INTO kms_alias (account, region, name, key_id, created, updated) VALUES ($1, $2, $3, $4, $5, $5)`,
			alias.account, alias.region, alias.name, made.ref.id, toMillis(now))
		return err
	}
	record := func(failed error) []journal.Record {
		if failed != nil || id != made.ref.id {
			return nil // nothing happened
		}
		return []journal.Record{createManagedEvent(made.arn, alias.arn(), now).Record()}
	}
	return id, k.journal.Commit(ctx, effect, record)
}

func createManagedEvent(key, alias arn.ARN, at time.Time) call.ServiceEvent {
	e := call.ServiceEvent{Source: eventSource, Name: "CreateKey", Region: key.Region, Account: key.Account, Time: at}
	for _, r := range []arn.ARN{key, alias} {
		e.Resources = append(e.Resources, vigil.Resource{AccountID: key.Account, Type: keyType, ARN: r.String()})
	}
	return e
}

// managedPolicy is the policy that AWS gives such keys; nobody can change it.
func managedPolicy(account, region, service string) string {
	partition := arn.Partition(region)
	host := service + "." + region + ".amazonaws.com"
	if partition == "aws-cn" {
		host += ".cn"
	}
	return fmt.Sprintf(`{
  "Version" : "2012-10-17",
  "Id" : "auto-%[1]s-1",
  "Statement" : [ {
    "Sid" : "Allow access through %[2]s for all principals in the account that are authorized to use %[2]s",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "*"
    },
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {
      "StringEquals" : {
        "kms:CallerAccount" : "%[3]s",
        "kms:ViaService" : "%[4]s"
      }
    }
  }, {
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:%[5]s:iam::%[3]s:root"
    },
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*", "kms:RevokeGrant" ],
    "Resource" : "*"
  } ]
}`, service, strings.ToUpper(service), account, host, partition)
}
