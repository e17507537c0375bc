package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// fileSeal is a seal whose key is the 32 bytes of a file.
type fileSeal struct {
	path string
	id   [idSize]byte
	aead hidden[cipher.AEAD]
}

const idSize = 8

// File is the seal whose key lies in the file at path: exactly 32 random bytes, which only the file's owner may read. If
// there is no file, File makes one if create says so; otherwise that is an error, which is a fs.ErrNotExist.
//
// A blob of this seal is
//
//	byte  0       1, the version of the form
//	bytes 1-8     the id of the file's key
//	bytes 9-20    a random nonce
//	bytes 21-     the wrapped key, encrypted by AES-256-GCM, and the tag of 16 bytes
//
// with bytes 0-8 as additional authenticated data. The key that encrypts is HKDF-SHA256 (RFC 5869) of the file's bytes,
// without salt, with the info "vigil/seal/file/v1/wrap"; the key's id is the same of 8 bytes with "vigil/seal/file/v1/id".
func File(path string, create bool) (Seal, error) {
	key, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, fmt.Errorf("the root key %s is missing. What was encrypted under it cannot be decrypted without it; "+
				"bring it back from a backup: %w", path, err)
		}
		if err = createKeyFile(path); err == nil {
			key, err = readKeyFile(path)
		}
	}
	if err != nil {
		return nil, err
	}
	f := &fileSeal{path: path, aead: newAEAD(key, "vigil/seal/file/v1/wrap")}
	id, err := hkdf.Key(sha256.New, key, nil, "vigil/seal/file/v1/id", idSize)
	if err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	copy(f.id[:], id)
	return f, nil
}

// Name implements Seal.
func (f *fileSeal) Name() string { return "file" }

// Wrap implements Seal.
func (f *fileSeal) Wrap(dek []byte) ([]byte, error) {
	blob := append([]byte{blobVersion1}, f.id[:]...)
	return f.aead().Seal(blob, nil, dek, bytes.Clone(blob)), nil
}

// Unwrap implements Seal.
func (f *fileSeal) Unwrap(blob []byte) ([]byte, error) {
	const header = 1 + idSize
	if len(blob) < header+gcmOverhead {
		return nil, errors.New("the wrapped key is too short")
	}
	if blob[0] != blobVersion1 {
		return nil, fmt.Errorf("the wrapped key has form %d, which this version of Vigil does not know", blob[0])
	}
	if id := blob[1:header]; !bytes.Equal(id, f.id[:]) {
		return nil, fmt.Errorf("%w: by the one with id %x, while %s has id %x", ErrOtherKey, id, f.path, f.id)
	}
	dek, err := f.aead().Open(nil, nil, blob[header:], blob[:header])
	if err != nil {
		return nil, errors.New("the wrapped key is damaged")
	}
	return dek, nil
}

// readKeyFile refuses what could not be a root key, or has not been kept like one.
func readKeyFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("the root key %s is not a regular file", path)
	case mode.Perm()&0o077 != 0 && runtime.GOOS != "windows": // where a mode says nothing about who may read
		return nil, fmt.Errorf("the root key %s can be reached by others than its owner (mode %04o). "+
			"Make sure that nobody has read it, then run: chmod 600 %s", path, mode.Perm(), path)
	case info.Size() != keySize:
		return nil, fmt.Errorf("the root key %s has %d bytes; a root key has exactly %d", path, info.Size(), keySize)
	}
	key := make([]byte, keySize)
	if _, err := io.ReadFull(file, key); err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	if bytes.Equal(key, make([]byte, keySize)) { // what a file system may leave after a crash
		return nil, fmt.Errorf("the root key %s is all zeros, which is no key", path)
	}
	return key, nil
}

// createKeyFile makes the file at once with its content, durably, or not at all. It never replaces a file: one that
// another process made in the meantime stays.
func createKeyFile(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the root key %s cannot be made: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // O_EXCL and mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	key := make([]byte, keySize)
	rand.Read(key)
	_, err = file.Write(key)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return err
	}
	// A link, where a rename would replace.
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	if runtime.GOOS == "windows" { // which has no such operation
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
