package server

import (
	"context"
	"fmt"

	"vigil/internal/call"
	"vigil/internal/journal"
)

// openAccounts makes the operator's account at the first start.
func (s *Server) openAccounts(ctx context.Context) error {
	if operator := s.identity.Operator(); operator != "" {
		if s.cfg.Account != "" && s.cfg.Account != operator {
			return fmt.Errorf("--account %s: this data directory's account is %s; add others with `vigil account add`", s.cfg.Account, operator)
		}
		return nil
	}
	account := s.cfg.Account
	if account == "" {
		account = DefaultAccount
	}
	credentials, effect, err := s.identity.NewAccount(account)
	if err != nil {
		return fmt.Errorf("--account %s: %w", account, err)
	}
	// The file comes first: after a crash in between, the next start makes the account, and the file, again.
	if err := AddProfile(s.files.path, "default", credentials.AccessKeyID, credentials.SecretAccessKey()); err != nil {
		return err
	}
	event := call.ServiceEvent{Source: vigilEventSource, Name: "CreateAccount", Region: s.cfg.Region, Account: account, Time: s.clock.Now()}
	err = s.journal.Commit(ctx, effect, func(error) []journal.Record { return []journal.Record{event.Record()} })
	if err != nil {
		return fmt.Errorf("make the account %s: %w", account, err)
	}
	return nil
}
