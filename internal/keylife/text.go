package keylife

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// width is how many columns a line of text has at most.
const width = 100

// How much of what is counted is written for people; the JSON form has more.
const (
	toldContexts = 5
	toldCallers  = 50
	toldRefusals = 25
	toldGrants   = 20
)

// WriteText writes the life for people who read it at a terminal: lines of at most 100 columns, times in UTC. What a caller has chosen, such as an
// encryption context, is written so that it cannot move the cursor or pass for another line.
func (l *Life) WriteText(w io.Writer) error {
	p := &page{}
	p.head(l)
	p.changes(l)
	p.uses(l)
	p.refusals("Denied", "nobody was denied", l.Denied)
	p.refusals("Failed", "no other call failed", l.Failed)
	if l.Refused != nil {
		p.put("  ", "and "+times(l.Refused.Count, "call")+" of others in vain, the last at "+stamp(l.Refused.Last))
	}
	p.assessment(l)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// page is text while it is written.
type page struct{ b strings.Builder }

// put writes a text behind an indent. What does not fit goes on in more lines, indented by two more columns.
func (p *page) put(indent, text string) { p.putHanging(indent, indent+"  ", text) }

func (p *page) putHanging(first, rest, text string) {
	text = printable(text)
	room := width - utf8.RuneCountInString(first)
	for indent := first; ; indent, room = rest, width-utf8.RuneCountInString(rest) {
		line, more := cut(text, room)
		p.b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
		if more == "" {
			return
		}
		text = more
	}
}

// cut cuts a text where a line of at most n characters ends: at its last blank, unless the word behind that would not fit in a line either.
func cut(text string, n int) (line, more string) {
	if utf8.RuneCountInString(text) <= n {
		return text, ""
	}
	end := 0
	for range n {
		_, size := utf8.DecodeRuneInString(text[end:])
		end += size
	}
	if blank := strings.LastIndexByte(text[:end+1], ' '); blank > 0 {
		word, _, _ := strings.Cut(text[blank+1:], " ")
		if blank > end/2 || utf8.RuneCountInString(word) <= n {
			return text[:blank], text[blank+1:]
		}
	}
	return text[:end], text[end:]
}

func (p *page) heading(text string) { p.b.WriteString("\n" + text + "\n") }

// fact writes a line of the head.
func (p *page) fact(label, text string) {
	if text != "" {
		p.putHanging(fmt.Sprintf("%-12s", label), strings.Repeat(" ", 12), text)
	}
}

func (p *page) head(l *Life) {
	n := &l.Now
	p.fact("Key", l.Key)
	is := slices.DeleteFunc([]string{n.Spec, n.Usage, n.Origin}, func(s string) bool { return s == "" })
	if n.Manager == "AWS" {
		is = append(is, "managed by AWS")
	}
	p.fact("Is", joined(is))
	state := n.State
	if n.DeletionDate != "" {
		state += ", to be deleted " + n.DeletionDate
	}
	p.fact("State", cmp.Or(state, "not on record"))
	p.fact("Description", n.Description)
	if n.Created != nil {
		p.fact("Created", stamp(*n.Created)+" by "+n.CreatedBy)
	} else {
		p.fact("Created", "not on record")
	}
	if n.MultiRegion != "" {
		text := "the primary key"
		if n.MultiRegion == "REPLICA" {
			text = "a replica of the key in " + cmp.Or(n.Primary, "another Region")
		}
		if others := slices.DeleteFunc(slices.Clone(n.Regions), func(r string) bool { return n.MultiRegion == "REPLICA" && r == n.Primary }); len(others) > 0 {
			text += "; related keys in " + joined(others)
		}
		p.fact("Regions", text)
		for _, r := range l.Related {
			p.fact("", r.text())
		}
	}
	p.fact("Key store", n.KeyStore)
	p.fact("Aliases", joined(n.Aliases))
	if named := slices.DeleteFunc(slices.Clone(n.UsedNames), func(s string) bool { return slices.Contains(n.Aliases, s) }); len(named) > 0 {
		p.fact("Also called", some(named, 8))
	}
	p.fact("Rotation", n.Rotation)
	for _, name := range slices.Sorted(maps.Keys(n.Tags)) {
		p.fact("Tag", name+" = "+n.Tags[name])
	}
	for i, g := range n.Grants {
		if i == toldGrants {
			p.fact("", times(int64(len(n.Grants)-i)+n.MoreGrants, "more grant"))
			break
		}
		text := cmp.Or(l.named(g.Grantee), "somebody") + " may " + cmp.Or(joined(g.Operations), "do what is not on record")
		if g.Constraints != "" {
			text += ", with " + g.Constraints
		}
		p.fact("Grant", text)
	}
	if u := l.LastUse; u != nil {
		p.fact("Last used", stamp(u.Time)+" by "+u.Principal+": "+u.Operation)
	} else {
		p.fact("Last used", "no use is on record")
	}
	p.records(&l.Records)
}

func (p *page) records(r *Coverage) {
	text := "none"
	if r.First != nil {
		text = fmt.Sprintf("%s, %s to %s", grouped(r.Count), stamp(*r.First), stamp(*r.Last))
	}
	switch {
	case r.Imported > 0 && r.Imported == r.Count:
		text += "; all imported"
	case r.Imported > 0:
		text += fmt.Sprintf("; %s imported", grouped(r.Imported))
	}
	p.fact("Records", text)
	if r.HistorySince != nil {
		p.fact("", "of a history that begins "+stamp(*r.HistorySince))
	}
}

func (p *page) changes(l *Life) {
	p.heading("What became of it")
	if l.ChangesLeftOut > 0 {
		p.put("  ", "("+times(l.ChangesLeftOut, "older change")+" left out)")
	}
	if len(l.Changes) == 0 {
		p.put("  ", "no change is on record")
	}
	const inner = "      "
	for _, c := range l.Changes {
		p.putHanging("  "+stamp(c.Time)+"  ", "                        ", c.What+"  by "+l.whence(c))
		for _, d := range c.Details {
			p.put(inner, d)
		}
		if c.Policy != nil {
			p.policy(inner, c.Policy)
		}
	}
}

// whence is who made a change, and from where; and whether its record was imported, unless all were.
func (l *Life) whence(c Change) string {
	text := c.By
	if c.From != "" {
		text += ", from " + c.From
	}
	if c.Imported && l.Records.Imported < l.Records.Count {
		text += " (imported)"
	}
	return text
}

func (p *page) policy(indent string, d *PolicyDiff) {
	switch {
	case d.Default:
		p.put(indent, "policy: none was given, so it is the default policy, by which the IAM policies of its account decide")
		return
	case d.NotOnRecord:
		p.put(indent, "policy: its text is not on record")
		return
	case d.Unreadable:
		p.put(indent, "policy: what is on record of it cannot be read as a policy")
		return
	case d.First:
		p.put(indent, "policy (the one before is not on record):")
	case len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.Other) == 0:
		p.put(indent, "policy: it says what the one before said")
		return
	default:
		p.put(indent, "policy: "+summary(d))
	}
	for _, o := range d.Other {
		p.put(indent+"~ ", o)
	}
	for _, raw := range d.Removed {
		p.statement(indent, "- ", rawLines(raw))
	}
	for _, raw := range d.Added {
		p.statement(indent, "+ ", rawLines(raw))
	}
	for _, c := range d.Changed {
		p.statement(indent, "~ ", rawLines(c.Before)[:1])
		for _, line := range c.Lines {
			p.put(indent+"    ", line)
		}
	}
}

func (p *page) statement(indent, sign string, lines []string) {
	for i, line := range lines {
		if i > 0 {
			sign = "  "
		}
		p.putHanging(indent+sign, indent+"    ", line)
	}
}

func summary(d *PolicyDiff) string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{{len(d.Added), "added"}, {len(d.Removed), "removed"}, {len(d.Changed), "changed"}, {d.Same, "unchanged"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return "statements: " + joined(parts)
}

func (p *page) uses(l *Life) {
	p.heading("Who used it")
	if len(l.Uses) == 0 {
		p.put("  ", "nobody, as far as is on record")
	}
	for i, u := range l.Uses {
		if i == toldCallers {
			p.put("  ", fmt.Sprintf("and %d more", len(l.Uses)-i))
			break
		}
		p.put("  ", u.who()+": "+counted(u.Tally, "time"))
		for _, o := range u.Operations {
			p.count("    ", o)
		}
		if len(u.Contexts) > 0 {
			p.put("    ", "with encryption contexts"+map[bool]string{true: " (at least so often)"}[u.AtLeast]+":")
		}
		uses, others := u.MoreUses, u.MoreContexts
		for i, c := range u.Contexts {
			if i < toldContexts {
				p.count("      ", c)
				continue
			}
			uses += c.Count
			others++
		}
		if others > 0 {
			p.count("      ", Counted{times(others, "other context"), Tally{Count: uses}})
		}
	}
	if l.Others != nil {
		p.put("  ", "others: "+counted(*l.Others, "time"))
	}
	var looks []string
	for _, c := range l.Looks {
		looks = append(looks, fmt.Sprintf("%s %s", c.Name, grouped(c.Count)))
	}
	if len(looks) > 0 {
		p.put("  ", "(only looked at: "+joined(looks)+")")
	}
}

// count writes how often a thing was, first and last.
func (p *page) count(indent string, c Counted) {
	number := fmt.Sprintf("%s%10s  ", indent, grouped(c.Count))
	p.putHanging(number, strings.Repeat(" ", len(number)), c.Name)
}

func counted(t Tally, what string) string {
	if t.First.Equal(t.Last) {
		return times(t.Count, what) + ", at " + stamp(t.First)
	}
	return fmt.Sprintf("%s, %s to %s", times(t.Count, what), stamp(t.First), stamp(t.Last))
}

func (p *page) refusals(title, none string, list []Refusal) {
	p.heading(title)
	if len(list) == 0 {
		p.put("  ", none)
	}
	for i, r := range list {
		if i == toldRefusals {
			p.put("  ", fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		p.put("  ", fmt.Sprintf("%s: %s, %s", by(r.Principal, r.InvokedBy), r.Operation, counted(r.Tally, "time")))
		p.put("    ", strings.TrimSuffix(r.Error+": "+r.Message, ": "))
	}
}

func (p *page) assessment(l *Life) {
	p.heading("Safe to delete? " + answerText(l))
	for _, r := range l.Deletion.Reasons {
		p.putHanging(fmt.Sprintf("  %-9s", r.For), strings.Repeat(" ", 11), r.Text)
	}
}

func answerText(l *Life) string {
	switch l.Deletion.Answer {
	case Gone:
		return "It is deleted."
	case Yes:
		return "Yes, as far as is on record."
	case No:
		return "No."
	}
	return "Unclear."
}

// printable spells out what would move a terminal's cursor or begin another line, and what looks like it is not there.
func printable(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	plain := true
	for _, r := range text {
		plain = plain && unicode.IsPrint(r)
	}
	if plain {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
