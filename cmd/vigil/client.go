package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"vigil/internal/server"
)

// env prints what a shell evaluates to have AWS's tools use the server.
func env(_ context.Context, c *cli, args []string) error {
	fs := newFlags(c, "env")
	data := dataFlag(fs)
	if _, err := parse(c, fs, args); err != nil {
		return err
	}
	dir, err := filepath.Abs(*data)
	if err != nil {
		return err
	}
	if _, err := server.ReadProfile(dir, "default"); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "export AWS_SHARED_CREDENTIALS_FILE=%s\nexport AWS_CONFIG_FILE=%s\nexport AWS_PAGER=\n",
		shellQuote(filepath.Join(dir, "credentials")), shellQuote(filepath.Join(dir, "config")))
	return nil
}

// shellQuote is a word as a shell reads it back.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// accountAdd adds an account and writes its root access key as a profile.
func accountAdd(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "account add")
	data := dataFlag(fs)
	database := fs.String("database", "", "the PostgreSQL `URL` that the server is run with, needed while it does not run")
	words, err := parse(c, fs, args, "ACCOUNT")
	if err != nil {
		return err
	}
	account := words[0]
	if err := addAccount(ctx, *data, *database, account); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "Added account %s. Its root access key is profile %s:  aws --profile %s sts get-caller-identity\n", account, account, account)
	return nil
}

// addAccount makes an account and its profile.
func addAccount(ctx context.Context, data, database, account string) error {
	var made struct{ AccountId, AccessKeyId, SecretAccessKey string }
	err := operate(ctx, data, database, "CreateAccount", map[string]any{"AccountId": account}, &made)
	if err != nil {
		return err
	}
	if err := server.AddProfile(data, account, made.AccessKeyId, made.SecretAccessKey); err != nil {
		return err
	}
	profile, err := server.ReadProfile(data, "default")
	if err != nil {
		return err
	}
	return server.WriteConfig(data, profile.ClientConfig)
}

// clockAdvance moves the clock of a running server.
func clockAdvance(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "clock advance")
	data := dataFlag(fs)
	words, err := parse(c, fs, args, "DURATION")
	if err != nil {
		return err
	}
	by, err := parseDuration(words[0])
	if err != nil || by < time.Second {
		return &usageError{fmt.Sprintf("vigil clock advance: %q is not a duration of a second or more, such as 8d, 36h or 90s", words[0])}
	}
	if server.ServingProcess(*data) == 0 {
		return fmt.Errorf("no server runs on %s: start one with `vigil serve --test-clock --data %s`", *data, *data)
	}
	var out struct{ Now float64 }
	if err := operate(ctx, *data, "", "AdvanceClock", map[string]any{"Seconds": int64(by / time.Second)}, &out); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "The server's clock is at %s\n", time.UnixMilli(int64(out.Now*1000)).UTC().Format(time.RFC3339))
	return nil
}

// operate calls one of the operator's operations. Where no server runs on the data directory, one is started for it, on
// loopback, and stopped again: there is one way to change anything, and it is recorded.
func operate(ctx context.Context, data, database, operation string, in map[string]any, out any) error {
	profile, err := server.ReadProfile(data, "default")
	if err != nil {
		return err
	}
	if server.ServingProcess(data) == 0 {
		s, err := server.Start(ctx, server.Config{Listen: "127.0.0.1:0", Data: data, Database: database, Region: profile.Region, TestClock: true})
		if err != nil {
			return err
		}
		usual := profile.ClientConfig
		profile.Endpoint = s.URL()
		defer func() {
			s.Stop()
			_ = server.WriteConfig(data, usual) // the next start writes it anyway
		}()
	}
	return server.Operate(ctx, profile, operation, in, out)
}
