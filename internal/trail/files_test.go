package trail_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/google/uuid"

	"vigil"
	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/objects"
	"vigil/internal/seal"
	"vigil/internal/store"
	"vigil/internal/store/storetest"
	"vigil/internal/trail"
)

// openBuckets opens real buckets, with one for alice and one for bob.
func (h *house) openBuckets() {
	h.Helper()
	ctx, dir := context.Background(), h.TempDir()
	files, err := objects.OpenFiles(filepath.Join(dir, "buckets"), h.clock)
	if err != nil {
		h.Fatal(err)
	}
	if h.objects, err = objects.New(ctx, objects.Config{DB: h.main, Clock: h.clock, Store: files}); err != nil {
		h.Fatal(err)
	}
	guard, err := seal.File(filepath.Join(dir, "root.key"), true)
	if err != nil {
		h.Fatal(err)
	}
	root, err := seal.Unseal(ctx, h.main, guard)
	if err != nil {
		h.Fatal(err)
	}
	h.secrets, h.buckets, h.topics = root.For("digest signing"), &faultyBuckets{objects: h.objects}, &topics{known: map[string]bool{}}
	for _, who := range []caller{alice, bob} {
		h.bucket(who, http.MethodPut, *who.bucket())
	}
}

// bucket makes or deletes a bucket.
func (h *house) bucket(who caller, method, name string) {
	h.Helper()
	in := &call.RESTRequest{Method: method, Bucket: name, Query: url.Values{}, Header: http.Header{}, Body: strings.NewReader("")}
	op, err := h.objects.API().Route(in)
	if err != nil {
		h.Fatal(err)
	}
	at := h.clock.Now()
	c := &call.Call{Principal: call.Principal{Type: "Root", ARN: arn.Root(who.region, who.account), Account: who.account, PrincipalID: who.account},
		Service: "s3", Operation: op.Name, Region: who.region, Time: at, RequestID: uuid.NewString(), EventID: call.NewEventID(at)}
	if _, err := op.Do(context.Background(), c, in); err != nil {
		h.Fatal(err)
	}
	var effect error
	err = h.journal.Commit(context.Background(), c.PendingEffect(), func(err error) []journal.Record {
		effect = err
		r := who.record(at, op.Name)
		return []journal.Record{{Time: at, Data: r.AppendJSON(nil)}}
	})
	if err := errors.Join(effect, err); err != nil {
		h.Fatal(err)
	}
}

func (w caller) bucket() *string { return new("bucket-of-" + w.account) }

// faultyBuckets are the buckets, which fail when they are told to.
type faultyBuckets struct {
	objects *objects.Objects

	mu   sync.Mutex
	fail func(key string) (before, after error)
	puts int
}

func (b *faultyBuckets) Check(_ context.Context, account, bucket string) error {
	_, err := b.objects.Region(account, bucket)
	return err
}

func (b *faultyBuckets) CanEncrypt() bool { return false }

func (b *faultyBuckets) Put(ctx context.Context, account, bucket, key string, o trail.Object) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	var after error
	if b.fail != nil {
		var before error
		if before, after = b.fail(key); before != nil {
			return before
		}
	}
	_, err := b.objects.Put(ctx, account, bucket, key, objects.Metadata{ContentType: o.ContentType, ContentEncoding: o.ContentEncoding, User: o.Metadata}, bytes.NewReader(o.Body))
	return errors.Join(err, after)
}

func (b *faultyBuckets) failing(fail func(key string) (before, after error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

// topics are the topics that there are, and what was published to them.
type topics struct {
	mu    sync.Mutex
	known map[string]bool
	sent  []string
}

func (t *topics) has(topic arn.ARN) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known[topic.Resource]
}

func (t *topics) publish(tx store.Tx, _, topic arn.ARN, message string) error {
	if !t.has(topic) {
		return &call.Error{Code: "NotFound", Status: http.StatusNotFound}
	}
	tx.OnCommit(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.sent = append(t.sent, topic.Resource+" "+message)
	})
	return nil
}

// reader reads an account's buckets for package vigil.
type reader struct {
	h       *house
	account string
}

func (r reader) List(ctx context.Context, bucket, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		q := objects.Query{Prefix: prefix, Max: 100}
		for {
			page, err := r.h.objects.List(ctx, r.account, bucket, q)
			if err != nil {
				yield("", err)
				return
			}
			for _, o := range page.Objects {
				if !yield(o.Key, nil) {
					return
				}
			}
			if !page.More {
				return
			}
			q.After = page.Last
		}
	}
}

func (r reader) Get(ctx context.Context, bucket, key string) (*vigil.BucketObject, error) {
	o, err := r.h.objects.Get(ctx, r.account, bucket, key)
	var api *call.Error
	if errors.As(err, &api) && api.Code == "NoSuchKey" {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, err
	}
	return &vigil.BucketObject{ReadCloser: o, Metadata: o.User}, nil
}

// keys are the keys in an account's bucket of which part is a part.
func (h *house) keys(who caller, bucket, part string) (keys []string) {
	h.Helper()
	for key, err := range (reader{h, who.account}).List(context.Background(), bucket, "") {
		if err != nil {
			return nil
		}
		if strings.Contains(key, part) {
			keys = append(keys, key)
		}
	}
	return keys
}

// contents are the events, by name, in the files of a bucket of which part is a part of the key.
func (h *house) contents(who caller, bucket, part string) (names []string) {
	h.Helper()
	for _, key := range h.keys(who, bucket, part) {
		o, err := h.objects.Get(context.Background(), who.account, bucket, key)
		if err != nil {
			h.Fatal(err)
		}
		zip, err := gzip.NewReader(o)
		if err != nil {
			h.Fatal(err)
		}
		var file struct{ Records []struct{ EventName string } }
		data, err := io.ReadAll(zip)
		o.Close()
		if err != nil || json.Unmarshal(data, &file) != nil {
			h.Fatalf("%s: %v %s", key, err, data)
		}
		for _, r := range file.Records {
			names = append(names, r.EventName)
		}
	}
	return names
}

// until waits for something to be so.
func (h *house) until(what string, so func() bool) {
	h.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("never: %s", what)
		}
	}
}

// hasFiles waits until just these events, in any order, are in the files, and moves the clock on meanwhile.
func (h *house) hasFiles(who caller, bucket, part string, want ...string) {
	h.Helper()
	slices.Sort(want)
	var got []string
	for range 400 {
		h.clock.Advance(5 * time.Minute)
		h.followed()
		time.Sleep(5 * time.Millisecond)
		got = h.contents(who, bucket, part)
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		if len(got) > len(want) {
			break
		}
	}
	h.Errorf("%s has %q, want %q", part, got, want)
}

// start makes a trail and starts it.
func (h *house) start(who caller, in cloudtrail.CreateTrailInput) {
	h.Helper()
	if in.S3BucketName == nil {
		in.S3BucketName = who.bucket()
	}
	do[cloudtrail.CreateTrailOutput](h, who, "CreateTrail", &in)
	h.clock.Advance(time.Second)
	do[cloudtrail.StartLoggingOutput](h, who, "StartLogging", &cloudtrail.StartLoggingInput{Name: in.Name})
}

func TestFilesOfATrail(t *testing.T) {
	h := open(t)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine"), S3KeyPrefix: new("audit/logs"), IsMultiRegionTrail: new(true)})
	h.happen(alice, "One", "Two")
	h.happen(alice.in("eu-west-1"), "Far")
	h.happen(bob, "Theirs")
	insight := alice.record(h.clock.Now(), "Large")
	insight.RequestParameters = json.RawMessage(fmt.Sprintf(`{"text":%q}`, strings.Repeat("x", 300<<10)))
	h.commit(insight)
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/us-east-1/", "StartLogging", "One", "Two", "Large")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/eu-west-1/", "Far")
	key := h.keys(alice, *alice.bucket(), "/eu-west-1/")[0]
	name := key[strings.LastIndexByte(key, '/')+1:]
	if folder := "audit/logs/AWSLogs/111122223333/CloudTrail/eu-west-1/" + h.clock.Now().Format("2006/01/02/"); key[:strings.LastIndexByte(key, '/')+1] != folder ||
		!strings.HasPrefix(name, "111122223333_CloudTrail_eu-west-1_"+h.clock.Now().Format("20060102T")) || !strings.HasSuffix(name, ".json.gz") || len(name) != len("111122223333_CloudTrail_eu-west-1_20060102T1504Z_0123456789abcdef.json.gz") {
		if h.clock.Now().Hour() > 0 { // not over midnight
			t.Errorf("key %s", key)
		}
	}
	if s := h.status(alice, new("mine")); s.LatestDeliveryTime == nil || s.LatestDeliveryError != nil || *s.LatestDeliveryAttemptTime == "" {
		t.Errorf("status %+v", s)
	}
}

// TestFilesHaveEachRecordOnce has trails with files in which everything fails now and then: databases, in doubt or not, and buckets, having
// put what they say they have not. The processes end again and again.
func TestFilesHaveEachRecordOnce(t *testing.T) {
	h := open(t)
	random := rand.New(rand.NewPCG(1, 2))
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine"), EnableLogFileValidation: new(true)})
	var mu sync.Mutex
	h.buckets.failing(func(string) (before, after error) {
		mu.Lock()
		defer mu.Unlock()
		switch random.IntN(8) {
		case 0:
			return errors.New("the connection broke"), nil
		case 1:
			return nil, errors.New("the answer was lost")
		case 2:
			return &call.Error{Code: "SlowDown", Status: 503}, nil
		case 3:
			return fmt.Errorf("buckets: %w", syscall.ENOSPC), nil
		}
		return nil, nil
	})
	want := []string{"StartLogging"}
	for i := range 40 {
		name := fmt.Sprintf("Event%d", i)
		h.happen(alice, name)
		want = append(want, name)
		mu.Lock()
		h.watch.FailUpdate(h.watch.Updates()+1+random.IntN(3), storetest.Fault(1+random.IntN(4)))
		mu.Unlock()
		h.clock.Advance(time.Duration(1+i%5) * time.Minute)
		h.followed()
		time.Sleep(time.Millisecond) // lets a delivery be somewhere
		if i%7 == 6 {
			h.stopTrails()
			h.begin()
		}
	}
	h.buckets.failing(nil)
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/us-east-1/", want...)
	h.until("a digest of the last file", func() bool {
		h.clock.Advance(10 * time.Minute)
		r := h.verify(alice, "mine")
		return r.LogFiles == len(h.keys(alice, *alice.bucket(), "/CloudTrail/us-east-1/"))
	})
	if r := h.verify(alice, "mine"); !r.OK() || len(r.Chains) != 1 || len(r.Unlisted) > 0 {
		t.Errorf("%v, %+v", r.Findings, r)
	}
}

// verify checks a trail's digests with the keys that ListPublicKeys has in the caller's region and in others.
func (h *house) verify(who caller, name string, others ...string) *vigil.DigestReport {
	h.Helper()
	return h.verifySince(time.Unix(0, 0), who, name, others...)
}

// verifySince checks those digests that end after a time, with the keys that are valid since.
func (h *house) verifySince(since time.Time, who caller, name string, others ...string) *vigil.DigestReport {
	h.Helper()
	keys := map[string]*rsa.PublicKey{}
	for _, region := range append(others, who.region) {
		listed := do[cloudtrail.ListPublicKeysOutput](h, who.in(region), "ListPublicKeys", &cloudtrail.ListPublicKeysInput{StartTime: &since, EndTime: new(h.clock.Now())})
		for _, k := range listed.PublicKeyList {
			key, err := vigil.DigestPublicKey(k.Value)
			if err != nil {
				h.Fatal(err)
			}
			keys[*k.Fingerprint] = key
		}
	}
	got := do[cloudtrail.GetTrailOutput](h, who, "GetTrail", &cloudtrail.GetTrailInput{Name: &name}).Trail
	scope := vigil.DigestScope{Bucket: *got.S3BucketName, Keys: keys, Trail: name, From: since}
	if got.S3KeyPrefix != nil {
		scope.Prefix = *got.S3KeyPrefix
	}
	r, err := vigil.VerifyDigests(context.Background(), reader{h, who.account}, scope)
	if err != nil {
		h.Fatal(err)
	}
	return r
}

func TestDigestsOfDays(t *testing.T) {
	h := open(t)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine"), EnableLogFileValidation: new(true)})
	h.happen(alice, "First")
	h.clock.Advance(30 * time.Hour) // all at once
	h.happen(alice, "Second")
	h.clock.Advance(42 * time.Hour)
	h.until("the digests of three days", func() bool {
		return len(h.keys(alice, *alice.bucket(), vigil.DigestFolder)) >= 72
	})
	r := h.verify(alice, "mine")
	if !r.OK() || r.Digests < 72 || r.ValidDigests != r.Digests || r.LogFiles < 2 || len(r.Chains) != 1 || len(r.Unlisted) > 0 {
		t.Errorf("%v, %+v", r.Findings, r)
	}
	if s := h.status(alice, new("mine")); s.LatestDigestDeliveryTime == nil || s.LatestDigestDeliveryError != nil {
		t.Errorf("status %+v", s)
	}

	// A last digest after logging has stopped, and then a new chain.
	do[cloudtrail.StopLoggingOutput](h, alice, "StopLogging", &cloudtrail.StopLoggingInput{Name: new("mine")})
	h.clock.Advance(5 * time.Hour)
	h.until("the last digest", func() bool { return len(h.keys(alice, *alice.bucket(), vigil.DigestFolder)) > r.Digests })
	last := h.verify(alice, "mine")
	h.clock.Advance(5 * time.Hour)
	do[cloudtrail.StartLoggingOutput](h, alice, "StartLogging", &cloudtrail.StartLoggingInput{Name: new("mine")})
	h.clock.Advance(2 * time.Hour)
	h.until("two digests more", func() bool { return h.verify(alice, "mine").Digests >= last.Digests+2 })
	if r := h.verify(alice, "mine"); !r.OK() || len(r.Chains) != 2 || len(r.Unlisted) > 0 || r.LogFiles != len(h.keys(alice, *alice.bucket(), "/CloudTrail/")) {
		t.Errorf("%v, %+v", r.Findings, r)
	}
}

func TestABucketThatIsAway(t *testing.T) {
	h := open(t)
	h.bucket(alice, http.MethodPut, "away")
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("lost"), S3BucketName: new("away"), EnableLogFileValidation: new(true)})
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("fine")})
	h.bucket(alice, http.MethodDelete, "away")
	h.happen(alice, "One")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "DeleteBucket", "One")
	h.until("NoSuchBucket in the status", func() bool {
		s := h.status(alice, new("lost"))
		return s.LatestDeliveryError != nil && *s.LatestDeliveryError == "NoSuchBucket" && s.LatestDeliveryTime == nil
	})
	h.clock.Advance(3 * time.Hour)
	h.happen(alice, "Two")
	h.bucket(alice, http.MethodPut, "away")
	h.hasFiles(alice, "away", "/CloudTrail/", "StartLogging", "CreateTrail", "StartLogging", "DeleteBucket", "One", "Two", "CreateBucket")
	h.clock.Advance(2 * time.Hour)
	h.until("digests of all hours", func() bool { return h.verify(alice, "lost").Digests >= 5 })
	if r := h.verify(alice, "lost"); !r.OK() || len(r.Chains) != 1 {
		t.Errorf("%v, %+v", r.Findings, r)
	}
	if s := h.status(alice, new("lost")); s.LatestDeliveryError != nil || s.LatestDigestDeliveryError != nil {
		t.Errorf("status %+v", s)
	}
}

// TestABucketOnAFullDisk has the bucket's disk full when files and digests are due: the status says so until there is room, and then each event is in one file.
func TestABucketOnAFullDisk(t *testing.T) {
	h := open(t)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine"), EnableLogFileValidation: new(true)})
	h.happen(alice, "One")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "One")
	full := fmt.Errorf("buckets: %w", &fs.PathError{Op: "write", Path: "/srv/vigil/buckets/1", Err: syscall.ENOSPC})
	h.buckets.failing(func(string) (error, error) { return full, nil })
	h.clock.Advance(2 * time.Hour)
	h.until("a digest failed", func() bool {
		s := h.status(alice, new("mine"))
		return s.LatestDigestDeliveryError != nil && *s.LatestDigestDeliveryError == "InternalError: no space left on device"
	})
	h.buckets.failing(nil)
	h.clock.Advance(2 * time.Hour)
	h.until("digests go on", func() bool { return h.status(alice, new("mine")).LatestDigestDeliveryError == nil })

	h.buckets.failing(func(string) (error, error) { return full, nil })
	h.happen(alice, "Two")
	h.followed()
	h.clock.Advance(10 * time.Minute)
	h.until("a file failed", func() bool {
		s := h.status(alice, new("mine"))
		return s.LatestDeliveryError != nil && *s.LatestDeliveryError == "InternalError: no space left on device" && s.LatestDeliveryTime != nil
	})
	h.buckets.failing(nil)
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "One", "Two")

	// Digests that the bucket refuses hold up no files.
	h.buckets.failing(func(key string) (error, error) {
		if strings.Contains(key, "/CloudTrail-Digest/") {
			return full, nil
		}
		return nil, nil
	})
	h.clock.Advance(3 * time.Hour)
	h.happen(alice, "Three")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "One", "Two", "Three")
	h.buckets.failing(nil)
	h.until("the status is good", func() bool { return h.status(alice, new("mine")).LatestDeliveryError == nil })
	h.until("a digest of the last file", func() bool {
		h.clock.Advance(10 * time.Minute)
		return h.verify(alice, "mine").LogFiles == len(h.keys(alice, *alice.bucket(), "/CloudTrail/"))
	})
	if r := h.verify(alice, "mine"); !r.OK() || len(r.Chains) != 1 || len(r.Unlisted) > 0 {
		t.Errorf("%v, %+v", r.Findings, r)
	}
}

func TestATrailThatIsGivenAnotherBucket(t *testing.T) {
	h := open(t)
	h.bucket(alice, http.MethodPut, "away")
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine"), S3BucketName: new("away"), EnableLogFileValidation: new(true)})
	h.happen(alice, "One")
	h.hasFiles(alice, "away", "/CloudTrail/", "StartLogging", "One")
	h.buckets.failing(func(string) (error, error) { return &call.Error{Code: "AccessDenied", Status: 403}, nil })
	h.clock.Advance(3 * time.Hour)
	h.until("AccessDenied in the status", func() bool {
		s := h.status(alice, new("mine"))
		return s.LatestDigestDeliveryError != nil && *s.LatestDigestDeliveryError == "AccessDenied"
	})
	do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: new("mine"), S3BucketName: alice.bucket()})
	h.buckets.failing(nil)
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "UpdateTrail")
	h.clock.Advance(2 * time.Hour)
	h.until("digests in the new bucket", func() bool { return h.verify(alice, "mine").Digests >= 4 })
	if r := h.verify(alice, "mine"); !r.OK() || r.LogFiles < 1 {
		t.Errorf("%v, %+v", r.Findings, r)
	}
}

func TestNoticesOfFiles(t *testing.T) {
	h := open(t)
	h.topics.known["files"] = true
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine"), SnsTopicName: new("files")})
	got := do[cloudtrail.GetTrailOutput](h, alice, "GetTrail", &cloudtrail.GetTrailInput{Name: new("mine")}).Trail
	if *got.SnsTopicARN != "arn:aws:sns:us-east-1:111122223333:files" {
		t.Errorf("trail %+v", got)
	}
	h.happen(alice, "One")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "One")
	want := []string{}
	for _, key := range h.keys(alice, *alice.bucket(), "/CloudTrail/") {
		want = append(want, fmt.Sprintf(`files {"s3Bucket":"bucket-of-111122223333","s3ObjectKey":["%s"]}`, key))
	}
	h.until("a notice of each file", func() bool {
		h.topics.mu.Lock()
		defer h.topics.mu.Unlock()
		return slices.Equal(h.topics.sent, want)
	})
	if s := h.status(alice, new("mine")); s.LatestNotificationTime == nil || s.LatestNotificationError != nil {
		t.Errorf("status %+v", s)
	}
	h.topics.mu.Lock()
	delete(h.topics.known, "files")
	h.topics.mu.Unlock()
	h.happen(alice, "Two")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "One", "Two")
	h.until("the error in the status", func() bool {
		s := h.status(alice, new("mine"))
		return s.LatestNotificationError != nil && *s.LatestNotificationError == "NotFound"
	})
}

func TestValidationIsSwitched(t *testing.T) {
	h := open(t)
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine")})
	h.happen(alice, "Unwatched")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "Unwatched")
	before := len(h.keys(alice, *alice.bucket(), "/CloudTrail/"))
	on := do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: new("mine"), EnableLogFileValidation: new(true)})
	if !*on.LogFileValidationEnabled {
		t.Error("validation is not on")
	}
	h.happen(alice, "Watched")
	h.clock.Advance(90 * time.Minute)
	h.until("a digest", func() bool { return h.verify(alice, "mine").LogFiles > 0 })
	off := do[cloudtrail.UpdateTrailOutput](h, alice, "UpdateTrail", &cloudtrail.UpdateTrailInput{Name: new("mine"), EnableLogFileValidation: new(false)})
	if *off.LogFileValidationEnabled {
		t.Error("validation is on")
	}
	h.clock.Advance(3 * time.Hour)
	h.happen(alice, "Unwatched")
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "Unwatched", "UpdateTrail", "Watched", "UpdateTrail", "Unwatched")
	h.clock.Advance(3 * time.Hour)
	do[cloudtrail.DeleteTrailOutput](h, alice, "DeleteTrail", &cloudtrail.DeleteTrailInput{Name: new("mine")})
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "Unwatched", "UpdateTrail", "Watched", "UpdateTrail", "Unwatched", "DeleteTrail")
	do[cloudtrail.CreateTrailOutput](h, alice, "CreateTrail", &cloudtrail.CreateTrailInput{Name: new("mine"), S3BucketName: alice.bucket()})
	r := h.verify(alice, "mine")
	if files := len(h.keys(alice, *alice.bucket(), "/CloudTrail/")); !r.OK() || r.LogFiles >= files-before || len(r.Chains) != 1 || r.Digests != 2 {
		t.Errorf("%v, %+v; %d files, %d before", r.Findings, r, files, before)
	}
}

// TestTheJournalIsNeeded holds what retention may drop to what files are still to be made of.
func TestTheJournalIsNeeded(t *testing.T) {
	h := open(t)
	h.buckets.failing(func(string) (error, error) { return &call.Error{Code: "AccessDenied", Status: 403}, nil })
	h.start(alice, cloudtrail.CreateTrailInput{Name: new("mine")})
	h.happen(alice, "One")
	h.followed()
	first, ok, err := h.trail.Needs(t.Context())
	if err != nil || !ok || first >= h.journal.Sequenced() {
		t.Errorf("needs %d, %v, %v", first, ok, err)
	}
	h.buckets.failing(nil)
	h.hasFiles(alice, *alice.bucket(), "/CloudTrail/", "StartLogging", "One")
	h.until("nothing is needed", func() bool {
		_, ok, err := h.trail.Needs(t.Context())
		return err == nil && !ok
	})
}
