package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"vigil/internal/store"
	"vigil/internal/store/postgres"
)

func open(t *testing.T, url, schema string) store.DB {
	t.Helper()
	db, err := postgres.Open(context.Background(), url, schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func migrate(t *testing.T, db store.DB) {
	t.Helper()
	if err := db.Migrate(context.Background(), "test", `CREATE TABLE item (name TEXT PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
}

func insert(tx store.Tx, name string) error {
	_, err := tx.Exec(`INSERT INTO item (name) VALUES ($1)`, name)
	return err
}

func put(t *testing.T, db store.DB, name string) {
	t.Helper()
	if err := db.Update(context.Background(), func(tx store.Tx) error { return insert(tx, name) }); err != nil {
		t.Fatal(err)
	}
}

// wantUpdate fails the test unless the database can be changed.
func wantUpdate(t *testing.T, db store.DB) {
	t.Helper()
	if err := db.Update(context.Background(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE vigil_migration SET step = step`)
		return err
	}); err != nil {
		t.Errorf("the next Update: %v", err)
	}
}

func has(t *testing.T, db store.DB, name string) (found bool) {
	t.Helper()
	err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT EXISTS (SELECT 1 FROM item WHERE name = $1)`, name).Scan(&found)
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func want(t *testing.T, db store.DB, name string, there bool) {
	t.Helper()
	if has(t, db, name) != there {
		t.Errorf("item %s is there: %v, want %v", name, !there, there)
	}
}

func wantInDoubt(t *testing.T, err error) *store.CommitError {
	t.Helper()
	var commit *store.CommitError
	if !errors.As(err, &commit) {
		t.Fatalf("got error %v, want a CommitError", err)
	}
	return commit
}

// server is a connection to the database that is beside Vigil's own.
type server struct {
	t    *testing.T
	url  string
	conn *pgx.Conn
}

func connect(t *testing.T, url string) *server {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return &server{t, url, conn}
}

func (s *server) exec(statements string) {
	s.t.Helper()
	if _, err := s.conn.Exec(context.Background(), statements, pgx.QueryExecModeSimpleProtocol); err != nil {
		s.t.Fatal(err)
	}
}

// session asks for the pid of a session until there is one.
func (s *server) session(query string) (pid int) {
	s.t.Helper()
	for range 1000 {
		err := s.conn.QueryRow(context.Background(), query).Scan(&pid)
		if err == nil {
			return pid
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			s.t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond) // between two tries
	}
	s.t.Fatal("there is no such session")
	return 0
}

// writer is the session that has the lock.
func (s *server) writer() int {
	s.t.Helper()
	return s.session(`SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid <> 7
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
}

// kill ends a session, and waits until it has ended.
func (s *server) kill(pid int) {
	s.t.Helper()
	if _, err := s.conn.Exec(context.Background(), `SELECT pg_terminate_backend($1)`, pid); err != nil {
		s.t.Fatal(err)
	}
	for n := 1; n > 0; {
		if err := s.conn.QueryRow(context.Background(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&n); err != nil {
			s.t.Fatal(err)
		}
	}
}

// killAll ends all sessions but our own.
func (s *server) killAll() {
	s.t.Helper()
	for {
		var pid int
		err := s.conn.QueryRow(context.Background(), `SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1`).Scan(&pid)
		if errors.Is(err, pgx.ErrNoRows) {
			return
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.kill(pid)
	}
}

// blockCommits has commits that inserted an item stop in their middle.
func (s *server) blockCommits() {
	s.t.Helper()
	s.exec(`CREATE FUNCTION block() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER block AFTER INSERT ON vigil.item DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.block();
		SELECT pg_advisory_lock(7)`)
}

// blocked waits for a commit to be stopped, and returns its session.
func (s *server) blocked() int {
	s.t.Helper()
	return s.session(`SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 7
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
}

func (s *server) unblockCommits() { s.exec(`SELECT pg_advisory_unlock(7)`) }

// proxy is between Vigil and the server, and loses what it is told to.
type proxy struct {
	t       *testing.T
	url     string
	network string
	address string

	mu       sync.Mutex
	swallows []byte     // a statement: when it has been passed on, its answer is lost, and the connection
	broken   []net.Conn // those to the server whose client has been lost, but whose server has not noticed
	doomed   net.Conn   // the client's connection whose answer is to be lost
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	config, err := pgx.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &url.URL{Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: listener.Addr().String(),
		Path: "/" + config.Database, RawQuery: "sslmode=disable"}
	p := &proxy{t: t, url: u.String()}
	p.network, p.address = pgconn.NetworkAddress(config.Host, config.Port)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.mu.Lock()
		for _, c := range p.broken {
			c.Close()
		}
		p.mu.Unlock()
		wg.Wait()
	})
	return p
}

// swallow loses the answer to the next such statement, and with it the connection.
func (p *proxy) swallow(statement string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallows = []byte(statement)
}

// cut loses the connection whose answer is being waited for.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed.Close()
}

// cancelRequest is what a client sends instead of a startup message, to have what another connection is doing ended.
var cancelRequest = []byte{0, 0, 0, 16, 4, 210, 22, 46}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial(p.network, p.address)
	if err != nil {
		p.t.Error(err)
		return
	}
	lost := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		buffer := make([]byte, 1<<16)
		for {
			n, err := server.Read(buffer)
			select {
			case <-lost:
				client.Close()
				return
			default:
			}
			if err != nil {
				client.Close()
				return
			}
			client.Write(buffer[:n])
		}
	})
	buffer := make([]byte, 1<<16)
	swallowed := false
	for {
		n, err := client.Read(buffer)
		if err != nil && err != io.EOF || n == 0 {
			break
		}
		if bytes.HasPrefix(buffer[:n], cancelRequest) {
			break // a network that loses answers may lose these
		}
		p.mu.Lock()
		if p.swallows != nil && bytes.Contains(buffer[:n], p.swallows) {
			p.swallows, p.doomed, swallowed = nil, client, true
			close(lost)
		}
		p.mu.Unlock()
		server.Write(buffer[:n])
	}
	if swallowed { // the server does not notice
		p.mu.Lock()
		p.broken = append(p.broken, server)
		p.mu.Unlock()
	} else {
		server.Close()
	}
	wg.Wait()
}
