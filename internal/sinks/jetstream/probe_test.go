package jetstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/jetstream"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// secured lets a server speak TLS, with the certificate that is returned. It asks for that of clients if mutual.
func secured(t *testing.T, mutual bool) (certificate, key string, change func(*server.Options)) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &private.PublicKey, private)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(certificate)))
	return certificate, key, func(o *server.Options) {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: pool}
		if mutual {
			o.TLSConfig.ClientAuth = tls.RequireAndVerifyClientCert
		}
		o.TLSTimeout = patience.Seconds()
	}
}

func text(s string) string {
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(quoted)
}

// A probe names the field at fault, with the words of the server.
func TestProbe(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "u", Password: "canary"},
			{Username: "nobody", Password: "canary", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.>"}}}},
		}
	})
	create(t, client(t, urlOf(s), nats.UserInfo("u", "canary")), nil)
	certificate, key, change := secured(t, true)
	overTLS := serve(t, change)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM([]byte(certificate)))
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	require.NoError(t, err)
	create(t, client(t, urlOf(overTLS), nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, Certificates: []tls.Certificate{pair}})), nil)
	mutual := `"tls":{"ca":` + text(certificate) + `,"certificate":` + text(certificate) + `,"key":` + text(key) + `}`
	secure := "tls://" + overTLS.Addr().String()

	const user = `"username":"u","password":"canary"`
	for i, c := range []struct{ url, fields, field, want string }{
		{urlOf(s), user, "", ""},
		{urlOf(s), user + `,"subject":"=.id"`, "", ""},
		{"nats://127.0.0.1:1," + urlOf(s), user, "", ""},
		{secure, mutual, "", ""},
		{urlOf(overTLS), mutual, "", ""},
		{urlOf(s), user + `,"subject":"orders.x"`, "subject", "is orders.x, which the stream EVENTS does not take"},
		{urlOf(s), user + `,"subject":"events"`, "subject", "does not take"},
		{urlOf(s), user + `,"stream":"ORDERS"`, "stream", "stream not found"},
		{urlOf(s), user + `,"domain":"hub"`, "url", "JetStream is not there"},
		{urlOf(s), `"username":"u","password":"wrong-canary"`, "username", "Authorization Violation"},
		{urlOf(s), `"username":"nobody","password":"canary","requestTimeout":"300ms"`, "username", "Permissions Violation"},
		{urlOf(s), `"token":"canary"`, "token", "Authorization Violation"},
		{urlOf(s), ``, "credentials", "Authorization Violation"},
		{urlOf(s), `"token":"env:NATS_NOTHING"`, "token", "env:NATS_NOTHING cannot be read"},
		{"nats://127.0.0.1:1", ``, "url", "connection refused"},
		{"tls://" + s.Addr().String(), user, "tls", "secure connection not available"},
		{urlOf(overTLS), ``, "tls", "certificate signed by unknown authority"},
		{secure, `"tls":{"ca":` + text(certificate) + `}`, "tls", "certificate required"},
		{secure, `"tls":{"ca":` + text(certificate) + `,"serverName":"nats.example.com"}`, "tls", "certificate is not valid for any names"},
	} {
		f := factory(t, nil)
		err := probe(t, f, config(c.url, unhurried(c.fields)), c.want)
		if c.want == "" {
			require.NoError(t, err, "%d", i)
			continue
		}
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, "%d", i)
		require.Equal(t, c.field, inv.Field, "%d %v", i, err)
		require.ErrorContains(t, err, c.want, "%d", i)
		require.NotEmpty(t, inv.Fix)
		require.NotContains(t, err.Error(), "canary")
	}
}

// probe tries a configuration. If the server's words come later than a short requestTimeout ends, or get lost because it has closed the connection
// when the client writes to it, it is tried again.
func probe(t *testing.T, f *jetstream.Factory, raw json.RawMessage, words string) error {
	t.Helper()
	cfg, err := f.Validate(raw)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err = f.Probe(ctx, theStream, cfg)
		if err == nil || ctx.Err() != nil || strings.Contains(err.Error(), words) {
			return err
		}
		if !strings.Contains(err.Error(), " within ") && !strings.Contains(err.Error(), "connection closed by remote after TLS handshake") {
			return err
		}
	}
}

// The content of a .creds file lets in, whatever it is read from.
func TestCredentials(t *testing.T) {
	t.Parallel()
	operator, err := nkeys.CreateOperator()
	require.NoError(t, err)
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	accountID, err := account.PublicKey()
	require.NoError(t, err)
	operatorID, err := operator.PublicKey()
	require.NoError(t, err)
	claims := jwt.NewAccountClaims(accountID)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: jwt.NoLimit, MemoryStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	accountToken, err := claims.Encode(operator)
	require.NoError(t, err)
	operatorToken, err := jwt.NewOperatorClaims(operatorID).Encode(operator)
	require.NoError(t, err)
	trusted, err := jwt.DecodeOperatorClaims(operatorToken)
	require.NoError(t, err)
	resolver := new(server.MemAccResolver)
	require.NoError(t, resolver.Store(accountID, accountToken))
	system, err := nkeys.CreateAccount()
	require.NoError(t, err)
	systemID, err := system.PublicKey()
	require.NoError(t, err)
	systemToken, err := jwt.NewAccountClaims(systemID).Encode(operator)
	require.NoError(t, err)
	require.NoError(t, resolver.Store(systemID, systemToken))
	s := serve(t, func(o *server.Options) {
		o.TrustedOperators, o.AccountResolver, o.SystemAccount = []*jwt.OperatorClaims{trusted}, resolver, systemID
	})
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	userID, err := user.PublicKey()
	require.NoError(t, err)
	token, err := jwt.NewUserClaims(userID).Encode(account)
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	content, err := jwt.FormatUserConfig(token, seed)
	require.NoError(t, err)
	stream := create(t, client(t, urlOf(s), nats.UserCredentialBytes(content)), nil)

	f := factory(t, map[string]string{"NATS_CREDS": string(content), "NATS_BAD": "no credentials"})
	require.NoError(t, send(t, open(t, f, urlOf(s), `"credentials":`+text(string(content))), batch(1, 2)))
	require.NoError(t, send(t, open(t, f, urlOf(s), `"credentials":"env:NATS_CREDS"`), batch(2, 2)))
	require.ErrorContains(t, send(t, open(t, f, urlOf(s), `"credentials":"env:NATS_BAD"`), batch(3, 2)), "credentials: hold no user JWT")
	require.ErrorContains(t, send(t, open(t, f, urlOf(s), `"credentials":`+text(credentials(t))), batch(3, 2)), "Authorization Violation")
	require.Equal(t, names(batch(1, 2), batch(2, 2)), stored(t, stream))
}
