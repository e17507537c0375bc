package identity

import (
	"context"

	"vigil/internal/call"
)

// Vigil is the operations of Vigil's own API that are about accounts. Only the root user of the operator, which is the account
// that was made first, may call them.
func (id *Identity) Vigil() []call.Operation {
	return []call.Operation{
		call.Op("CreateAccount", id.createAccount),
	}
}

// CreateAccountInput is the input of CreateAccount.
type CreateAccountInput struct {
	AccountId *string // 12 digits
}

// CreateAccountOutput is the output of CreateAccount.
type CreateAccountOutput struct {
	AccountId       *string
	AccessKeyId     *string // of the account's root user
	SecretAccessKey *string // sensitive; it is told this once
}

// createAccount makes an account with an access key of its root user. It answers AlreadyExistsException when there is such an
// account.
func (id *Identity) createAccount(_ context.Context, c *call.Call, in *CreateAccountInput) (*CreateAccountOutput, error) {
	if err := id.AllowOperator(c); err != nil {
		return nil, err
	}
	if id.known.hasAccount(*in.AccountId) {
		return nil, alreadyExists(*in.AccountId)
	}
	credentials, effect, err := id.NewAccount(*in.AccountId)
	if err != nil {
		return nil, err
	}
	c.Effect(effect)
	c.Responded("accountId", credentials.Account) // and not the whole output, which has a secret
	c.Responded("accessKeyId", credentials.AccessKeyID)
	secret := credentials.SecretAccessKey()
	return &CreateAccountOutput{
		AccountId:       &credentials.Account,
		AccessKeyId:     &credentials.AccessKeyID,
		SecretAccessKey: &secret,
	}, nil
}

// AllowOperator returns nil when the caller is the root user of the operator, and otherwise that access is denied.
func (id *Identity) AllowOperator(c *call.Call) error {
	if operator := id.Operator(); operator != "" && c.Principal.Type == "Root" && c.Principal.Account == operator {
		return nil
	}
	action := "vigil:" + c.Operation
	return call.Errorf("AccessDeniedException",
		"User: %s is not authorized to perform: %s on resource: * because no identity-based policy allows the %s action",
		c.Principal.ARN, action, action)
}

// HasAccount says whether there is an account.
func (id *Identity) HasAccount(account string) bool { return id.known.hasAccount(account) }
