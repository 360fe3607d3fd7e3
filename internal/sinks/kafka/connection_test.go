package kafka_test

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

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// certificate makes a certificate for this machine that vouches for itself, and the texts of it and its key.
func certificate(t *testing.T) (pair tls.Certificate, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
	pair, err = tls.X509KeyPair([]byte(cert), []byte(key))
	require.NoError(t, err)
	return pair, cert, key
}

func quoted(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// TLS, also in both directions, and all that can be wrong with it: each is told, and blocks the stream.
func TestTLS(t *testing.T) {
	t.Parallel()
	pair, cert, key := certificate(t)
	_, other, _ := certificate(t)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM([]byte(cert))
	secure, _ := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}))
	bare, _ := cluster(t)
	vars := map[string]string{"KAFKA_KEY": key}
	whole := apitypes.BrokerTLS{CA: cert, Certificate: cert, Key: "env:KAFKA_KEY"}
	change := func(f func(*apitypes.BrokerTLS)) *apitypes.BrokerTLS {
		c := whole
		f(&c)
		return &c
	}
	for name, c := range map[string]struct {
		cluster *kfake.Cluster
		tls     *apitypes.BrokerTLS
		words   string // "": all is well
		field   string
	}{
		"all is well":         {secure, &whole, "", ""},
		"another name":        {secure, change(func(c *apitypes.BrokerTLS) { c.ServerName = "kafka.example.com" }), "wanted to match kafka.example.com", "tls"},
		"another authority":   {secure, change(func(c *apitypes.BrokerTLS) { c.CA = other }), "certificate signed by unknown authority", "tls"},
		"no look at it":       {secure, change(func(c *apitypes.BrokerTLS) { c.CA, c.SkipHostVerify = other, true }), "", ""},
		"no certificate":      {secure, &apitypes.BrokerTLS{CA: cert}, "certificate required", ""},
		"plaintext to TLS":    {secure, nil, "is TLS missing?", "tls"},
		"TLS to plaintext":    {bare, &whole, "TLS with 127.0.0.1:", "tls"},
		"a reference to none": {secure, change(func(c *apitypes.BrokerTLS) { c.Key = "env:KAFKA_NONE" }), "env:KAFKA_NONE cannot be read", "tls.key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := ""
			if c.tls != nil {
				fields = `"tls":` + quoted(t, c.tls)
			}
			if c.cluster == bare {
				fields += `,"requestTimeout":"4s"` // which has to pass
			}
			f := factory(t, vars)
			s := open(t, f, config(c.cluster, fields))
			err := told(c.words, func() error { return send(t, s, batch(1, 2)) })
			probed := told(c.words, func() error { return probe(t, f, config(c.cluster, fields)) })
			if c.words == "" {
				require.NoError(t, err)
				require.NoError(t, probed)
				return
			}
			absent(t, err, c.words)
			require.ErrorContains(t, probed, c.words)
			require.NotContains(t, err.Error()+probed.Error(), "PRIVATE KEY")
			if c.field != "" {
				require.Equal(t, c.field, fieldOf(t, probed))
			}
		})
	}
}

// told tries until the error has the broker's words in it. They get lost if the broker has closed the connection when the client writes to it.
func told(words string, try func() error) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		err = try()
		if err == nil || strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "connection reset") {
			break
		}
	}
	return err
}

func probe(t *testing.T, f sink.Factory, cfg json.RawMessage) error {
	t.Helper()
	cfg, err := f.Validate(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, ok := f.(sink.Prober)
	require.True(t, ok)
	return p.Probe(ctx, theStream, cfg)
}

func fieldOf(t *testing.T, err error) string {
	t.Helper()
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv)
	require.NotEmpty(t, inv.Fix)
	return inv.Field
}

// All mechanisms, with what is right and what is wrong. No error shows a password.
func TestSASL(t *testing.T) {
	t.Parallel()
	const right, wrong = "canary-right", "canary-wrong"
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			c, _ := cluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "app", right), kfake.Superuser("PLAIN", "reader", right))
			vars := map[string]string{"KAFKA_USER": "app", "KAFKA_PASSWORD": wrong}
			fields := `"sasl":{"mechanism":"` + strings.ToLower(mechanism) + `","username":"env:KAFKA_USER","password":"env:KAFKA_PASSWORD"}`
			f := factory(t, vars)
			s := open(t, f, config(c, fields))
			err := send(t, s, batch(1, 2))
			absent(t, err, "the broker ended the connection instead of logging in to it with SASL")
			refuse(c)
			absent(t, send(t, s, batch(1, 2)), "SASL_AUTHENTICATION_FAILED")
			refuse(c)
			probed := probe(t, f, config(c, fields))
			require.ErrorContains(t, probed, "SASL_AUTHENTICATION_FAILED")
			require.Equal(t, "sasl", fieldOf(t, probed))
			require.NotContains(t, err.Error()+probed.Error(), "canary")

			vars["KAFKA_PASSWORD"] = right // which is read for the next connection
			require.NoError(t, send(t, s, batch(1, 2)))
			reader := kgo.SASL(plain.Auth{User: "reader", Pass: right}.AsMechanism())
			require.Equal(t, []string{"1-0", "1-1"}, ids(t, c, ledger, reader))
			if mechanism == "PLAIN" {
				require.Contains(t, s.(sink.Advising).Warnings(), "sasl.mechanism PLAIN without tls shows the password to whoever listens on the network.")
			}

			err = send(t, open(t, f, config(c, "")), batch(2, 1))
			absent(t, err, "SASL")
		})
	}
	c, _ := cluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "app", right))
	err := send(t, open(t, factory(t, nil), config(c, `"sasl":{"mechanism":"SCRAM-SHA-512","username":"app","password":"`+right+`"}`)), batch(1, 1))
	absent(t, err, "with SASL")
}

// refuse has the cluster answer the next login as Kafka does, with words and not by hanging up.
func refuse(c *kfake.Cluster) {
	c.ControlKey(kmsg.SASLAuthenticate.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		answer, _ := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
		answer.ErrorMessage = new("Authentication failed: Invalid username or password")
		return answer, nil, true
	})
}

// Addresses are looked at when they are connected to, those that a broker tells of as well.
func TestForbiddenAddresses(t *testing.T) {
	t.Parallel()
	c, _ := cluster(t)
	cfg := config(c, "")
	lenient := factory(t, nil)
	cfg, err := lenient.Validate(cfg)
	require.NoError(t, err)
	strict := guarded(t, broker.Config{}, nil)
	_, err = strict.Validate(cfg)
	require.Equal(t, "brokers[0]", fieldOf(t, err))
	s, err := strict.Open(t.Context(), theStream, cfg)
	require.NoError(t, err, "what is stored is opened all the same")
	defer shut(t, s)
	absent(t, send(t, s, batch(1, 1)), "127.0.0.1 is a loopback address, which may not be connected to; brokers.allow")

	// The bootstrap address is fine, and the brokers say that they are elsewhere.
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	require.NoError(t, err)
	named := guarded(t, broker.Config{Allow: []string{"localhost"}}, nil)
	s = open(t, named, json.RawMessage(`{"brokers":["localhost:`+port+`"],"topic":"ledger","requestTimeout":"100s"}`))
	absent(t, send(t, s, batch(1, 1)), "127.0.0.1 is a loopback address, which may not be connected to")
	require.Empty(t, ids(t, c, ledger))
}
