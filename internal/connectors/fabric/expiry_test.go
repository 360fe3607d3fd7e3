package fabric

import (
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// One warning at each of 30, 7 and 1 days and at the end, also when nobody looked in between, and again for a renewed certificate.
func TestExpiryWarns(t *testing.T) {
	t.Parallel()
	logged := &logBuffer{}
	l := logrus.New()
	l.SetOutput(logged)
	e := newExpiry(logrus.NewEntry(l))
	end := time.Date(2030, 1, 31, 12, 0, 0, 0, time.UTC)
	now := end.Add(-90 * oneDay)
	e.now = func() time.Time { return now }
	lines := func(at time.Time) (level, text string) {
		t.Helper()
		now = at
		before := logged.String()
		for range 3 {
			e.note("user1", end)
		}
		fresh := strings.TrimPrefix(logged.String(), before)
		require.LessOrEqual(t, strings.Count(fresh, "\n"), 1, fresh)
		_, rest, _ := strings.Cut(fresh, "level=")
		level, _, _ = strings.Cut(rest, " ")
		return level, fresh
	}
	for _, step := range []struct {
		left  time.Duration
		level string
		days  string
	}{
		{31 * oneDay, "", ""}, {29 * oneDay, "warning", "days=29"}, {20 * oneDay, "", ""}, {7 * oneDay, "warning", "days=7"}, {2 * oneDay, "", ""}, {23 * time.Hour, "warning", "days=0"}, {0, "error", ""}, {-oneDay, "", ""},
	} {
		level, text := lines(end.Add(-step.left))
		require.Equal(t, step.level, level, "%v: %s", step.left, text)
		require.Contains(t, text, step.days)
		if level != "" {
			require.Contains(t, text, "certificate=user1")
			require.Contains(t, text, "2030-01-31T12:00:00Z")
		}
	}
	end = now.Add(100 * oneDay)
	level, _ := lines(now)
	require.Empty(t, level)
	level, _ = lines(end.Add(-12 * time.Hour))
	require.Equal(t, "warning", level, "several at once are one")
	left := map[string]time.Duration{}
	e.left(func(d time.Duration, name string) { left[name] = d })
	require.Equal(t, map[string]time.Duration{"user1": 12 * time.Hour}, left)
	e.forget("user1")
	e.left(func(time.Duration, string) { require.Fail(t, "it is forgotten") })
}

// values reads a metric.
func values(t *testing.T, c *Connector, name string) map[string]float64 {
	t.Helper()
	for _, m := range c.Metrics() {
		if m.Name == name {
			out := map[string]float64{}
			m.Read(func(v float64, labels ...string) {
				require.Len(t, labels, len(m.Labels))
				out[strings.Join(labels, ",")] = v
			})
			return out
		}
	}
	require.Fail(t, "there is no metric "+name)
	return nil
}

func TestMetricsOfPeersAndCertificates(t *testing.T) {
	t.Parallel()
	ca := newTLSAuthority(t, "tlsca.org1")
	cert, key := ca.issue(t, time.Now().Add(40*oneDay), "client")
	gone, f := newFakePeer(t), newFakePeer(t)
	gone.stop()
	makeIdentity(t, f.wallet, "never-used", "")
	c, logged := explicitly(t, f.wallet, func(cfg *Config) {
		cfg.TLS = TLS{cert, key}
		cfg.Backoff = Backoff{time.Hour, time.Hour}
	}, gone.address, f.address)
	require.Equal(t, map[string]float64{"a": 1, "b": 1}, values(t, c, "pyralis_fabric_peer_up"))
	_, err := c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"a": 0, "b": 1}, values(t, c, "pyralis_fabric_peer_up"))
	require.Equal(t, map[string]float64{"a": 1, "b": 0}, values(t, c, "pyralis_fabric_peer_failures_total"))
	require.Equal(t, map[string]float64{"": 1}, values(t, c, "pyralis_fabric_failovers_total"))
	left := values(t, c, "pyralis_fabric_certificate_expiry_seconds")
	require.Len(t, left, 3)
	require.InDelta(t, time.Hour.Seconds(), left["user1"], 60)
	require.InDelta(t, time.Hour.Seconds(), left["never-used"], 60)
	require.InDelta(t, 40*24*time.Hour.Seconds(), left[tlsCertificate], 60)
	require.Contains(t, logged.String(), "certificate=never-used")
}
