package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"vigil/internal/clock"
)

func openFiles(t testing.TB, dir string) *Files {
	f, err := OpenFiles(dir, clock.Wall{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func settled(_, _ *Info) error { return nil }

func put(t testing.TB, s Store, key, contents string) {
	t.Helper()
	if _, err := s.Put(t.Context(), "bucket", Info{Key: key}, strings.NewReader(contents), settled); err != nil {
		t.Fatalf("%q: %v", key, err)
	}
}

func contents(t testing.TB, s Store, key string) string {
	t.Helper()
	o, err := s.Get(t.Context(), "bucket", key)
	if err == ErrNotFound {
		return "not found"
	} else if err != nil {
		t.Fatalf("%q: %v", key, err)
	}
	defer o.Close()
	text, err := io.ReadAll(o)
	if err != nil || int64(len(text)) != o.Size {
		t.Fatalf("%q: %d bytes of %d: %v", key, len(text), o.Size, err)
	}
	return string(text)
}

// oddKeys are keys that a file system would take for something else, or not at all.
var oddKeys = []string{"a", "a/b", "a/b/c", "A", "a/", "a//", "a//b", "/", "//", "/a", ".", "..", "../../../etc/passwd", "a/../b", ".tmp", "a%2Fb", "a%",
	"a%meta", "a%1", "%", "%+", "\x00", "\n", "ünï", "a b", "a-b", "a.b", strings.Repeat("x", 1024), strings.Repeat("\xc3\xbc", 512), strings.Repeat("/", 1024),
	strings.Repeat("y", 197), strings.Repeat("y", 198), strings.Repeat("y", 197) + "/z", strings.Repeat("y", 198) + "-", strings.Repeat("y", 198) + "/z", "con", "a:b", "a\\b"}

// Each key is its own object in whatever order they come and go, and nothing is outside the bucket's folder.
func TestEachKeyIsItsOwnObject(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buckets")
	f := openFiles(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	for round := range 5 {
		for _, i := range random.Perm(len(oddKeys)) {
			key := oddKeys[i]
			if random.IntN(3) == 0 {
				if err := f.Delete(t.Context(), "bucket", key); err != nil {
					t.Fatal(err)
				}
				delete(want, key)
				continue
			}
			want[key] = fmt.Sprint(key, round)
			put(t, f, key, want[key])
		}
		f = openFiles(t, dir) // and a restart changes nothing
		for _, key := range oddKeys {
			expected, ok := want[key]
			if !ok {
				expected = "not found"
			}
			if got := contents(t, f, key); got != expected {
				t.Errorf("%.40q is %.40q, want %.40q", key, got, expected)
			}
		}
		checkLists(t, f, want)
	}
	outside, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(outside) != 1 {
		t.Errorf("outside the buckets are %v, %v", outside, err)
	}
}

// checkLists compares listings of all kinds with what they have to be.
func checkLists(t *testing.T, f *Files, want map[string]string) {
	t.Helper()
	for _, q := range []Query{{}, {Prefix: "a"}, {Prefix: "a/"}, {Prefix: "y"}, {Prefix: strings.Repeat("y", 198)}, {Delimiter: "/"}, {Prefix: "a/", Delimiter: "/"},
		{Delimiter: "b"}, {Prefix: "y", Delimiter: "yz"}, {Delimiter: "y-"}, {After: "a/b"}, {After: "a/", Delimiter: "/"}, {Prefix: "..", Delimiter: "/"}} {
		var expected []string
		for _, key := range slices.Sorted(func(yield func(string) bool) {
			for key := range want {
				if !yield(key) {
					return
				}
			}
		}) {
			if !strings.HasPrefix(key, q.Prefix) || key <= q.After {
				continue
			}
			if prefix, rolled := q.rolled(key); rolled {
				key = prefix
			}
			if key != q.After && (len(expected) == 0 || expected[len(expected)-1] != key) {
				expected = append(expected, key)
			}
		}
		for _, most := range []int{1, 3, 1000} {
			var got []string
			for page := (Page{More: true, Last: q.After}); page.More; {
				next, err := f.List(t.Context(), "bucket", Query{q.Prefix, q.Delimiter, page.Last, most})
				if err != nil {
					t.Fatal(err)
				}
				page = next
				for _, o := range page.Objects {
					got = append(got, o.Key)
				}
				got = append(got, page.Prefixes...)
			}
			slices.Sort(got)
			if !slices.Equal(got, expected) {
				t.Errorf("%+v by %d: %.300q, want %.300q", q, most, got, expected)
			}
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, key := range oddKeys {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if !validKey(key) {
			return
		}
		for _, name := range pathOf(key) {
			if len(name) > 255 || name == "" || name[0] == '.' || strings.ContainsAny(name, "/\x00") {
				t.Fatalf("%q has the name %q", key, name)
			}
		}
		if got, ok := KeyAt(PathOf(key)); !ok || got != key {
			t.Errorf("%q reads as %q, %v", key, got, ok)
		}
	})
}

// What fails while it comes in, or is refused, leaves what was there.
func TestAFailedPutChangesNothing(t *testing.T) {
	dir := t.TempDir()
	f := openFiles(t, dir)
	put(t, f, "key", "old")
	broken := errors.New("broken")
	for name, try := range map[string]func() error{
		"the body": func() error {
			_, err := f.Put(t.Context(), "bucket", Info{Key: "key"}, io.MultiReader(strings.NewReader("new"), failing{broken}), settled)
			return err
		},
		"settle": func() error {
			_, err := f.Put(t.Context(), "bucket", Info{Key: "key"}, strings.NewReader("new"), func(next, present *Info) error {
				if next.Size != 3 || present.Size != 3 || next.ETag == present.ETag {
					t.Errorf("asked of %+v in place of %+v", next, present)
				}
				return broken
			})
			return err
		},
	} {
		if err := try(); !errors.Is(err, broken) || contents(t, f, "key") != "old" {
			t.Errorf("%s: %v, and then it is %q", name, err, contents(t, f, "key"))
		}
	}
	if left, _ := os.ReadDir(filepath.Join(dir, temporary)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestKilled has a process put objects until it is killed. Each is whole, old or new, and those that were answered are there.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("VIGIL_TEST_PUT"); dir != "" {
		f := openFiles(t, dir)
		for n := 0; ; n++ {
			key := fmt.Sprintf("folder/%d", n%7)
			put(t, f, key, strings.Repeat(fmt.Sprintf("%d of %s\n", n, key), 1+n%5000))
			fmt.Println("put", n)
		}
	}
	dir := t.TempDir()
	for range 5 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), "VIGIL_TEST_PUT="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		last, until := -1, 1+rand.IntN(40)
		for {
			if _, err := fmt.Fscanf(out, "put %d\n", &last); err != nil {
				break
			}
			if last == until {
				child.Process.Kill() // in the midst of what comes next
			}
		}
		child.Wait()
		f := openFiles(t, dir)
		for key := range 7 {
			text := contents(t, f, fmt.Sprintf("folder/%d", key))
			var n int
			if _, err := fmt.Sscanf(text, "%d of", &n); err != nil && text != "not found" {
				t.Fatalf("object %d is %.40q", key, text)
			}
			if text == "not found" {
				n = -1
			} else if whole := strings.Repeat(fmt.Sprintf("%d of folder/%d\n", n, key), 1+n%5000); text != whole {
				t.Errorf("object %d of %d is half: %d bytes of %d", key, n, len(text), len(whole))
			}
			if answered := last - (last-key+7)%7; last >= key && n < answered {
				t.Errorf("object %d was put by %d, and is of %d", key, answered, n)
			}
		}
		os.RemoveAll(filepath.Join(dir, "bucket"))
	}
}

func TestPartsBecomeAnObject(t *testing.T) {
	f, ctx := openFiles(t, t.TempDir()), context.Background()
	id, err := f.CreateUpload(ctx, "bucket", Info{Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		n    int
		text string
	}{{2, "old"}, {3, "three"}, {1, "one"}, {2, "two"}} {
		if _, err := f.PutPart(ctx, "bucket", id, p.n, strings.NewReader(p.text), func(*Part) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := f.Parts(ctx, "bucket", id)
	if err != nil || len(parts) != 3 {
		t.Fatalf("%v, %v", parts, err)
	}
	if _, err := f.Complete(ctx, "bucket", id, Info{Key: "key"}, parts, io.Discard, settled); err != nil || contents(t, f, "key") != "onetwothree" {
		t.Errorf("%q, %v", contents(t, f, "key"), err)
	}
	for _, id := range []string{id, "../../x", "", strings.Repeat("0", 32)} {
		if _, err := f.Upload(ctx, "bucket", id); err != ErrNotFound {
			t.Errorf("the upload %q: %v", id, err)
		}
	}
}

// An upload may have more parts than a process may have files open.
func TestMorePartsThanOpenFiles(t *testing.T) {
	const open, count = 64, 150
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	f, ctx := openFiles(t, t.TempDir()), t.Context()
	id, err := f.CreateUpload(ctx, "bucket", Info{Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for n := range count {
		text := fmt.Sprintf("%d;", n)
		want += text
		if _, err := f.PutPart(ctx, "bucket", id, n+1, strings.NewReader(text), func(*Part) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	parts, err := f.Parts(ctx, "bucket", id)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: open, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	_, err = f.Complete(ctx, "bucket", id, Info{Key: "key"}, parts, io.Discard, settled)
	if restored := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); restored != nil {
		t.Fatal(restored)
	}
	if err != nil || contents(t, f, "key") != want {
		t.Errorf("%q, %v", contents(t, f, "key"), err)
	}
}

// An object that is replaced while others are listed is in the list once, on a file system too whose folders change their order by that.
func TestListsWhileObjectsAreReplaced(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "vigil")
	if err != nil {
		t.Skipf("there is no file system in memory: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const count = 800
	f := openFiles(t, dir)
	for n := range count {
		put(t, f, fmt.Sprintf("key-%03d", n), "old")
	}
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ; n += 7 {
			select {
			case <-done:
				return
			default:
			}
			if _, err := f.Put(context.Background(), "bucket", Info{Key: fmt.Sprintf("key-%03d", n%count)}, strings.NewReader("new"), settled); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 30 {
		page, err := f.List(t.Context(), "bucket", Query{Max: 2 * count})
		if err != nil {
			t.Fatal(err)
		}
		keys := make([]string, len(page.Objects))
		for i, info := range page.Objects {
			keys[i] = info.Key
		}
		if len(keys) != count || len(slices.Compact(keys)) != count {
			t.Errorf("of %d objects %d are listed, %d of them different", count, len(page.Objects), len(slices.Compact(keys)))
			break
		}
	}
	close(done)
	writer.Wait()
}

// TestAFullDisk has the system refuse to write on, midway through an object: the one that was there stays, nothing is left over, and once there is room it is put.
func TestAFullDisk(t *testing.T) {
	const room = 1 << 20
	if dir := os.Getenv("VIGIL_TEST_FULL"); dir != "" { // a process of its own, which may write no file longer than there is room
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: 4 * room}); err != nil {
			t.Fatal(err)
		}
		f := openFiles(t, dir)
		large := strings.Repeat("new", room)
		_, err := f.Put(t.Context(), "bucket", Info{Key: "key"}, strings.NewReader(large), settled)
		if !errors.Is(err, syscall.EFBIG) || contents(t, f, "key") != "old" {
			t.Errorf("%v, and then it is %.10q", err, contents(t, f, "key"))
		}
		if left, _ := os.ReadDir(filepath.Join(dir, temporary)); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4 * room, Max: 4 * room}); err != nil {
			t.Fatal(err)
		}
		put(t, f, "key", large)
		return
	}
	dir := t.TempDir()
	f := openFiles(t, dir)
	put(t, f, "key", "old")
	child := exec.Command(os.Args[0], "-test.run=^TestAFullDisk$")
	child.Env = append(os.Environ(), "VIGIL_TEST_FULL="+dir)
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := contents(t, f, "key"); len(got) != 3*room {
		t.Errorf("at the end it is %.10q", got)
	}
}
