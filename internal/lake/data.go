package lake

import (
	"vigil/internal/store"
	"vigil/internal/trail/selectors"
)

// askedFor is a kind of data events that stores of an account ask for.
type askedFor struct{ account, resourceType string }

// readAsked finds what stores ask for. One that takes no events in asks for nothing.
func readAsked(tx store.Tx) (map[askedFor]bool, error) {
	all := map[askedFor]bool{}
	found, err := stores(tx, `deleted = 0 AND stopped = 0`)
	if err != nil {
		return all, err
	}
	for _, s := range found {
		set, err := selectors.Advanced(selectors.EventDataStore, s.selectors)
		if err != nil {
			return all, err
		}
		for _, typ := range set.DataTypes() {
			all[askedFor{s.account, typ}] = true
		}
	}
	return all, nil
}

// AsksForData says whether some store of an account may take data events of a type of resources, such as AWS::S3::Object. The door asks it
// at each data call: it waits for nobody.
func (l *Lake) AsksForData(account, resourceType string) bool {
	all := *l.dataFor.Load()
	return len(all) > 0 && all[askedFor{account, resourceType}]
}

// save writes a store, and has AsksForData know of it.
func (l *Lake) save(tx store.Tx, s *dataStore) error {
	if err := s.save(tx); err != nil {
		return err
	}
	asked, err := readAsked(tx)
	tx.OnCommit(func() { l.dataFor.Store(&asked) })
	return err
}
