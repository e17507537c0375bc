package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The files of the data directory that clients read. Both have the form that AWS's own tools read.
const (
	credentialsFile = "credentials"
	configFile      = "config"
	lockFile        = "lock"
)

// ErrDataInUse is returned when another process serves the data directory.
var ErrDataInUse = errors.New("another Vigil process is using it")

// dataDir is the data directory, held by this process alone.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory when it is not there, and takes it.
func openDataDir(path string) (dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return dataDir{}, fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return dataDir{}, fmt.Errorf("data directory: %w", err)
	}
	if err := take(lock); err != nil {
		defer lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return dataDir{}, fmt.Errorf("data directory %s: %w (process %s)", path, ErrDataInUse, readAll(lock))
		}
		return dataDir{}, fmt.Errorf("data directory %s: lock: %w", path, err)
	}
	if err := lock.Truncate(0); err != nil {
		lock.Close()
		return dataDir{}, fmt.Errorf("data directory: %w", err)
	}
	if _, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		lock.Close()
		return dataDir{}, fmt.Errorf("data directory: %w", err)
	}
	return dataDir{path, lock}, nil
}

// take locks the file for this process alone. It tries more than once, as ServingProcess holds the lock for a moment to see whether
// it can.
func take(lock *os.File) (err error) {
	for range 25 {
		if err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

func readAll(f *os.File) string {
	buf := make([]byte, 16)
	n, _ := f.ReadAt(buf, 0)
	return string(buf[:n])
}

func (d dataDir) close() { d.lock.Close() }

// ServingProcess is the id of the process that serves a data directory, or 0 when none does.
func ServingProcess(path string) int {
	f, err := os.Open(filepath.Join(path, lockFile))
	if err != nil {
		return 0
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return 0
	}
	pid, _ := strconv.Atoi(readAll(f))
	return pid
}

// AddProfile writes an access key into the credentials file, in place of what the profile had.
func AddProfile(dir, profile, accessKeyID, secret string) error {
	path := filepath.Join(dir, credentialsFile)
	profiles, err := readINI(path)
	if err != nil {
		return err
	}
	profiles = slices.DeleteFunc(profiles, func(s section) bool { return s.name == profile })
	profiles = append(profiles, section{profile, []setting{{"aws_access_key_id", accessKeyID}, {"aws_secret_access_key", secret}}})
	return writeINI(path, profiles)
}

// ClientConfig is where clients on this machine find the server.
type ClientConfig struct {
	Region   string
	Endpoint string
	CABundle string // a PEM file of the authorities that vouch for the server; empty for the system's
}

// writeConfig writes the configuration file.
func (d dataDir) writeConfig(c ClientConfig) error { return WriteConfig(d.path, c) }

// hasConfig says that the directory was served before: the configuration is written when all else is well.
func (d dataDir) hasConfig() bool {
	_, err := os.Stat(filepath.Join(d.path, configFile))
	return err == nil
}

// WriteConfig writes the client configuration for every profile that has credentials.
func WriteConfig(dir string, c ClientConfig) error {
	profiles, err := readINI(filepath.Join(dir, credentialsFile))
	if err != nil {
		return err
	}
	var sections []section
	for _, p := range profiles {
		name := p.name
		if name != "default" {
			name = "profile " + name
		}
		settings := []setting{{"region", c.Region}, {"endpoint_url", c.Endpoint}}
		if c.CABundle != "" {
			settings = append(settings, setting{"ca_bundle", c.CABundle})
		}
		sections = append(sections, section{name, settings})
	}
	return writeINI(filepath.Join(dir, configFile), sections)
}

// Profile is what a client needs to call the server.
type Profile struct {
	AccessKeyID, Secret string
	ClientConfig
	roots *x509.CertPool // those of CABundle
}

// Transport connects to the server and trusts who the profile says that vouches for it.
func (p Profile) Transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS12}
	return t
}

// ReadProfile reads a profile of the data directory's client files.
func ReadProfile(dir, name string) (Profile, error) {
	credentials, err := readINI(filepath.Join(dir, credentialsFile))
	if err != nil {
		return Profile{}, err
	}
	config, err := readINI(filepath.Join(dir, configFile))
	if err != nil {
		return Profile{}, err
	}
	find := func(sections []section, name, key string) string {
		for _, s := range sections {
			for _, kv := range s.settings {
				if s.name == name && kv.key == key {
					return kv.value
				}
			}
		}
		return ""
	}
	in := name
	if name != "default" {
		in = "profile " + name
	}
	p := Profile{
		AccessKeyID: find(credentials, name, "aws_access_key_id"),
		Secret:      find(credentials, name, "aws_secret_access_key"),
		ClientConfig: ClientConfig{
			Region:   find(config, in, "region"),
			Endpoint: find(config, in, "endpoint_url"),
			CABundle: find(config, in, "ca_bundle"),
		},
	}
	if p.CABundle != "" {
		if p.roots, err = x509.SystemCertPool(); err != nil {
			p.roots = x509.NewCertPool()
		}
		bundle, err := os.ReadFile(p.CABundle)
		if err != nil {
			return Profile{}, fmt.Errorf("%s: ca_bundle: %w", filepath.Join(dir, configFile), err)
		}
		if !p.roots.AppendCertsFromPEM(bundle) {
			return Profile{}, fmt.Errorf("%s: ca_bundle: there is no certificate in %s", filepath.Join(dir, configFile), p.CABundle)
		}
	}
	if p.AccessKeyID == "" || p.Endpoint == "" {
		if name != "default" {
			return Profile{}, fmt.Errorf("%s has no profile %q: `vigil account add %s --data %s` adds an account and its profile", dir, name, name, dir)
		}
		return Profile{}, fmt.Errorf("%s has no profile %q: has `vigil serve --data %s` been started?", dir, name, dir)
	}
	return p, nil
}

// section and setting are what the two files are made of.
type section struct {
	name     string
	settings []setting
}

type setting struct{ key, value string }

// readINI reads a file of sections. One that is not there is empty.
func readINI(path string) ([]section, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var sections []section
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			sections = append(sections, section{name: strings.TrimSuffix(name, "]")})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok && len(sections) > 0 && !strings.HasPrefix(line, "#") {
			last := &sections[len(sections)-1]
			last.settings = append(last.settings, setting{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return sections, nil
}

// writeINI replaces a file as a whole, readable by its owner alone, and durably.
func writeINI(path string, sections []section) error {
	var b strings.Builder
	for i, s := range sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]\n", s.name)
		for _, kv := range s.settings {
			fmt.Fprintf(&b, "%s = %s\n", kv.key, kv.value)
		}
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(b.String())
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
