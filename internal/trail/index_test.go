package trail

import (
	"context"
	"encoding/base64"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"

	"vigil/internal/store"
)

// TestTermsNeverChange holds the numbers that databases have been written with.
func TestTermsNeverChange(t *testing.T) {
	for _, test := range []struct {
		kind  kind
		value string
		want  int64
	}{
		{everything, "", -7635967704447445928},
		{eventName, "Encrypt", -5260828910875812656},
		{readOnly, "true", -2116843008401716095},
		{username, "root", 2717431876983405099},
		{resourceType, "AWS::KMS::Key", 2347710428271946459},
		{resourceName, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", 1085661190795917284},
		{eventSource, "kms.amazonaws.com", -5980589913739138674},
		{accessKeyID, "AKIAIOSFODNN7EXAMPLE", -7940905932700484092},
		{eventID, "293ba626-3be5-4a26-ab1b-0f4c54f49959", -2126776105377896918},
		{namedKey, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", -8614436849261299185},
	} {
		if got := termOf(home, test.kind, test.value); got != test.want {
			t.Errorf("%s %q is %d, want %d", kindNames[test.kind], test.value, got, test.want)
		}
	}
}

// TestPostings adds runs to a term little by little and reads them back from every place.
func TestPostings(t *testing.T) {
	db := openDB(t, "history.db")
	newTrail(t, openJournal(t), db, 1) // makes the tables
	r := rand.New(rand.NewPCG(1, 1))
	var all []int64
	next := int64(5)
	for range 40 {
		var runs []run
		for range 1 + r.IntN(120) {
			next += pickGap(r)
			last := next
			if r.IntN(3) == 0 {
				last += int64(r.IntN(300))
			}
			runs = append(runs, run{next, last})
			for ; next <= last; next++ {
				all = append(all, next)
			}
		}
		err := db.Update(context.Background(), func(tx store.Tx) error {
			if err := appendPosting(tx, -7, runs); err != nil {
				return err
			}
			return appendPosting(tx, 7, []run{{next, next}}) // another term, which must not be seen
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := db.View(context.Background(), func(tx store.Tx) error {
		records := &termRecords{tx: tx, term: -7, end: next}
		for i := len(all) - 1; i >= 0; i-- {
			got, err := records.upTo(all[i] + int64(r.IntN(2))*gapAfter(all, i))
			if err != nil || got != all[i] {
				t.Fatalf("before record %d is %d, %v", all[i], got, err)
			}
		}
		got, err := records.upTo(all[0] - 1)
		if err != nil || got != -1 {
			t.Errorf("before the first record is %d, %v", got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(context.Background(), func(tx store.Tx) error { return appendPosting(tx, -7, []run{{all[len(all)-1], next}}) })
	if err == nil {
		t.Error("a record was added twice")
	}
}

func pickGap(r *rand.Rand) int64 { return []int64{0, 1, 2, 50, 1000, 1 << 40}[r.IntN(6)] }

// gapAfter is how many indexes without a record follow the i-th record.
func gapAfter(all []int64, i int) int64 {
	if i == len(all)-1 {
		return 0
	}
	return all[i+1] - all[i] - 1
}

func FuzzRuns(f *testing.F) {
	f.Add(int64(0), int64(0), []byte{0})
	f.Add(int64(100), int64(120), []byte{1, 3, 30})
	f.Add(int64(1), int64(1<<62), []byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, first, last int64, data []byte) {
		if first < 0 || last < first {
			return
		}
		runs, err := decodeRuns(first, last, data)
		if err != nil {
			return
		}
		var again []byte
		at := first - 1
		for _, r := range runs {
			if r.first <= at || r.last < r.first || r.last > last {
				t.Fatalf("run %v behind %d, up to %d", r, at, last)
			}
			again = appendRun(again, at, r)
			at = r.last
		}
		if runs[0].first != first || at != last {
			t.Fatalf("runs are from %d to %d, want %d to %d", runs[0].first, at, first, last)
		}
		if back, err := decodeRuns(first, last, again); err != nil || !slices.Equal(back, runs) {
			t.Fatalf("%v becomes %v, %v", runs, back, err)
		}
	})
}

func FuzzTimes(f *testing.F) {
	f.Add(int64(0), 1, []byte{0})
	f.Add(int64(1e12), 5, appendTimes(nil, 1e12, []int64{1e12, 1e12 + 5, 1e12 + 5, 1e12 - 3, 1e13}))
	f.Add(int64(0), 2048, []byte{1, 0xfe, 0x0f})
	f.Fuzz(func(t *testing.T, base int64, count int, data []byte) {
		times, err := decodeTimes(base, count, data)
		if err != nil {
			return
		}
		if len(times) != count {
			t.Fatalf("%d times, want %d", len(times), count)
		}
		for _, at := range times {
			if at > 1<<61 || at < -1<<61 || base > 1<<61 || base < -1<<61 { // such differences have no room
				return
			}
		}
		if back, err := decodeTimes(base, count, appendTimes(nil, base, times)); err != nil || !slices.Equal(back, times) {
			t.Fatalf("%v becomes %v, %v", times, back, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	c, in := caller(home), &cloudtrail.LookupEventsInput{StartTime: aws.Time(time.Unix(1, 0))}
	f.Add(*writeToken(c, in, position{hit{1, 2}, 3}))
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 40)))
	f.Fuzz(func(t *testing.T, token string) {
		in := *in
		in.NextToken = &token
		if p, ok := readToken(c, &in); ok && *writeToken(c, &in, p) != token {
			t.Errorf("%q is taken for %q", token, *writeToken(c, &in, p))
		}
	})
}
