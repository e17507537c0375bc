//go:build !linux

package postgres

import "syscall"

// limitSilence is for Linux. Other systems have their own limits.
func limitSilence(_, _ string, _ syscall.RawConn) error { return nil }
