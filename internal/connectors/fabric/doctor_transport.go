package fabric

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/connectivity"
)

// Names of the hops, in their order.
const (
	hopConfig    = "configuration"
	hopPeers     = "peers"
	hopClient    = "client certificate"
	hopIdentity  = "identity"
	hopName      = "dns"
	hopTCP       = "tcp"
	hopTLS       = "tls"
	hopGRPC      = "grpc"
	hopMSP       = "msp"
	hopChannel   = "channel"
	hopBlocks    = "blocks"
	hopChaincode = "chaincode"
	hopExecute   = "execute"
	hopEndorsers = "endorsers"
	hopOrderer   = "orderer"
	hopLag       = "lag"
)

// peerExam is the examination of one peer.
type peerExam struct {
	exam
	*patient
	endpoint

	node  *node
	heads map[string]uint64 // of the channels it has, by name
}

// examine goes along the hops as far as it gets.
func (x *peerExam) examine(ctx context.Context) {
	hops := []struct {
		name  string
		limit time.Duration
		try   func(context.Context) (string, error)
	}{
		{hopName, connects, x.resolve},
		{hopTCP, connects, x.dialTCP},
		{hopTLS, connects, x.handshake},
		{hopGRPC, connects, x.dialGRPC},
		{hopMSP, answers, x.accepted},
	}
	defer func() {
		if x.node != nil {
			_ = x.node.close() // there is nobody to tell
		}
	}()
	for i, h := range hops {
		if x.hop(ctx, h.limit, "", h.name, h.try) {
			continue
		}
		for _, later := range hops[i+1:] {
			x.skip(h.name, "", later.name)
		}
		for _, channel := range x.channels {
			x.skip(h.name, channel, hopChannel)
		}
		return
	}
	for _, channel := range x.channels {
		x.examineChannel(ctx, channel)
	}
}

func (x *peerExam) resolve(ctx context.Context) (string, error) {
	host, _, err := net.SplitHostPort(x.address)
	if err != nil {
		return "", broken("write the peer's address as host:port", "%v", err)
	}
	if net.ParseIP(host) != nil {
		return host + " is an address", nil
	}
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	var e *net.DNSError
	switch {
	case errors.As(err, &e) && e.IsNotFound:
		return "", broken("correct the host in the peer's url, or make the name known (DNS, or /etc/hosts)", "no such host: %s", host)
	case err != nil:
		return "", broken("see whether this machine's name servers answer", "%s cannot be looked up: %v", host, err)
	}
	return host + " is " + strings.Join(found, ", "), nil
}

func (x *peerExam) dialTCP(ctx context.Context) (string, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", x.address)
	switch {
	case err == nil:
		return "connected to " + c.RemoteAddr().String(), c.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", broken("start the peer, or correct the port in its url", "nothing listens at %s: connection refused", x.address)
	case timedOut(err):
		return "", broken("see whether a firewall or a wrong address is in the way", "%s does not answer", x.address)
	default:
		return "", broken("see whether there is a route to the peer, and whether a firewall is in the way", "%v", err)
	}
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// handshake does what gRPC does first, where what goes wrong can still be told apart.
func (x *peerExam) handshake(ctx context.Context) (string, error) {
	if x.plain {
		return "", nothing("grpc:// is without TLS")
	}
	cfg, err := x.tlsConfig(ctx)
	if err != nil {
		return "", err
	}
	var asked *tls.CertificateRequestInfo
	own := cfg.Certificates
	cfg.Certificates = nil
	cfg.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = r
		if len(own) > 0 {
			return &own[0], nil
		}
		return &tls.Certificate{}, nil
	}
	cfg.NextProtos = []string{"h2"}
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", x.address)
	if err != nil {
		return "", err
	}
	defer func() { _ = raw.Close() }() // what counts was said
	c := tls.Client(raw, cfg)
	switch err := c.HandshakeContext(ctx); {
	case err != nil && asked != nil: // which comes after the peer's own certificate was found good
		return "", clientTrouble(err, asked, own)
	case err != nil:
		return "", x.tlsTrouble(err)
	}
	if err := speak(ctx, c); err != nil && asked != nil {
		return "", clientTrouble(err, asked, own)
	}
	leaf := c.ConnectionState().PeerCertificates[0]
	detail := fmt.Sprintf("%s, certificate of %s until %s", tls.VersionName(c.ConnectionState().Version), x.serverName, day(leaf.NotAfter))
	if len(own) > 0 && asked != nil {
		detail += ", client certificate accepted"
	}
	if left := time.Until(leaf.NotAfter); left < expirySay {
		return "", warning("have the peer's TLS certificate renewed", "%s: it expires in %s", detail, days(left))
	}
	return detail, nil
}

// speak waits for the first word of an HTTP/2 server. With TLS 1.3 a client learns only then that its certificate is not wanted.
func speak(ctx context.Context, c *tls.Conn) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// tlsConfig is how this machine connects to the peer with TLS.
func (x *peerExam) tlsConfig(ctx context.Context) (*tls.Config, error) {
	roots, err := x.roots(ctx)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{RootCAs: roots, ServerName: x.serverName, MinVersion: tls.VersionTLS12}
	if x.client != nil {
		cfg.Certificates = []tls.Certificate{x.client.current().Certificate}
	}
	return cfg, nil
}

// tlsTrouble says what is wrong with a peer's side of TLS.
func (x *peerExam) tlsTrouble(err error) error {
	var (
		record  tls.RecordHeaderError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		alert   tls.AlertError
	)
	switch {
	case timedOut(err):
		return broken("the port is open and nobody answers behind it: see whether the peer hangs, is stopped or is only a proxy without a peer",
			"the peer takes the connection and says nothing")
	case errors.As(err, &record):
		return broken("if the peer has no TLS, its url begins with grpc://; else the port is another one", "%s does not speak TLS", x.address)
	case errors.As(err, &host):
		return broken("if it is the right peer, name one of these in "+x.nameKey,
			"its certificate is for %s, not for %s", strings.Join(namesOf(host.Certificate), ", "), x.serverName)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return expired(invalid.Cert)
	case errors.As(err, &unknown):
		return broken("the CA certificate of the peer is not the one that issued this: give that of its TLS CA (tlscacerts of the organisation's MSP), not of its enrolment CA",
			"its certificate was issued by %s, which is not trusted", issuer(unknown.Cert))
	case errors.As(err, &alert):
		return broken("see the peer's log for the TLS handshake", "the peer breaks the handshake off: %v", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return broken("if the peer has no TLS, its url begins with grpc://; see also the peer's log", "the peer closes the connection during the handshake")
	default:
		return broken("see the peer's log for the TLS handshake", "%v", err)
	}
}

// clientTrouble says why a peer that asks for a certificate does not go on.
func clientTrouble(err error, asked *tls.CertificateRequestInfo, own []tls.Certificate) error {
	const reissue = "have one issued by a CA that is among the peer's peer.tls.clientRootCAs"
	switch {
	case timedOut(err):
		return broken("see whether the peer hangs", "the peer says nothing after the handshake")
	case len(own) == 0:
		return broken("the peer wants mutual TLS: set fabric.tls.clientCertificate and fabric.tls.clientKey", "the peer wants a client certificate, and there is none: %v", err)
	case asked.SupportsCertificate(&own[0]) != nil && len(asked.AcceptableCAs) > 0:
		return broken(reissue, "the peer refuses the client certificate: it was issued by %s, and the peer accepts those of %s",
			issuer(own[0].Leaf), authorities(asked.AcceptableCAs))
	default:
		return broken(reissue+"; see also whether the peer's clock is right", "the peer refuses the client certificate: %v", err)
	}
}

// authorities lists some names of CAs as a peer tells them.
func authorities(raw [][]byte) string {
	var names []string
	for _, r := range raw[:min(len(raw), 5)] {
		var rdns pkix.RDNSequence
		if _, err := asn1.Unmarshal(r, &rdns); err == nil {
			names = append(names, rdns.String())
		}
	}
	if len(raw) > 5 {
		names = append(names, fmt.Sprintf("%d more", len(raw)-5))
	}
	return strings.Join(names, "; ")
}

func expired(cert *x509.Certificate) error {
	if time.Now().Before(cert.NotBefore) {
		return broken("compare the clock of this machine with the peer's", "its certificate is valid only from %s on", cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return broken("have the certificate renewed", "the certificate of %s expired on %s", cert.Subject.CommonName, day(cert.NotAfter))
}

func issuer(cert *x509.Certificate) string { return cert.Issuer.String() }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d.Hours()/24)) }

// dialGRPC waits for the connection that all calls will use.
func (x *peerExam) dialGRPC(ctx context.Context) (string, error) {
	n, err := newNode(x.endpoint, x.cfg, x.client, x.log)
	if err != nil {
		return "", err
	}
	x.node = n
	n.conn.Connect()
	for state := n.conn.GetState(); state != connectivity.Ready; state = n.conn.GetState() {
		if state == connectivity.TransientFailure || !n.conn.WaitForStateChange(ctx, state) {
			return "", x.grpcTrouble(ctx)
		}
	}
	return "HTTP/2 connection stands", nil
}

// grpcTrouble asks for a reason. gRPC tells it only to a call.
func (x *peerExam) grpcTrouble(ctx context.Context) error {
	fix := "see whether a proxy between here and the peer passes HTTP/2 on"
	if x.plain {
		fix = "if the peer has TLS, its url begins with grpcs://"
	}
	if ctx.Err() != nil {
		return broken(fix, "no HTTP/2 connection in time")
	}
	_, e := x.node.ask(ctx, x.signer, "", "GetChainInfo")
	return broken(fix, "no HTTP/2 connection: %v", e)
}
