package pattern

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A caseFile in testdata is lines of the form
//
//	pattern {"source": ["aws.kms"]}
//	match   {"source": "aws.kms"}
//	no      {"source": "aws.ec2"}
//	refused 1:2 Filter is not an object
//
// where match and no give events for the pattern before them, and refused is why that pattern is refused and the place
// that EventBridge gives with it (- for none, "twice 1:2" for one that is given two times). A line that begins with
// white space goes on with the line before it; # begins a comment.
type statement struct {
	where, verb, text string
}

func readCases(t testing.TB, file string) []statement {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []statement
	for n, line := range strings.Split(string(data), "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t"):
			last := &all[len(all)-1]
			last.text += "\n" + line
		default:
			verb, text, _ := strings.Cut(line, " ")
			all = append(all, statement{fmt.Sprintf("%s:%d", filepath.Base(file), n+1), verb, strings.TrimLeft(text, " ")})
		}
	}
	return all
}

func caseFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases in testdata", err)
	}
	return files
}

func TestCases(t *testing.T) {
	for _, file := range caseFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			var text string
			var p *Pattern
			var refused error
			for _, s := range readCases(t, file) {
				if s.verb != "refused" && refused != nil {
					t.Errorf("%s: the pattern before is refused: %v", s.where, refused)
					refused = nil
				}
				switch s.verb {
				case "pattern":
					text = s.text
					p, refused = Parse(text)
				case "match", "no":
					if p != nil {
						checkMatch(t, s, text, p)
					}
				case "refused":
					checkRefusal(t, s, refused)
					refused = nil
				default:
					t.Fatalf("%s: unknown word %q", s.where, s.verb)
				}
			}
			if refused != nil {
				t.Errorf("%s: the last pattern is refused: %v", file, refused)
			}
		})
	}
}

// checkMatch asks the pattern, a set of it alone, and the plain reading of it in plain_test.go.
func checkMatch(t *testing.T, s statement, text string, p *Pattern) {
	t.Helper()
	want := s.verb == "match"
	event := []byte(s.text)
	got, err := p.Match(event)
	if err != nil {
		t.Errorf("%s: %v", s.where, err)
	}
	if got != want {
		t.Errorf("%s: pattern %s: got match %v", s.where, text, got)
	}
	set := NewSet[string]()
	set.Add("rule", p)
	names, err := set.Matches(event, nil)
	if err != nil {
		t.Errorf("%s: %v", s.where, err)
	}
	if (len(names) == 1) != want {
		t.Errorf("%s: pattern %s: a set of it gives %v", s.where, text, names)
	}
	if plain := plainMatch(text, s.text); plain != want {
		t.Errorf("%s: pattern %s: read plainly it gives %v", s.where, text, plain)
	}
}

func checkRefusal(t *testing.T, s statement, err error) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) {
		t.Errorf("%s: the pattern is taken", s.where)
		return
	}
	place := "-"
	if refusal.Line > 0 {
		place = fmt.Sprintf("%d:%d", refusal.Line, refusal.Column)
	}
	if refusal.twice {
		place = "twice " + place
	}
	if got := place + " " + refusal.Reason; got != s.text {
		t.Errorf("%s:\n got  %s\n want %s", s.where, got, s.text)
	}
}
