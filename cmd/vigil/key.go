package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"vigil/internal/keylife"
	"vigil/internal/server"
)

// keyTimeline prints the life of a key, which the server folds from its history.
func keyTimeline(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "key timeline")
	data := dataFlag(fs)
	asJSON := fs.Bool("json", false, "print it as JSON")
	days := fs.Int("days", keylife.DefaultDays, "how many days count as recent, `N`: 1 to 3650")
	region := fs.String("region", "", "the `REGION` of a key that is not named by its ARN, if it is not the server's")
	profileName := fs.String("profile", "default", "the `PROFILE` of the account whose history is looked through")
	words, err := parse(c, fs, args, "KEY")
	if err != nil {
		return err
	}
	if *days < 1 || *days > 3650 {
		return &usageError{"vigil key timeline: --days must be 1 to 3650"}
	}
	profile, err := server.ReadProfile(*data, *profileName)
	if err != nil {
		return err
	}
	if *region != "" {
		profile.Region = *region
	}
	var answer struct{ Timeline string }
	err = server.Operate(ctx, profile, "GetKeyTimeline", map[string]any{"KeyId": words[0], "Days": *days}, &answer)
	if errors.Is(err, syscall.ECONNREFUSED) && server.ServingProcess(*data) == 0 {
		return fmt.Errorf("no server runs on %s: start one with `vigil serve --data %s`", *data, *data)
	}
	if err != nil {
		return err
	}
	if *asJSON {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(answer.Timeline), "", "  "); err != nil {
			return err
		}
		b.WriteByte('\n')
		_, err := b.WriteTo(c.stdout)
		return err
	}
	var life keylife.Life
	if err := json.Unmarshal([]byte(answer.Timeline), &life); err != nil {
		return err
	}
	return life.WriteText(c.stdout)
}
