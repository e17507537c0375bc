package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func listen(cfg Config) (net.Listener, error) {
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil || cfg.TLSCert == "" {
		return l, err
	}
	cert, err := loadCertificate(cfg)
	if err != nil {
		l.Close()
		return nil, err
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

func loadCertificate(cfg Config) (tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
	if err != nil {
		return cert, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", cfg.TLSCert, cfg.TLSKey, err)
	}
	return cert, nil
}

// endpoint is the URL that clients on this machine use.
func (s *Server) endpoint() string {
	host, port, _ := net.SplitHostPort(s.listener.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if s.cfg.TLSCert != "" {
		scheme = "https"
		host = s.tlsName(host)
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// tlsName is a name that the certificate is for, as clients check it, or host when it is for that or says nothing.
func (s *Server) tlsName(host string) string {
	cert, err := loadCertificate(s.cfg)
	if err != nil || cert.Leaf == nil || cert.Leaf.VerifyHostname(host) == nil {
		return host
	}
	if len(cert.Leaf.DNSNames) > 0 && !strings.Contains(cert.Leaf.DNSNames[0], "*") {
		return cert.Leaf.DNSNames[0]
	}
	return host
}

// caBundle is the file that clients on this machine need to trust the server's certificate: none when the system's authorities
// vouch for it, and the file of the certificate when that has, itself or in its chain, one that vouches for itself. When neither is
// so, the log says what clients need.
func (s *Server) caBundle() string {
	if s.cfg.TLSCert == "" {
		return ""
	}
	cert, err := loadCertificate(s.cfg)
	if err != nil {
		return ""
	}
	own, between := x509.NewCertPool(), x509.NewCertPool()
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
		case c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil:
			own.AddCert(c)
		default:
			between.AddCert(c)
		}
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Intermediates: between}); err == nil {
		return ""
	}
	file, err := filepath.Abs(s.cfg.TLSCert)
	if err == nil {
		_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: own, Intermediates: between})
	}
	if err != nil {
		s.log.Warn("nothing here vouches for the server's certificate: clients need that of its authority, by AWS_CA_BUNDLE or SSL_CERT_FILE",
			"file", s.cfg.TLSCert, "error", err)
		return ""
	}
	return file
}
