package keylife

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Answers to whether it is safe to delete a key.
const (
	Yes     = "yes"
	No      = "no"
	Unclear = "unclear"
	Gone    = "deleted" // it has been deleted already
)

// Assessment says whether it is safe to delete the key, as far as the records can say. Its answer is that of its weightiest reason.
type Assessment struct {
	Answer  string   `json:"answer"`
	Days    int      `json:"recentDays"` // what counts as recent
	Reasons []Reason `json:"reasons"`    // the weightiest first
}

// Reason is one reason for an answer.
type Reason struct {
	For  string `json:"for"` // Yes, No or Unclear
	Text string `json:"text"`
}

func (a *Assessment) add(answer, format string, args ...any) {
	a.Reasons = append(a.Reasons, Reason{answer, fmt.Sprintf(format, args...)})
}

// span is what counts as recent.
func (a *Assessment) span() string {
	if a.Days == 1 {
		return "day"
	}
	return times(int64(a.Days), "day")
}

// assess weighs what is on record.
func assess(l *Life, days int) Assessment {
	a := Assessment{Days: days, Reasons: []Reason{}}
	if l.Now.State == "Deleted" {
		a.Answer = Gone
		a.assessUse(l)
		a.assessAttempts(l)
		return a
	}
	if l.Now.Manager == "AWS" || l.Now.Manager == "" && slices.ContainsFunc(l.Now.UsedNames, func(name string) bool { return strings.HasPrefix(name, "alias/aws/") }) {
		a.add(No, "it is a key that AWS manages for a service, and only AWS can delete it")
	}
	a.assessAttempts(l)
	a.assessUse(l)
	a.assessTies(l)
	a.assessHistory(l)
	slices.SortStableFunc(a.Reasons, func(x, y Reason) int { return weight(x.For) - weight(y.For) })
	a.Answer = a.Reasons[0].For
	return a
}

func weight(answer string) int { return slices.Index([]string{No, Unclear, Yes}, answer) }

// assessAttempts looks for those who want to use the key and cannot.
func (a *Assessment) assessAttempts(l *Life) {
	var since, denied Tally
	var who, whoDenied, least string
	for _, r := range l.Failed {
		if isUse(r.Operation) && isState(r.Error) && !l.unusableSince.IsZero() && !r.Last.Before(l.unusableSince) {
			if since.Count == 0 || r.Last.After(since.Last) {
				who = by(r.Principal, r.InvokedBy)
			}
			if t := r.Tally; t.First.Before(l.unusableSince) { // some of them came before
				t.Count, least = 1, "at least "
				since.merge(t)
			} else {
				since.merge(t)
			}
		}
	}
	for _, r := range l.Denied {
		if isUse(r.Operation) && r.Recent > 0 {
			if denied.Count == 0 || r.Last.After(denied.Last) {
				whoDenied = by(r.Principal, r.InvokedBy)
			}
			denied.merge(Tally{r.Recent, r.Last, r.Last})
		}
	}
	if since.Count > 0 {
		a.add(No, "since it cannot be used (%s), somebody still tries to: %s%s, the last by %s at %s",
			stamp(l.unusableSince), least, times(since.Count, "failed use"), who, stamp(since.Last))
	}
	if denied.Count > 0 {
		a.add(Unclear, "somebody who may not use it tried to: %s in the last %s, the last by %s at %s",
			times(denied.Count, "denied use"), a.span(), whoDenied, stamp(denied.Last))
	}
}

// assessUse looks at what the key was used for.
func (a *Assessment) assessUse(l *Life) {
	made := map[string]*Tally{} // what the key has made that only it can undo, by what becomes of that
	var recent int64
	var who []string
	for _, u := range l.Uses {
		if u.Recent > 0 {
			recent += u.Recent
			who = append(who, by(u.Principal, u.InvokedBy))
		}
		for _, o := range u.Operations {
			if loss := lossOf(o.Name); loss != "" {
				if made[loss] == nil {
					made[loss] = new(Tally)
				}
				made[loss].merge(o.Tally)
			}
		}
	}
	if o := l.Others; o != nil && o.Last.After(l.Asked.AddDate(0, 0, -a.Days)) {
		recent++
		who = append(who, "others")
	}
	switch {
	case recent > 0:
		a.add(No, "it was used %s in the last %s, by %s; the last was %s at %s", times(recent, "time"), a.span(), some(who, 3),
			l.LastUse.Operation, stamp(l.LastUse.Time))
	case l.LastUse != nil:
		a.add(Unclear, "it was not used in the last %s, but before: the last was %s by %s at %s", a.span(), l.LastUse.Operation, l.LastUse.Principal,
			stamp(l.LastUse.Time))
	default:
		a.add(Yes, "no use of it is on record")
	}
	for _, loss := range losses {
		if t := made[loss.text]; t != nil {
			a.add(Unclear, "%s (%s, the last at %s)", loss.text, times(t.Count, "call"), stamp(t.Last))
		}
	}
	for _, look := range l.Looks {
		if look.Name == "GetPublicKey" {
			a.add(Unclear, "its public key was fetched %s: what was encrypted or verified with that is on nobody's record", times(look.Count, "time"))
		}
	}
}

// losses are what is lost with a key, by the operations that show that there is something to lose.
var losses = []struct {
	text       string
	operations []string
}{
	{"it has encrypted, and nothing else can decrypt that", []string{"Encrypt", reEncryptTo, reEncryptBoth,
		"GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"}},
	{"it has decrypted, so there are ciphertexts of it", []string{"Decrypt", reEncryptFrom, "Decapsulate"}},
	{"it has made MACs, and nothing else can verify them", []string{"GenerateMac", "VerifyMac"}},
	{"it has signed, and KMS can then verify that no more", []string{"Sign"}},
}

func lossOf(operation string) string {
	for _, l := range losses {
		if slices.Contains(l.operations, operation) {
			return l.text
		}
	}
	return ""
}

// assessTies looks at what refers to the key.
func (a *Assessment) assessTies(l *Life) {
	n := &l.Now
	if n.MultiRegion == "PRIMARY" && len(n.Regions) > 0 {
		a.add(No, "it is the primary key of replicas in %s, which have to be deleted first", joined(n.Regions))
	}
	if n.MultiRegion == "REPLICA" {
		a.add(Yes, "it is a replica: related keys with the same material are in %s", orUnknown(joined(n.Regions)))
	}
	if len(n.Aliases) > 0 {
		a.add(Unclear, "%s it still: applications may name it so", pointing(n.Aliases))
	}
	if len(n.Grants) > 0 || n.MoreGrants > 0 {
		var who []string
		for _, g := range n.Grants {
			if name := l.named(g.Grantee); name != "" && !slices.Contains(who, name) {
				who = append(who, name)
			}
		}
		a.add(Unclear, "%s on it, made and neither retired nor revoked: %s", areThere(int64(len(n.Grants))+n.MoreGrants, "grant"), orUnknown(some(who, 3)))
	}
	if n.State == "PendingDeletion" || n.State == "PendingReplicaDeletion" {
		a.add(Yes, "its deletion is scheduled%s", map[bool]string{true: " for " + n.DeletionDate}[n.DeletionDate != ""])
	}
}

// assessHistory says how far the records can be relied on.
func (a *Assessment) assessHistory(l *Life) {
	r := &l.Records
	if l.Now.Created == nil {
		a.add(Unclear, "its creation is not on record, and it may have been used before its records begin, at %s", stamp(*orNow(r.First, l.Asked)))
	} else {
		a.add(Yes, "it is on record from its creation at %s on", stamp(*l.Now.Created))
	}
	if r.Imported > 0 {
		a.add(Unclear, "%s imported: what is not in the files that were imported is not known", ofThem(r.Imported, r.Count))
	}
	if r.Unreadable > 0 {
		a.add(Unclear, "%s cannot be read", times(r.Unreadable, "record"))
	}
}

func orNow(at *time.Time, now time.Time) *time.Time {
	if at == nil {
		return &now
	}
	return at
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// times is a number and what is counted.
func times(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

func areThere(n int64, what string) string {
	if n == 1 {
		return "there is 1 " + what
	}
	return "there are " + times(n, what)
}

func ofThem(n, all int64) string {
	if n == all {
		return "all its records were"
	}
	return grouped(n) + " of its " + times(all, "record") + " were"
}

func pointing(aliases []string) string {
	if len(aliases) == 1 {
		return aliases[0] + " points to"
	}
	return some(aliases, 3) + " point to"
}

// some is a list of at most n, and how many there are besides.
func some(list []string, n int) string {
	if len(list) <= n {
		return joined(list)
	}
	return fmt.Sprintf("%s and %d more", joined(list[:n]), len(list)-n)
}

func orUnknown(s string) string {
	if s == "" {
		return "whose is not on record"
	}
	return s
}

// grouped is a number with commas between thousands.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
