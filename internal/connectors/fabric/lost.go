package fabric

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// lost is the error of a call that a peer did not answer: it or the way to it is gone.
type lost struct {
	words string
	sent  bool  // the peer may have had the request
	err   error // cause, may be nil
}

// Error implements error.
func (l *lost) Error() string { return l.words }

// Unwrap returns the cause.
func (l *lost) Unwrap() error { return l.err }

// GRPCStatus makes it look to gRPC's users like what it replaces.
func (l *lost) GRPCStatus() *status.Status { return status.New(codes.Unavailable, l.words) }

// isLost tells whether a call got no answer from the peer.
func isLost(err error) bool {
	var l *lost
	return errors.As(err, &l)
}

func (n *node) silent() error {
	return &lost{words: fmt.Sprintf("%s gives no sign of life for %v", n.label(), n.watch.silence), sent: true, err: errSilent}
}

// unconnected is how gRPC begins when there was no connection to send anything over.
const unconnected = "connection error: desc = "

// torn is what gRPC says when a connection ends under a call.
var torn = regexp.MustCompile(`^(error reading from server|transport is closing|closing transport|connection closed|the connection is draining|` +
	`the stream is rejected|keepalive|last connection error|received prior goaway|(read|write) tcp )`)

// cutShort is what the system says when a peer ends a connection before gRPC has come to speak over it.
var cutShort = regexp.MustCompile(`^(read|write) tcp `)

// wantsClientCert is what peers say that ask for a certificate and get none, or one that they do not trust.
var wantsClientCert = regexp.MustCompile(`tls: (certificate required|(bad|unknown|expired|revoked|unsupported) certificate)`)

// explain turns the error of a call that got no answer into lost, and leaves others alone.
func (n *node) explain(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok || isLost(err) {
		return err
	}
	waited := st.Code() == codes.DeadlineExceeded && n.broken.Load() != nil // of the probe, for a connection
	switch {
	case waited, st.Code() == codes.Unavailable && strings.HasPrefix(st.Message(), unconnected):
		// A peer that goes away may let the time of a call run out that it had before: that is not to be told from a wait.
		return &lost{words: n.label() + " cannot be reached: " + n.whyBroken(st.Message()), sent: waited, err: err}
	case !n.plain && st.Code() == codes.Unavailable && cutShort.MatchString(st.Message()):
		return &lost{words: n.label() + " cannot be reached: " + n.whyBroken(st.Message()), sent: true, err: err}
	case st.Code() == codes.Unavailable && len(st.Details()) == 0 && torn.MatchString(st.Message()):
		return &lost{words: "the connection to " + n.label() + " broke: " + st.Message(), sent: true, err: err}
	default:
		return err
	}
}

// whyBroken says why there is no connection.
func (n *node) whyBroken(said string) string {
	if why := n.broken.Load(); why != nil {
		return (*why).Error()
	}
	said = strings.TrimPrefix(said, unconnected)
	early := strings.Contains(said, "server preface") || cutShort.MatchString(said)
	switch {
	case wantsClientCert.MatchString(said):
		return n.clientRefused(said)
	case !n.plain && early && n.client == nil:
		return "it broke off after the TLS handshake: it may ask for a client certificate (fabric.tls): " + said
	case !n.plain && early:
		return cmp.Or(n.clientExpired(), "it broke off after the TLS handshake: it may not accept the client certificate ("+tlsCertificate+"): "+said)
	case n.plain && strings.Contains(said, "server preface"):
		return "it does not speak gRPC without TLS: its url may have to begin with grpcs://: " + said
	default:
		return said
	}
}

// clientRefused says why a peer breaks off that asks for a certificate.
func (n *node) clientRefused(said string) string {
	if n.client == nil {
		return "it asks for a client certificate: set fabric.tls.clientCertificate and fabric.tls.clientKey"
	}
	return cmp.Or(n.clientExpired(), "it does not accept the client certificate ("+tlsCertificate+"): "+said)
}

// clientExpired says so if the certificate for mutual TLS has expired.
func (n *node) clientExpired() string {
	end := n.client.current().Leaf.NotAfter
	if time.Now().Before(end) {
		return ""
	}
	return fmt.Sprintf("the client certificate (%s) expired at %s: renew it, there is no need for a restart", tlsCertificate, end.UTC().Format(time.RFC3339))
}
