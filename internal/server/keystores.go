package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"vigil/internal/kms"
	"vigil/internal/kms/xks"
	"vigil/internal/metrics"
	"vigil/internal/store"
)

// proxies is how the proxies of external key stores are reached.
func (s *Server) proxies() (xks.Options, error) {
	options := s.cfg.Proxies
	options.AllowLocal = options.AllowLocal || s.cfg.AllowLocalTargets
	if s.cfg.ProxyCA == "" {
		return options, nil
	}
	text, err := os.ReadFile(s.cfg.ProxyCA)
	if err != nil {
		return options, fmt.Errorf("--xks-ca: %w", err)
	}
	if options.Roots, err = x509.SystemCertPool(); err != nil {
		options.Roots = x509.NewCertPool()
	}
	if !options.Roots.AppendCertsFromPEM(text) {
		return options, fmt.Errorf("--xks-ca %s: it holds no certificate in PEM form", s.cfg.ProxyCA)
	}
	return options, nil
}

// putKeyStoreMetrics hands what was measured of external key stores to the metrics.
func (s *Server) putKeyStoreMetrics(ctx context.Context, account, region string, measured []kms.Metric) error {
	data := make([]metrics.Datum, len(measured))
	for i, m := range measured {
		data[i] = metrics.Datum{Namespace: "AWS/KMS", Name: m.Name, Unit: m.Unit, Time: m.Time, Values: m.Values, Counts: m.Counts}
		for _, d := range m.Dimensions {
			data[i].Dimensions = append(data[i].Dimensions, metrics.Dimension(d))
		}
	}
	return s.watch.Update(ctx, func(tx store.Tx) error { return s.metrics.Put(tx, account, region, data) })
}
