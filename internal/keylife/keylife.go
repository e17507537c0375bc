// Package keylife folds the CloudTrail records of a KMS key into the key's life: by whom it was made, what became of its policy, its
// grants, aliases and material, who used it and who was refused, and whether it is safe to delete it.
//
// It is pure: a Fold is fed with records (fold.go), tells those that change the key (change.go, policy.go) from those that use it
// (use.go), and gives a Life, with a verdict on deleting the key (verdict.go), that is written as JSON by encoding/json and for people by
// WriteText (text.go). Records may be of any event version, AWS's own or Vigil's, and come in any order: a key's changes are few and are put in
// order at the end, its uses are only counted. So a Fold needs memory by how many there are of callers and contexts and changes, each
// up to a limit, and not by how often the key was used.
package keylife

import "time"

// Limits of what a Life tells apart. What is beyond them is counted.
const (
	MaxChanges   = 10_000 // changes, of which the oldest go first; those that make and delete the key stay
	MaxGrants    = 10_000 // grants that may still be there
	MaxCallers   = 500    // principals who used the key, and as many refusals and failures
	MaxContexts  = 256    // encryption contexts of one principal that are counted,
	ToldContexts = 50     // and those that are told
	MaxText      = 1024   // bytes of an encryption context or a message
)

// Life is the life of a KMS key, as far as it is on record. Its JSON form is what `vigil key timeline --json` prints.
type Life struct {
	Key     string `json:"key"` // the key's ARN
	Account string `json:"accountId"`
	Region  string `json:"region"`

	Asked   time.Time `json:"asOf"`
	Records Coverage  `json:"records"`
	Now     State     `json:"state"` // after the last record
	Changes []Change  `json:"changes"`

	ChangesLeftOut int64 `json:"changesLeftOut,omitempty"` // beyond MaxChanges

	Related  []Related  `json:"relatedKeys,omitempty"` // of a multi-Region key, by Region
	Uses     []Use      `json:"uses"`                  // by principal, who used it most first
	LastUse  *LastUse   `json:"lastUse,omitempty"`
	Others   *Tally     `json:"usesByOthers,omitempty"` // of principals beyond MaxCallers
	Looks    []Counted  `json:"reads,omitempty"`        // calls that only read about the key, such as DescribeKey
	Denied   []Refusal  `json:"denied"`
	Failed   []Refusal  `json:"failed"`
	Refused  *Tally     `json:"refusalsOfOthers,omitempty"` // beyond MaxCallers
	Deletion Assessment `json:"safeToDelete"`

	primaryMoved  time.Time // when its primary Region was last changed, by its own records, or zero
	unusableSince time.Time // since when it is disabled, pending deletion …, or zero
}

// Coverage says which records a Life was made of.
type Coverage struct {
	Count        int64      `json:"count"`
	Imported     int64      `json:"imported,omitempty"` // of them, those that were brought in from elsewhere
	First        *time.Time `json:"first,omitempty"`
	Last         *time.Time `json:"last,omitempty"`
	HistorySince *time.Time `json:"historySince,omitempty"` // the first record of the key's account and region, of whatever
	Unreadable   int64      `json:"unreadable,omitempty"`
}

// State is what the records say of the key as it is now. What they do not say is empty.
type State struct {
	State        string            `json:"keyState,omitempty"` // as DescribeKey has it, and Deleted
	Spec         string            `json:"keySpec,omitempty"`
	Usage        string            `json:"keyUsage,omitempty"`
	Origin       string            `json:"origin,omitempty"`
	Manager      string            `json:"keyManager,omitempty"` // CUSTOMER or AWS
	Description  string            `json:"description,omitempty"`
	Created      *time.Time        `json:"created,omitempty"`
	CreatedBy    string            `json:"createdBy,omitempty"`
	MultiRegion  string            `json:"multiRegion,omitempty"` // PRIMARY or REPLICA
	Primary      string            `json:"primaryRegion,omitempty"`
	Regions      []string          `json:"otherRegions,omitempty"` // of the related keys that are not known to be deleted
	Rotation     string            `json:"rotation,omitempty"`     // "on, every 365 days" or "off"
	Rotations    int               `json:"rotations,omitempty"`
	KeyStore     string            `json:"customKeyStoreId,omitempty"`
	DeletionDate string            `json:"deletionDate,omitempty"` // as the record has it
	Aliases      []string          `json:"aliases,omitempty"`
	UsedNames    []string          `json:"aliasesUsed,omitempty"` // aliases that callers named it by, on record as its own or not
	Tags         map[string]string `json:"tags,omitempty"`
	Grants       []Grant           `json:"grants,omitempty"` // that were made and neither retired nor revoked
	MoreGrants   int64             `json:"grantsNotTold,omitempty"`
	Policy       string            `json:"policy,omitempty"` // the text, if it is on record
	DefaultOnly  bool              `json:"defaultPolicy,omitempty"`
}

// Grant is a grant on the key.
type Grant struct {
	ID          string    `json:"grantId"`
	Name        string    `json:"name,omitempty"`
	Grantee     string    `json:"granteePrincipal,omitempty"`
	Retiring    string    `json:"retiringPrincipal,omitempty"`
	Operations  []string  `json:"operations,omitempty"`
	Constraints string    `json:"constraints,omitempty"` // as JSON
	Created     time.Time `json:"created"`
	By          string    `json:"by"`
}

// Change is something that became of the key.
type Change struct {
	Time      time.Time   `json:"time"`
	EventID   string      `json:"eventId"`
	Operation string      `json:"operation"`
	By        string      `json:"by"`
	From      string      `json:"sourceIPAddress,omitempty"`
	What      string      `json:"what"`              // a few words
	Details   []string    `json:"details,omitempty"` // a line each
	Policy    *PolicyDiff `json:"policy,omitempty"`
	Imported  bool        `json:"imported,omitempty"`

	order int64
	apply func(*State) // what it does to the state, or nil
}

// Tally is how often and when.
type Tally struct {
	Count int64     `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

func (t *Tally) add(at time.Time) {
	if t.Count == 0 || at.Before(t.First) {
		t.First = at
	}
	if t.Count == 0 || at.After(t.Last) {
		t.Last = at
	}
	t.Count++
}

func (t *Tally) merge(o Tally) {
	if o.Count == 0 {
		return
	}
	n := t.Count
	t.add(o.First)
	t.add(o.Last)
	t.Count = n + o.Count
}

// Counted is a tally of what has a name.
type Counted struct {
	Name string `json:"name"`
	Tally
}

// Use is what one principal did with the key.
type Use struct {
	Principal string `json:"principal"`           // user/alice, role/deploy, root …, and of which account if it is not the key's
	ARN       string `json:"arn,omitempty"`       // without the session
	InvokedBy string `json:"invokedBy,omitempty"` // the service that called for it
	Tally
	Recent       int64     `json:"recent"`                          // in the days before the question that an Assessment looks at
	Operations   []Counted `json:"operations"`                      // most often first
	Contexts     []Counted `json:"encryptionContexts"`              // most often first, at most ToldContexts; each as JSON in the order of its names
	MoreContexts int64     `json:"otherContexts,omitempty"`         // how many others there are
	MoreUses     int64     `json:"usesWithOtherContexts,omitempty"` // and how often they were used
	AtLeast      bool      `json:"contextCountsAreLeast,omitempty"` // there were more than MaxContexts, so the counts before may be too small
}

// LastUse is the last use of the key that succeeded.
type LastUse struct {
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Principal string    `json:"principal"`
	EventID   string    `json:"eventId"`
}

// Refusal is what one principal asked in vain.
type Refusal struct {
	Principal string `json:"principal"`
	ARN       string `json:"arn,omitempty"`
	InvokedBy string `json:"invokedBy,omitempty"`
	Operation string `json:"operation"`
	Error     string `json:"errorCode"`
	Message   string `json:"errorMessage,omitempty"` // of the last
	Tally
	Recent int64 `json:"recent"`
}
