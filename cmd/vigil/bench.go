package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"vigil/internal/server"
)

// echoCommand is how bench runs this program as the server that it compares Vigil with. It is not for people.
const echoCommand = "bench-echo"

// rounds is how often bench turns from one server to the other, so that a machine whose speed wanders is fair to both.
const rounds = 5

// plaintextSize is what Encrypt encrypts, in bytes.
const plaintextSize = 256

// bench loads the running server and a bare HTTP echo in turn, with the same signed requests from the same client.
func bench(ctx context.Context, c *cli, args []string) error {
	fs := newFlags(c, "bench")
	data := dataFlag(fs)
	op := fs.String("op", "Encrypt", "the `OPERATION`: "+strings.Join(benchOperations, ", "))
	spec := fs.String("spec", "", "the `SPEC` of the key, for Sign and GenerateMac: ECC_NIST_P256 and HMAC_256 if not given")
	clients := fs.Int("clients", 64, "how many clients call at the same time, `N`")
	duration := fs.Duration("duration", 10*time.Second, "how long each is loaded, `TIME`")
	watch := fs.Bool("watch", false, "load the server in turns with and without a trail, a metric filter, ten rules and an alarm too")
	if _, err := parse(c, fs, args); err != nil {
		return err
	}
	if !slices.Contains(benchOperations, *op) {
		return &usageError{fmt.Sprintf("vigil bench: --op %s is not one of %s", *op, strings.Join(benchOperations, ", "))}
	}
	if *spec != "" && bareSpecs[*op] == "" || bareSpecs[*op] != "" && !knownSpec(*op, cmp.Or(*spec, bareSpecs[*op])) {
		return &usageError{fmt.Sprintf("vigil bench: --op %s has no --spec %s", *op, *spec)}
	}
	if *clients < 1 || *duration <= 0 {
		return &usageError{"vigil bench: --clients and --duration must be more than nothing"}
	}
	pid := server.ServingProcess(*data)
	if pid == 0 {
		return fmt.Errorf("no server runs on %s: start one with `vigil serve --data %s`", *data, *data)
	}
	profile, err := server.ReadProfile(*data, "default")
	if err != nil {
		return err
	}
	transport := profile.Transport()
	transport.Proxy, transport.MaxIdleConns, transport.MaxIdleConnsPerHost = nil, 2**clients, *clients
	b := &benchmark{profile: profile, clients: *clients, http: &http.Client{Transport: transport}}
	if err := b.prepare(ctx, *op, cmp.Or(*spec, bareSpecs[*op])); err != nil {
		return err
	}
	defer b.cleanUp()
	echo, echoPID, stop, err := startEcho(ctx)
	if err != nil {
		return err
	}
	defer stop()
	subjects := []subject{{name: "vigil", profile: b.profile, pid: pid}, {name: "echo", profile: withEndpoint(b.profile, echo), pid: echoPID}}
	if b.bare != nil {
		subjects = append(subjects, subject{name: "bare", bare: b.bare})
	}
	if *watch {
		w, err := b.newWatch(ctx)
		defer w.remove()
		if err != nil {
			return err
		}
		subjects = append(subjects, subject{name: "watched", profile: b.profile, pid: pid, before: w.begin, after: w.end})
	}
	return b.compare(ctx, c.stdout, subjects, *duration)
}

// benchOperations are the operations that bench knows how to ask for.
var benchOperations = []string{"Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncrypt", "Sign", "GenerateMac", "GenerateRandom", "DescribeKey"}

// benchmark is one run: an operation, its request, and the key that it uses.
type benchmark struct {
	profile server.Profile
	http    *http.Client
	clients int
	op      string
	keyID   string
	body    []byte
	bare    func() error // the operation's algorithm by itself, or nil
}

// prepare makes a key of the benchmark's own and the request that uses it.
func (b *benchmark) prepare(ctx context.Context, op, spec string) error {
	b.op = op
	create := map[string]any{"Description": "vigil bench"}
	switch op {
	case "GenerateMac":
		create["KeySpec"], create["KeyUsage"] = spec, "GENERATE_VERIFY_MAC"
	case "Sign":
		create["KeySpec"], create["KeyUsage"] = spec, "SIGN_VERIFY"
	}
	var made struct{ KeyMetadata struct{ KeyId string } }
	if err := b.once(ctx, "CreateKey", create, &made); err != nil {
		return err
	}
	b.keyID = made.KeyMetadata.KeyId

	plaintext := make([]byte, plaintextSize)
	rand.Read(plaintext)
	encryptionContext := map[string]string{"purpose": "bench"}
	in := map[string]any{"KeyId": b.keyID}
	switch op {
	case "Encrypt":
		in["Plaintext"], in["EncryptionContext"] = plaintext, encryptionContext
	case "Decrypt", "ReEncrypt":
		var sealed struct{ CiphertextBlob []byte }
		if err := b.once(ctx, "Encrypt", map[string]any{"KeyId": b.keyID, "Plaintext": plaintext, "EncryptionContext": encryptionContext}, &sealed); err != nil {
			return err
		}
		in = map[string]any{"CiphertextBlob": sealed.CiphertextBlob}
		if op == "Decrypt" {
			in["EncryptionContext"] = encryptionContext
		} else {
			in["SourceEncryptionContext"], in["DestinationEncryptionContext"], in["DestinationKeyId"] = encryptionContext, encryptionContext, b.keyID
		}
	case "GenerateDataKey", "GenerateDataKeyWithoutPlaintext":
		in["KeySpec"], in["EncryptionContext"] = "AES_256", encryptionContext
	case "GenerateMac":
		in["MacAlgorithm"], in["Message"] = macs[spec].algorithm, plaintext
	case "Sign":
		in["SigningAlgorithm"], in["Message"] = signatures[spec], plaintext
	case "GenerateRandom":
		in = map[string]any{"NumberOfBytes": 32}
	}
	var err error
	if b.bare, err = bareAlgorithm(op, spec, plaintext); err != nil {
		return err
	}
	b.body, err = json.Marshal(in)
	return err
}

// cleanUp schedules the deletion of the benchmark's key.
func (b *benchmark) cleanUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = b.once(ctx, "ScheduleKeyDeletion", map[string]any{"KeyId": b.keyID, "PendingWindowInDays": 7}, &struct{}{})
}

// once makes one call outside of the measurement.
func (b *benchmark) once(ctx context.Context, op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if err := server.Call(ctx, b.http, b.profile, "kms", "TrentService."+op, body, out); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// subject is a server that is measured, in a state that it is put into before each turn.
type subject struct {
	name          string
	profile       server.Profile
	pid           int
	before, after func(context.Context) error // or nil
	bare          func() error                // what is measured instead of a server
}

func withEndpoint(p server.Profile, endpoint string) server.Profile {
	p.Endpoint = endpoint
	return p
}

// compare loads the subjects, of which the first is the server and the second the echo, in turns, and prints what came of it.
func (b *benchmark) compare(ctx context.Context, w io.Writer, subjects []subject, duration time.Duration) error {
	measures := make([]measure, len(subjects))
	for _, s := range subjects { // connections, caches, the heap
		if _, err := b.turn(ctx, s, min(duration/5, time.Second)); err != nil {
			return err
		}
	}
	for range rounds {
		for i, s := range subjects {
			m, err := b.turn(ctx, s, duration/rounds)
			if err != nil {
				return err
			}
			measures[i].add(m)
		}
	}
	fmt.Fprintf(w, "%s, %d clients, %s each, in turns of %s\n", b.op, b.clients, duration, duration/rounds)
	vigil, echo := &measures[0], &measures[1]
	for i := range subjects {
		fmt.Fprintf(w, "%-7s %s\n", subjects[i].name, &measures[i])
	}
	if memory, ok := residentMemory(subjects[0].pid); ok {
		fmt.Fprintf(w, "server memory %d MB\n", memory>>20)
	}
	for i := range subjects[2:] {
		other := &measures[2+i]
		switch subjects[2+i].name {
		case "watched":
			fmt.Fprintf(w, "watched %.2f of not watched\n", other.rate()/vigil.rate())
		case "bare":
			fmt.Fprintf(w, "vigil %.2f of the bare algorithm\n", vigil.rate()/other.rate())
		}
	}
	fmt.Fprintf(w, "ratio %.2f of echo\n", vigil.rate()/echo.rate())
	return nil
}

// turn loads one subject once.
func (b *benchmark) turn(ctx context.Context, s subject, duration time.Duration) (measure, error) {
	if s.bare != nil {
		return loadBare(s.bare, duration)
	}
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return measure{}, err
		}
	}
	before, ok := cpuTime(s.pid)
	m, err := b.load(ctx, s.profile, duration)
	if err != nil {
		return m, err
	}
	if after, stillOK := cpuTime(s.pid); ok && stillOK {
		m.cpu = after - before
	}
	if s.after != nil {
		err = s.after(ctx)
	}
	return m, err
}

// measure is what a load came to.
type measure struct {
	latencies []time.Duration
	took      time.Duration
	cpu       time.Duration // of the server; 0 where the system does not tell
}

func (m *measure) add(other measure) {
	m.latencies = append(m.latencies, other.latencies...)
	m.took += other.took
	m.cpu += other.cpu
}

func (m *measure) rate() float64 { return float64(len(m.latencies)) / m.took.Seconds() }

func (m *measure) String() string {
	slices.Sort(m.latencies)
	at := func(q float64) time.Duration {
		return threeDigits(m.latencies[int(q*float64(len(m.latencies)-1))])
	}
	text := fmt.Sprintf("%8.0f requests/s   p50 %-8s p99 %-8s", m.rate(), at(0.50), at(0.99))
	if m.cpu > 0 {
		text += fmt.Sprintf(" server CPU %.1f µs a call", float64(m.cpu.Microseconds())/float64(len(m.latencies)))
	}
	return text
}

// threeDigits is a duration to three digits: more is noise.
func threeDigits(d time.Duration) time.Duration {
	unit := time.Nanosecond
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit)
}

// load has every client call one after the other until the time is up. The first call that fails ends it.
func (b *benchmark) load(ctx context.Context, p server.Profile, duration time.Duration) (measure, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begun := time.Now()
	end := begun.Add(duration)
	each := make([][]time.Duration, b.clients)
	var all sync.WaitGroup
	for i := range each {
		all.Go(func() {
			for at := time.Now(); at.Before(end); {
				if _, err := server.Send(ctx, b.http, p, "kms", "TrentService."+b.op, b.body); err != nil {
					cancel(fmt.Errorf("%s at %s: %w", b.op, p.Endpoint, err))
					return
				}
				now := time.Now()
				each[i] = append(each[i], now.Sub(at))
				at = now
			}
		})
	}
	all.Wait()
	m := measure{latencies: slices.Concat(each...), took: time.Since(begun)}
	if err := context.Cause(ctx); err != nil {
		return m, err
	}
	if len(m.latencies) == 0 {
		return m, fmt.Errorf("%s at %s: no call was answered", b.op, p.Endpoint)
	}
	return m, nil
}

// startEcho runs this program again as a bare echo server, a process of its own as Vigil is.
func startEcho(ctx context.Context) (endpoint string, pid int, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self, echoCommand)
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return "", 0, nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return "", 0, nil, err
	}
	stop = func() { cancel(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", 0, nil, fmt.Errorf("the echo server did not start: %w", err)
	}
	return strings.TrimSpace(line), cmd.Process.Pid, stop, nil
}

// serveEcho answers every request with its own body.
func serveEcho(ctx context.Context, c *cli) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "http://%s\n", l.Addr())
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header()["Content-Type"] = r.Header["Content-Type"]
		_, _ = w.Write(body.Bytes())
	})}
	context.AfterFunc(ctx, func() { srv.Close() })
	_ = srv.Serve(l)
	return nil
}

// cpuTime is what a process has used of the processors, where the system tells.
func cpuTime(pid int) (time.Duration, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	_, after, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs on Linux
	return time.Duration(user+system) * tick, err1 == nil && err2 == nil
}

// residentMemory is how much memory a process has, in bytes, where the system tells.
func residentMemory(pid int) (int64, bool) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
