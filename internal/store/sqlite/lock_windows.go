package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"

	"vigil/internal/store"
)

// lockFile opens and locks a file. The lock goes with the file being closed, or the process ending in whatever way.
func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(file.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		err = store.ErrInUse
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
