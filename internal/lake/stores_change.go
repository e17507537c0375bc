package lake

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/uuid"

	"vigil/internal/arn"
	"vigil/internal/call"
	"vigil/internal/store"
	"vigil/internal/trail/selectors"
	"vigil/internal/trail/tags"
)

const (
	maxStores = 10 // in a region, those that are pending deletion among them

	extendableDays = 366 // unless it is told otherwise
	fixedDays      = 2557
)

// settings are what CreateEventDataStore and UpdateEventDataStore say of a store; nil is nothing.
type settings struct {
	name, kmsKey             *string
	selectors                []types.AdvancedEventSelector
	everywhere, organization *bool
	retention                *int32
	protected                *bool
	billing                  types.BillingMode
}

func (s settings) none() bool {
	return s.name == nil && s.kmsKey == nil && s.selectors == nil && s.everywhere == nil && s.organization == nil && s.retention == nil && s.protected == nil && s.billing == ""
}

// check refuses what there is not.
func (s settings) check() error {
	switch {
	case aws.ToString(s.kmsKey) != "":
		return call.NotBuilt("Encrypting an event data store with a KMS key (KmsKeyId)")
	case aws.ToBool(s.organization):
		return call.Errorf("OrganizationsNotInUseException", "The account is not a member of an organization.")
	}
	return nil
}

// change applies the settings.
func (s *dataStore) change(to settings) error {
	if to.name != nil {
		s.name = *to.name
	}
	if to.selectors != nil {
		s.selectors = to.selectors
	}
	for _, flag := range []struct{ to, from *bool }{{&s.everywhere, to.everywhere}, {&s.protected, to.protected}} {
		if flag.from != nil {
			*flag.to = *flag.from
		}
	}
	if to.billing != "" && to.billing != s.billing {
		if s.billing == types.BillingModeExtendableRetentionPricing {
			return call.Errorf("InvalidParameterException", "The billing mode of an event data store cannot be changed from EXTENDABLE_RETENTION_PRICING to FIXED_RETENTION_PRICING.")
		}
		s.billing = to.billing
	}
	if to.retention != nil {
		s.retention = int64(*to.retention)
	}
	if s.billing == types.BillingModeFixedRetentionPricing && s.retention > fixedDays {
		return call.Errorf("InvalidParameterException", "The retention period of an event data store with FIXED_RETENTION_PRICING is at most %d days.", fixedDays)
	}
	if _, err := selectors.Advanced(selectors.EventDataStore, s.selectors); err != nil {
		return call.Errorf("InvalidEventSelectorsException", "The advanced event selectors are not valid: %v.", err)
	}
	return nil
}

// fits says whether there is room and a name for a store beside the others.
func (s *dataStore) fits(tx store.Tx) error {
	all, err := stores(tx, `account = $1 AND region = $2 AND id <> $3`, s.account, s.region, s.id)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(other *dataStore) bool { return other.name == s.name }) {
		return call.Errorf("EventDataStoreAlreadyExistsException", "An event data store with the name %s already exists.", s.name)
	}
	if len(all) >= maxStores {
		return call.Errorf("EventDataStoreMaxLimitExceededException", "Your account has used the maximum number of %d event data stores in %s.", maxStores, s.region)
	}
	return nil
}

// CreateEventDataStore makes a store, which takes events in from then on unless StartIngestion is false. KmsKeyId and OrganizationEnabled
// are refused. It is ENABLED at once.
func (l *Lake) CreateEventDataStore(ctx context.Context, c *call.Call, in *cloudtrail.CreateEventDataStoreInput) (*cloudtrail.CreateEventDataStoreOutput, error) {
	now := c.Time.UnixMilli()
	made := &dataStore{id: uuid.NewString(), account: c.Account(), region: c.Region, everywhere: true, protected: true, billing: in.BillingMode, created: now, updated: now,
		stopped: in.StartIngestion != nil && !*in.StartIngestion}
	c.Touch(storeType, made.arn())
	if err := l.allow(ctx, c, arn.New("cloudtrail", c.Region, c.Account(), "eventdatastore/*")); err != nil {
		return nil, err
	}
	if made.billing == "" {
		made.billing = types.BillingModeExtendableRetentionPricing
	}
	if made.retention = extendableDays; made.billing == types.BillingModeFixedRetentionPricing {
		made.retention = fixedDays
	}
	wanted := settings{in.Name, in.KmsKeyId, in.AdvancedEventSelectors, in.MultiRegionEnabled, in.OrganizationEnabled, in.RetentionPeriod, in.TerminationProtectionEnabled, in.BillingMode}
	if err := wanted.check(); err != nil {
		return nil, err
	}
	if len(wanted.selectors) == 0 {
		wanted.selectors = defaultSelectors()
	}
	if err := made.change(wanted); err != nil {
		return nil, err
	}
	if err := tags.Check(in.TagsList); err != nil {
		return nil, err
	}
	c.Effect(func(tx store.Tx) error {
		if err := made.fits(tx); err != nil {
			return err
		}
		if err := l.save(tx, made); err != nil {
			return err
		}
		if err := putTags(tx, made.id, in.TagsList); err != nil || made.stopped {
			return err
		}
		return made.take(tx, now)
	})
	return &cloudtrail.CreateEventDataStoreOutput{
		AdvancedEventSelectors: made.selectors, BillingMode: made.billing, CreatedTimestamp: at(made.created), EventDataStoreArn: aws.String(made.arn().String()),
		MultiRegionEnabled: &made.everywhere, Name: &made.name, OrganizationEnabled: aws.Bool(false), RetentionPeriod: aws.Int32(int32(made.retention)),
		Status: types.EventDataStoreStatusCreated, TagsList: in.TagsList, TerminationProtectionEnabled: &made.protected, UpdatedTimestamp: at(made.updated),
	}, nil
}

// defaultSelectors are what a store has that was told none.
func defaultSelectors() []types.AdvancedEventSelector {
	return []types.AdvancedEventSelector{{
		Name:           aws.String("Default management events"),
		FieldSelectors: []types.AdvancedFieldSelector{{Field: aws.String("eventCategory"), Equals: []string{"Management"}}},
	}}
}

// effect has a store changed with the call's record.
func (l *Lake) effect(ctx context.Context, c *call.Call, name *string, change func(tx store.Tx, now *dataStore) error) error {
	found, err := l.named(ctx, c, aws.ToString(name))
	if err != nil {
		return err
	}
	c.Effect(func(tx store.Tx) error {
		s, err := storeOf(tx, found.account, found.region, found.id)
		if err != nil {
			return err
		}
		if err := change(tx, s); err != nil {
			return err
		}
		s.updated = c.Time.UnixMilli()
		return l.save(tx, s)
	})
	return nil
}

// UpdateEventDataStore changes those settings of a store that it is given. What it says of selectors and regions holds for events from then on.
func (l *Lake) UpdateEventDataStore(ctx context.Context, c *call.Call, in *cloudtrail.UpdateEventDataStoreInput) (*cloudtrail.UpdateEventDataStoreOutput, error) {
	wanted := settings{in.Name, in.KmsKeyId, in.AdvancedEventSelectors, in.MultiRegionEnabled, in.OrganizationEnabled, in.RetentionPeriod, in.TerminationProtectionEnabled, in.BillingMode}
	if wanted.none() {
		return nil, call.Errorf("InvalidParameterException", "At least one of the optional parameters must be specified.")
	}
	if err := wanted.check(); err != nil {
		return nil, err
	}
	out := new(cloudtrail.UpdateEventDataStoreOutput)
	err := l.effect(ctx, c, in.EventDataStore, func(tx store.Tx, s *dataStore) error {
		if s.deleted > 0 {
			return inactiveStore(s.id)
		}
		if err := s.change(wanted); err != nil {
			return err
		}
		if err := s.fits(tx); err != nil {
			return err
		}
		if !s.stopped {
			now := c.Time.UnixMilli()
			if err := errors.Join(s.leave(tx, now), s.take(tx, now)); err != nil {
				return err
			}
		}
		*out = cloudtrail.UpdateEventDataStoreOutput{
			AdvancedEventSelectors: s.selectors, BillingMode: s.billing, CreatedTimestamp: at(s.created), EventDataStoreArn: aws.String(s.arn().String()),
			FederationStatus: types.FederationStatusDisabled, MultiRegionEnabled: &s.everywhere, Name: &s.name, OrganizationEnabled: aws.Bool(false),
			RetentionPeriod: aws.Int32(int32(s.retention)), Status: s.status(), TerminationProtectionEnabled: &s.protected, UpdatedTimestamp: at(c.Time.UnixMilli()),
		}
		return nil
	})
	return out, err
}

// DeleteEventDataStore has a store removed in seven days. Until then it takes no events in, and cannot be queried.
func (l *Lake) DeleteEventDataStore(ctx context.Context, c *call.Call, in *cloudtrail.DeleteEventDataStoreInput) (*cloudtrail.DeleteEventDataStoreOutput, error) {
	return &cloudtrail.DeleteEventDataStoreOutput{}, l.effect(ctx, c, in.EventDataStore, func(tx store.Tx, s *dataStore) error {
		if s.deleted > 0 {
			return inactiveStore(s.id)
		}
		if s.protected {
			return call.Errorf("EventDataStoreTerminationProtectedException", "The event data store %s cannot be deleted because termination protection is enabled for it.", s.arn())
		}
		s.deleted = max(c.Time.UnixMilli(), 1)
		return s.leave(tx, s.deleted)
	})
}

// RestoreEventDataStore takes a deletion back. The store takes events in again, unless that was stopped before.
func (l *Lake) RestoreEventDataStore(ctx context.Context, c *call.Call, in *cloudtrail.RestoreEventDataStoreInput) (*cloudtrail.RestoreEventDataStoreOutput, error) {
	out := new(cloudtrail.RestoreEventDataStoreOutput)
	return out, l.effect(ctx, c, in.EventDataStore, func(tx store.Tx, s *dataStore) error {
		if s.deleted == 0 {
			return call.Errorf("InvalidEventDataStoreStatusException", "The event data store %s is not pending deletion.", s.arn())
		}
		s.deleted = 0
		*out = cloudtrail.RestoreEventDataStoreOutput{
			AdvancedEventSelectors: s.selectors, BillingMode: s.billing, CreatedTimestamp: at(s.created), EventDataStoreArn: aws.String(s.arn().String()),
			MultiRegionEnabled: &s.everywhere, Name: &s.name, OrganizationEnabled: aws.Bool(false), RetentionPeriod: aws.Int32(int32(s.retention)),
			Status: s.status(), TerminationProtectionEnabled: &s.protected, UpdatedTimestamp: at(c.Time.UnixMilli()),
		}
		if s.stopped {
			return nil
		}
		return s.take(tx, c.Time.UnixMilli())
	})
}

// StartEventDataStoreIngestion has a store that was stopped take events in again, at once.
func (l *Lake) StartEventDataStoreIngestion(ctx context.Context, c *call.Call, in *cloudtrail.StartEventDataStoreIngestionInput) (*cloudtrail.StartEventDataStoreIngestionOutput, error) {
	return &cloudtrail.StartEventDataStoreIngestionOutput{}, l.effect(ctx, c, in.EventDataStore, func(tx store.Tx, s *dataStore) error {
		if s.deleted > 0 || !s.stopped {
			return wrongStatus(s, "STOPPED_INGESTION")
		}
		s.stopped = false
		return s.take(tx, c.Time.UnixMilli())
	})
}

// StopEventDataStoreIngestion has a store take no more events in.
func (l *Lake) StopEventDataStoreIngestion(ctx context.Context, c *call.Call, in *cloudtrail.StopEventDataStoreIngestionInput) (*cloudtrail.StopEventDataStoreIngestionOutput, error) {
	return &cloudtrail.StopEventDataStoreIngestionOutput{}, l.effect(ctx, c, in.EventDataStore, func(tx store.Tx, s *dataStore) error {
		if s.deleted > 0 || s.stopped {
			return wrongStatus(s, "ENABLED")
		}
		s.stopped = true
		return s.leave(tx, c.Time.UnixMilli())
	})
}

func wrongStatus(s *dataStore, want string) error {
	return call.Errorf("InvalidEventDataStoreStatusException", "The event data store %s has the status %s, not %s.", s.arn(), s.status(), want)
}
