package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the URL of a new, empty PostgreSQL database, which is dropped when the test has ended.
//
// It is in the server that VIGIL_TEST_POSTGRES is the URL of, or in one of the test process's own, made with the
// system's packages: in a temporary directory, on a Unix socket, without fsync, and gone when the process ends in whatever way.
// Where there are no such packages the test is skipped, or with VIGIL_TEST_STRICT=1 fails.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("VIGIL_TEST_POSTGRES")
	if server == "" {
		var err error
		var private privateServer
		private, err = ownServer()
		server = private.url
		if errors.Is(err, errNoPostgres) && os.Getenv("VIGIL_TEST_STRICT") != "1" {
			t.Skip("PostgreSQL is not installed (Debian: apt-get install postgresql), and VIGIL_TEST_POSTGRES is not set")
		}
		if err != nil {
			t.Fatal("PostgreSQL for tests: ", err)
		}
	}
	name := "vigil_test_" + strings.ToLower(rand.Text()[:12])
	if err := execute(server, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("VIGIL_TEST_POSTGRES is not a URL")
	}
	u.Path = "/" + name
	return u.String()
}

// execute runs a statement in the server's own database.
func execute(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

var errNoPostgres = errors.New("PostgreSQL is not installed")

// privateServer is a server that lives as long as this process, or as the pipe is open.
type privateServer struct {
	url   string
	alive io.Closer
}

// ownServer starts the process's own server, once.
var ownServer = sync.OnceValues(startServer)

func startServer() (privateServer, error) {
	bin, err := serverPrograms()
	if err != nil {
		return privateServer{}, err
	}
	dir, err := os.MkdirTemp("", "vigil-postgres-")
	if err != nil {
		return privateServer{}, err
	}
	attributes := &syscall.SysProcAttr{Setpgid: true} // an interrupt of the tests is not for the server
	if os.Getuid() == 0 {                             // for whom PostgreSQL refuses to run
		if attributes.Credential, err = ordinaryUser(); err != nil {
			return privateServer{}, err
		}
		if err := os.Chown(dir, int(attributes.Credential.Uid), int(attributes.Credential.Gid)); err != nil {
			return privateServer{}, err
		}
	}
	if err := initialize(bin, dir, attributes); err != nil {
		return privateServer{}, err
	}

	// The shell ends the server and removes its directory when the pipe is closed, which the end of this process does.
	const script = `
		"$1/postgres" -D "$2/data" -k "$2" -h "" -F -c max_connections=200 -c wal_level=minimal -c max_wal_senders=0 >"$2/log" 2>&1 &
		read nothing
		kill -QUIT $!
		wait
		rm -rf "$2"`
	shell := exec.Command("/bin/sh", "-c", script, "sh", bin, dir)
	shell.Dir = dir
	shell.SysProcAttr = attributes
	alive, err := shell.StdinPipe()
	if err != nil {
		return privateServer{}, err
	}
	if err := shell.Start(); err != nil {
		return privateServer{}, err
	}
	server := (&url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode()}).String()
	if err := waitUntilReady(server); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		alive.Close()
		shell.Wait()
		return privateServer{}, fmt.Errorf("%w\n%s", err, log)
	}
	return privateServer{server, alive}, nil
}

// serverPrograms finds the directory of initdb and postgres, of the newest version if there are more.
func serverPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian's, which are not in the PATH
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errNoPostgres
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// ordinaryUser is somebody whom root can run the server as.
func ordinaryUser() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// initialize makes the server's files. Its databases have a language's order of text where it can have one, as most users' have.
func initialize(bin, dir string, attributes *syscall.SysProcAttr) error {
	var out []byte
	var err error
	for _, locale := range [][]string{{"--locale-provider=icu", "--icu-locale=en", "--locale=C.UTF-8"}, {"--locale=C.UTF-8"}, {"--locale=C"}} {
		arguments := append([]string{"-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"}, locale...)
		initdb := exec.Command(filepath.Join(bin, "initdb"), arguments...)
		initdb.Dir = dir
		initdb.SysProcAttr = attributes
		if out, err = initdb.CombinedOutput(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("initdb: %w\n%s", err, bytes.TrimSpace(out))
}

// waitUntilReady connects until it can.
func waitUntilReady(server string) error {
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = execute(server, "SELECT 1"); err == nil {
			return nil
		}
		<-time.After(20 * time.Millisecond) // between two tries
	}
	return err
}
