package server

import (
	"context"
	"time"

	"vigil/internal/kms"
	"vigil/internal/metrics"
	"vigil/internal/store"
)

// putExpirations puts, every minute of the server's time until ctx is done, how long the imported material of each key that has some
// still lasts: the metric SecondsUntilKeyMaterialExpiration of the KMS developer guide's "Monitoring KMS keys with Amazon
// CloudWatch". A minute that cannot be put is missing.
func (s *Server) putExpirations(ctx context.Context) error {
	for {
		minute := s.clock.Now().Truncate(time.Minute).Add(time.Minute)
		if s.clock.Sleep(ctx, minute) != nil {
			return nil
		}
		if err := s.putExpirationsAt(ctx, s.clock.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("When imported key material expires could not be put into the metrics.", "error", err)
		}
	}
}

func (s *Server) putExpirationsAt(ctx context.Context, now time.Time) error {
	expiring, err := s.kms.Expiring(ctx)
	if err != nil || len(expiring) == 0 {
		return err
	}
	return s.watch.Update(ctx, func(tx store.Tx) error {
		for _, e := range expiring {
			if err := s.metrics.Put(tx, e.Account, e.Region, []metrics.Datum{secondsLeft(e, now)}); err != nil {
				return err
			}
		}
		return nil
	})
}

func secondsLeft(e kms.Expiration, now time.Time) metrics.Datum {
	return metrics.Datum{
		Namespace: "AWS/KMS", Name: "SecondsUntilKeyMaterialExpiration", Unit: "Seconds", Time: now,
		Dimensions: []metrics.Dimension{{Name: "KeyId", Value: e.KeyID}},
		Value:      max(0, e.ValidTo.Sub(now).Truncate(time.Second).Seconds()),
	}
}
