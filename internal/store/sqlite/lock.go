//go:build !windows

package sqlite

import (
	"errors"
	"os"
	"syscall"

	"vigil/internal/store"
)

// lockFile opens and locks a file. The lock goes with the file being closed, or the process ending in whatever way.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = store.ErrInUse
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
