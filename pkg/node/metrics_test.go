package node_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
)

var update = flag.Bool("update", false, "write metrics.md anew")

const (
	metricsDoc   = "../../metrics.md"
	metricsTable = "| metric | labels | meaning |\n|---|---|---|\n"
)

var described = regexp.MustCompile(`^Desc\{fqName: "(pyralis_[a-z_]+)", help: (".*"), constLabels: \{\}, variableLabels: \{(.*)\}\}$`)

// TestMetricsAreDocumented compares metrics.md with what is measured: run it with -update after a change.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	n := newNode(t, config(t, "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0"), builtin.Plugins())
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	all := n.Metrics()
	// The peers need not be there for a connector to say what it measures.
	wallet := t.TempDir()
	writePair(t, wallet)
	fabric := newNode(t, config(t, "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0", "PYRALIS_CONNECTOR=fabric",
		"PYRALIS_FABRIC_MSPID=Org1MSP", "PYRALIS_FABRIC_CHANNELS=ch1", "PYRALIS_FABRIC_IDENTITY=user1", "PYRALIS_FABRIC_WALLET="+wallet,
		`PYRALIS_FABRIC_PEERS=[{"url":"grpc://127.0.0.1:1"}]`), builtin.Plugins())
	t.Cleanup(func() { require.NoError(t, fabric.Stop(context.WithoutCancel(t.Context()))) })
	for _, d := range fabric.Metrics() {
		if !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	var rows []string
	for _, d := range all {
		if !strings.Contains(d, `"pyralis_`) {
			continue
		}
		m := described.FindStringSubmatch(d)
		require.NotNil(t, m, d)
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), strings.ReplaceAll(strings.Trim(m[2], `"`), `\"`, `"`)))
	}
	slices.Sort(rows)
	doc, err := os.ReadFile(metricsDoc)
	require.NoError(t, err)
	head, table, found := strings.Cut(string(doc), metricsTable)
	require.True(t, found, "the table of metrics.md")
	if *update {
		require.NoError(t, os.WriteFile(metricsDoc, []byte(head+metricsTable+strings.Join(rows, "")), 0o600))
		return
	}
	require.Equal(t, strings.Join(rows, ""), table)
}

// writePair writes the identity user1 into a wallet.
func writePair(t *testing.T, wallet string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := filepath.Join(wallet, "user1")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

func TestMetricsOfStreamsAreServed(t *testing.T) {
	t.Parallel()
	n := start(t, config(t, "PYRALIS_MONITORING_ENABLED=true", "PYRALIS_MONITORING_PORT=0"))
	c := api(t, n)
	for _, name := range []string{"kept", "deleted"} {
		_, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name})
		require.NoError(t, err)
	}
	_, text := get(t, n.MonitoringURL()+"/metrics")
	for _, line := range []string{
		`pyralis_stream_state{state="`, `stream="deleted"} 1`, `pyralis_stream_delivered_events_total{stream="kept"} 0`, `pyralis_stream_in_flight_batches{stream="kept"} 0`,
		"\npyralis_events_memory_bytes 0\n",
	} {
		require.Contains(t, text, line)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	for _, p := range problems {
		require.NotContains(t, p.Metric, "pyralis_", p.Text)
	}
	require.NoError(t, c.DeleteStream(t.Context(), "deleted"))
	_, text = get(t, n.MonitoringURL()+"/metrics")
	require.NotContains(t, text, `stream="deleted"`)
	require.Contains(t, text, `stream="kept"`)
}
