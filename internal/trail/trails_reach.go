package trail

import (
	"slices"

	"vigil/internal/store"
)

// A trail's reach is in which regions, and of which services, it takes events. As with what it takes (trails_select.go), a change is about the events
// from then on: what happened in another region is delivered though the trail has been taken back to its home since.

// reach is how far a trail goes from a time on, until its next reach.
type reach struct {
	since              int64 // milliseconds since 1970
	global, everywhere bool
}

// reachMigration is a step of the main database.
const reachMigration = `CREATE TABLE trail_reach (
	trail      BIGINT NOT NULL,
	since      BIGINT NOT NULL,
	global     BIGINT NOT NULL,
	everywhere BIGINT NOT NULL,
	PRIMARY KEY (trail, since));
INSERT INTO trail_reach (trail, since, global, everywhere) SELECT id, 0, global, everywhere FROM trail`

// loadReaches reads how far a trail went and goes, the latest last.
func loadReaches(tx store.Tx, trail int64) ([]reach, error) {
	return store.List(tx, func(row store.Scanner) (r reach, err error) {
		var global, everywhere int64
		err = row.Scan(&r.since, &global, &everywhere)
		r.global, r.everywhere = global != 0, everywhere != 0
		return r, err
	}, `SELECT since, global, everywhere FROM trail_reach WHERE trail = $1 ORDER BY since`, trail)
}

// saveReach has the trail's reach be as it is now from a time on, if it is another, and forgets those that no event can still be delivered by.
func (t *aTrail) saveReach(tx store.Tx, since int64) error {
	if n := len(t.reaches); n > 0 && t.reaches[n-1].global == t.global && t.reaches[n-1].everywhere == t.everywhere {
		return nil
	}
	if _, err := tx.Exec(`DELETE FROM trail_reach WHERE trail = $1 AND since < (SELECT MAX(since) FROM trail_reach WHERE trail = $1 AND since < $2)`,
		t.id, since-window.Milliseconds()); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO trail_reach (trail, since, global, everywhere) VALUES ($1, $2, $3, $4)
		ON CONFLICT (trail, since) DO UPDATE SET global = excluded.global, everywhere = excluded.everywhere`, t.id, since, truth(t.global), truth(t.everywhere))
	return err
}

// reached is how far the trail went at a time.
func (t *aTrail) reached(at int64) reach {
	for _, r := range slices.Backward(t.reaches) {
		if r.since <= at {
			return r
		}
	}
	return reach{}
}

// covers says whether the trail took events of a region at a time.
func (t *aTrail) covers(region string, at int64) bool {
	return region == t.home || t.reached(at).everywhere
}

// coversSince is since when, up to a time, the trail last took events of a region; 0 is always, or never.
func (t *aTrail) coversSince(region string, at int64) (since int64) {
	if region == t.home {
		return 0
	}
	was := false
	for _, r := range t.reaches {
		if r.since > at {
			break
		}
		if r.everywhere && !was {
			since = r.since
		}
		was = r.everywhere
	}
	return since
}
