package trail

import (
	"context"
	"errors"
	"time"

	"vigil"
	"vigil/internal/call"
	"vigil/internal/journal"
	"vigil/internal/store"
)

// trailsFollower names the trails' cursor in the journal, which is in the watch database.
const trailsFollower = "trails"

// maxDelivered is how many bytes a record has at most that is delivered to a log group.
const maxDelivered = 256 << 10

// LogEvent is a record on its way into a log group.
type LogEvent struct {
	Time    time.Time // to the millisecond
	Message []byte    // valid during the call of PutLogs only
}

// RunTrails delivers records to the log groups of trails until ctx is done, and notes which file each is to be in: each event once to each trail
// that was logging in its account and region and took such events when it happened, or when it was imported, in the stream ACCOUNT_CloudTrail_REGION of
// the trail's group. What is imported is in no file: AWS's own files have it. Records
// of more than 256 KB go to files only, as do those that the group refuses, which GetTrailStatus tells. It is called once, and
// only when the trails are configured.
func (t *Trail) RunTrails(ctx context.Context) error {
	if t.main == nil {
		return errors.New("trails: there is no main database")
	}
	var r vigil.OutlineReader
	return t.journal.Follow(ctx, journal.Follower{Name: trailsFollower, DB: t.watch, Apply: func(tx store.Tx, entries []journal.Entry) error {
		return t.deliver(tx, &r, entries)
	}, Idle: func() bool { return len(t.delivering()) == 0 }})
}

// parcel is what a trail gets of the events of a region in one transaction.
type parcel struct {
	trail  *aTrail
	region string
	folder string     // vigil.LogFolder or vigil.InsightFolder
	events []LogEvent // for its group
	files  []filed    // for its bucket
}

// deliver gives each trail's group its share of entries, and each trail's files. All that it leaves behind is in the transaction.
func (t *Trail) deliver(tx store.Tx, r *vigil.OutlineReader, entries []journal.Entry) error {
	for _, p := range t.parcels(r, entries) {
		if err := t.send(tx, p); err != nil {
			return err
		}
		if err := t.file(tx, p); err != nil {
			return err
		}
	}
	return nil
}

// send puts a parcel into its group, or notes why the group does not take it.
func (t *Trail) send(tx store.Tx, p *parcel) error {
	if len(p.events) == 0 {
		return nil
	}
	stream := p.trail.account + "_" + p.folder + "_" + p.region
	err := tx.Savepoint(func(tx store.Tx) error {
		return t.putLogs(tx, p.trail.account, p.trail.home, p.trail.group(), stream, p.events)
	})
	var refused *call.Error
	if errors.As(err, &refused) && refused.Status < 500 {
		return delivery{failure: refused.Error()}.note(tx, p.trail.id, p.region)
	}
	if err != nil {
		return err // of the database, and so of all trails
	}
	return delivery{at: t.clock.Now().UnixMilli()}.note(tx, p.trail.id, p.region)
}

// parcels sorts entries into what trails get of them.
func (t *Trail) parcels(r *vigil.OutlineReader, entries []journal.Entry) (all []*parcel) {
	trails := t.delivering()
	if len(trails) == 0 {
		return nil
	}
	type address struct {
		trail          *aTrail
		region, folder string
	}
	parcels := map[address]*parcel{}
	var f facts
	for _, e := range entries {
		if r.Read(e.Data, &f.Outline) != nil {
			continue
		}
		folder := f.folder()
		for _, one := range trails[string(f.Account)] {
			if !one.takes(there(e).UnixMilli(), &f) {
				continue
			}
			// Most records are of the home region, whose name need not be copied.
			region := one.home
			if string(f.Region) != region {
				region = string(f.Region)
			}
			p := parcels[address{one, region, folder}]
			if p == nil {
				p = &parcel{trail: one, region: region, folder: folder, files: make([]filed, 0, min(len(entries), 256))}
				parcels[address{one, region, folder}] = p
				all = append(all, p)
			}
			if one.groupARN != "" && len(e.Data) <= maxDelivered {
				p.events = append(p.events, LogEvent{e.Time, e.Data})
			}
			if e.Imported.IsZero() {
				p.files = append(p.files, filed{e.Seq, e.Time.UnixMilli(), f.Second, int64(len(e.Data))})
			}
		}
	}
	return all
}

// folder is the folder of a bucket that a record's file lies in.
func (f *facts) folder() string {
	if string(f.Category) == vigil.CategoryInsight {
		return vigil.InsightFolder
	}
	return vigil.LogFolder
}

// there is when a record came to be here: when it happened, or when it was imported. A trail's log group gets the records that came while the trail
// was logging, so that who wants to watch what is imported makes a trail before.
func there(e journal.Entry) time.Time {
	if e.Imported.IsZero() {
		return e.Time
	}
	return e.Imported
}

// delivering are the trails of each account that have logged, those that are deleted included.
func (t *Trail) delivering() map[string][]*aTrail {
	t.trailsMu.RLock()
	defer t.trailsMu.RUnlock()
	found := map[string][]*aTrail{}
	for account, trails := range t.trails {
		for _, one := range trails {
			if len(one.logging) > 0 {
				found[account] = append(found[account], one)
			}
		}
	}
	return found
}

// takes says whether an event of the trail's account is one of the trail's.
func (t *aTrail) takes(at int64, f *facts) bool {
	if string(f.Category) == vigil.CategoryInsight {
		return t.covers(string(f.Region), at) && t.logs(at) && t.wants(string(f.InsightType))
	}
	return t.covers(string(f.Region), at) && (!isGlobal(f.EventSource) || t.reached(at).global) && t.logs(at) && t.chosen(at).set.Takes(&f.Outline)
}

// isGlobal says whether a service has its events in one region for all of them. Those of STS are in the region that was called.
func isGlobal(source []byte) bool {
	switch string(source) {
	case "iam.amazonaws.com", "cloudfront.amazonaws.com", "route53.amazonaws.com":
		return true
	}
	return false
}
