package kms

import (
	"context"
	"strings"

	"vigil/internal/policy"
	"vigil/internal/store"
)

// A key policy means the users and roles that had the ARNs in it when it was put: their unique ids are kept beside it,
// and who gets the name of a deleted one later is not let in. See the IAM user guide's "AWS JSON policy elements: Principal".

// exists reports whether there is somebody that a policy names by an ARN or a unique id.
func (k *KMS) exists(name string) bool {
	if strings.HasPrefix(name, "arn:") {
		_, ok := k.uniqueID(name)
		return ok
	}
	if k.principals.ARN == nil {
		return true
	}
	_, ok := k.principals.ARN(name)
	return ok
}

// putPrincipals keeps the unique ids of a new policy's principals, in place of the old one's.
func (k *KMS) putPrincipals(tx store.Tx, of keyRef, text string) error {
	_, err := tx.Exec(`DELETE FROM kms_policy_principal WHERE account = $1 AND region = $2 AND key_id = $3`, of.account, of.region, of.id)
	if err != nil {
		return err
	}
	document, err := policy.ParseKeyPolicy(text)
	if err != nil {
		return err
	}
	for _, name := range document.Principals() {
		id, _ := k.uniqueID(name)
		if id == "" {
			continue
		}
		_, err := tx.Exec(`INSERT INTO kms_policy_principal (account, region, key_id, arn, unique_id) VALUES ($1, $2, $3, $4, $5)`,
			of.account, of.region, of.id, name, id)
		if err != nil {
			return err
		}
	}
	return nil
}

// principalsOf are the unique ids that are kept beside a key's policy, by ARN.
func principalsOf(tx store.Tx, of keyRef) (ids map[string]string, err error) {
	rows, err := tx.Query(`SELECT arn, unique_id FROM kms_policy_principal WHERE account = $1 AND region = $2 AND key_id = $3`,
		of.account, of.region, of.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	ids = make(map[string]string)
	for rows.Next() {
		var name, id string
		if err := rows.Scan(&name, &id); err != nil {
			return nil, err
		}
		ids[name] = id
	}
	return ids, rows.Err()
}

// shownPolicy is a policy's text with the unique ids of those who are no longer there in place of their ARNs, as AWS KMS
// shows it.
func (k *KMS) shownPolicy(ctx context.Context, of keyRef, text string) (string, error) {
	var ids map[string]string
	err := k.db.View(ctx, func(tx store.Tx) (err error) {
		ids, err = principalsOf(tx, of)
		return err
	})
	for name, id := range ids {
		if now, _ := k.uniqueID(name); now != id {
			text = strings.ReplaceAll(text, `"`+name+`"`, `"`+id+`"`)
		}
	}
	return text, err
}
