package sqlstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
)

// fill makes many transactions at once, beside the store: the oldest ten have failed and the next ten are suspended, a hundred of the
// newest are pending, all others have succeeded. Each signer has 1000 of them; one label is on all of
// them, one on 100 each, one on the oldest ten.
func fill(t testing.TB, p *sqlstoretest.Place, many int) {
	t.Helper()
	numbers := fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)", many)
	if p.Dialect == sqlstoretest.Postgres {
		numbers = fmt.Sprintf("WITH n AS (SELECT i FROM generate_series(1, %d) AS g (i))", many)
	}
	status := fmt.Sprintf("CASE WHEN i <= 10 THEN 'Failed' WHEN i <= 20 THEN 'Suspended' WHEN i > %d THEN 'Pending' ELSE 'Succeeded' END", many-100)
	const tx = `(seq, id, version, kind, created, updated, status, sub, sub_since, shard, ledger, signer, recipient, nonce, value, gas, attempt,
		hash, first_submit, last_submit, error, due, history_n, history_fold)`
	for _, sql := range []string{
		"INSERT INTO tx " + tx + " " + numbers + ` SELECT i, 'tx-' || i, 1, 'SendTransaction', 1700000000000000 + i, 1700000000000000 + i, ` + status + `,
			'Confirmed', 0, 0, 'main', 'signer-' || (i % SIGNERS), 'assets', i / SIGNERS, '', '21000', 1, '0x00000000000000000000000000000000' || i,
			1, 1, '', 0, 0, 0 FROM n`,
		"INSERT INTO keys (key, body_hash, tx, expires) " + numbers + " SELECT 'tx-' || i, " + emptyBlob(p) + ", i, 0 FROM n",
		"INSERT INTO tx_labels (name, value, tx) " + numbers + " SELECT 'kind', 'invoice', i FROM n",
		"INSERT INTO tx_labels (name, value, tx) " + numbers + " SELECT 'objectId', 'o-' || (i % OBJECTS), i FROM n",
		"INSERT INTO tx_labels (name, value, tx) " + numbers + " SELECT 'rare', 'yes', i FROM n WHERE i <= 10",
	} {
		p.Exec(t, strings.NewReplacer("SIGNERS", fmt.Sprint(many/1000), "OBJECTS", fmt.Sprint(many/100)).Replace(sql))
	}
	if p.Dialect == sqlstoretest.Postgres {
		p.Exec(t, "ANALYZE")
		return
	}
	p.Exec(t, "INSERT INTO tx_by_signer SELECT signer, seq FROM tx")
	p.Exec(t, "UPDATE signer_index SET upto = (SELECT max(seq) FROM tx)")
}

func emptyBlob(p *sqlstoretest.Place) string {
	if p.Dialect == sqlstoretest.Postgres {
		return "''::bytea"
	}
	return "x''"
}

// wide are filters that must be answered without looking at more than a page, and some that need a little more.
var wide = []struct {
	name string
	flt  store.TxFilter
}{
	{"plain", store.TxFilter{Limit: 25}},
	{"after", store.TxFilter{Limit: 25, After: 5000}},
	{"signer", store.TxFilter{Limit: 25, Signer: "signer-7"}},
	{"status=Succeeded", store.TxFilter{Limit: 25, Statuses: []store.TxStatus{store.Succeeded}}},
	{"status=Failed", store.TxFilter{Limit: 25, Statuses: []store.TxStatus{store.Failed}}},
	{"status=Suspended", store.TxFilter{Limit: 25, Statuses: []store.TxStatus{store.Suspended}}},
	{"status=Failed,Suspended", store.TxFilter{Limit: 25, Statuses: []store.TxStatus{store.Failed, store.Suspended}}},
	{"pending", store.TxFilter{Limit: 25, Statuses: []store.TxStatus{store.Pending, store.Suspended}}},
	{"label", store.TxFilter{Limit: 25, Labels: map[string]string{"objectId": "o-77"}}},
	{"label of all", store.TxFilter{Limit: 25, Labels: map[string]string{"kind": "invoice"}}},
	{"labels", store.TxFilter{Limit: 25, Labels: map[string]string{"kind": "invoice", "objectId": "o-77"}}},
	{"rare with frequent label", store.TxFilter{Limit: 25, Labels: map[string]string{"kind": "invoice", "rare": "yes"}}},
	{"label and status", store.TxFilter{Limit: 25, Labels: map[string]string{"kind": "invoice"}, Statuses: []store.TxStatus{store.Failed}}},
	{"signer and status", store.TxFilter{Limit: 25, Signer: "signer-7", Statuses: []store.TxStatus{store.Failed}}},
	{"id", store.TxFilter{Limit: 25, Match: []store.TxMatch{{{Field: store.FieldID, Op: store.Equal, Text: "tx-77"}}}}},
	{"to", store.TxFilter{Limit: 25, Match: []store.TxMatch{{{Field: store.FieldTo, Op: store.Equal, Text: "assets"}}}}},
}

// No page is made by reading a table from end to end.
func TestPagesUseIndexes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, dialect string) {
		t.Helper()
		p := sqlstoretest.NewPlace(t, dialect)
		s := p.Open(t)
		fill(t, p, 20_000)
		for _, c := range wide {
			for _, plan := range sqlstore.Plans(t, s, c.flt) {
				// PostgreSQL may sort the few rows that a bounded search looks at.
				for _, bad := range []string{"TEMP B-TREE", "Seq Scan", "Hash Join"} {
					require.NotContains(t, plan, bad, c.name)
				}
			}
		}
		for name, index := range map[string]string{
			"signer":        map[string]string{sqlstoretest.SQLite: "SEARCH g USING PRIMARY KEY (signer=?", sqlstoretest.Postgres: "tx_signer"}[dialect],
			"status=Failed": "tx_status", "status=Suspended": "tx_status", "pending": "tx_open",
			"label": map[string]string{sqlstoretest.SQLite: "PRIMARY KEY", sqlstoretest.Postgres: "tx_labels_pkey"}[dialect],
		} {
			i := slices.IndexFunc(wide, func(c struct {
				name string
				flt  store.TxFilter
			}) bool {
				return c.name == name
			})
			require.Contains(t, strings.Join(sqlstore.Plans(t, s, wide[i].flt), "\n"), index, name)
		}
	})
}

// A search that no index answers ends, and says where to go on.
func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	p := sqlstoretest.NewPlace(t, sqlstoretest.SQLite)
	s := p.Open(t)
	const many = store.MaxSearch + 1000
	fill(t, p, many)
	flt := store.TxFilter{Limit: 2, Match: []store.TxMatch{{{Field: store.FieldHash, Op: store.EndsWith, Text: "0009"}}}}
	txs, err := s.List(t.Context(), flt)
	require.NoError(t, err, "enough is found on the way")
	require.Len(t, txs, 2)

	flt.Match[0][0].Text = "x"
	_, err = s.List(t.Context(), flt)
	var wide *store.TooWide
	require.ErrorAs(t, err, &wide)
	require.Equal(t, &store.TooWide{Looked: store.MaxSearch, Last: fmt.Sprint("tx-", many-store.MaxSearch+1)}, wide)
	flt.After = many - store.MaxSearch + 1
	txs, err = s.List(t.Context(), flt)
	require.NoError(t, err, "the rest of the way")
	require.Empty(t, txs)

	deep := store.TxFilter{Limit: 25, Match: []store.TxMatch{{{Field: store.FieldHash, Op: store.Equal, Text: fmt.Sprint("0x", strings.Repeat("0", 32), many/2)}}}}
	txs, err = s.List(t.Context(), deep)
	require.NoError(t, err)
	require.Len(t, txs, 1, "less than a page is found on the way")
	require.Equal(t, fmt.Sprint("tx-", many/2), txs[0].ID)

	_, err = s.Count(t.Context(), flt)
	require.ErrorAs(t, err, &wide)
	require.Empty(t, wide.Last)
	n, err := s.Count(t.Context(), store.TxFilter{})
	require.NoError(t, err)
	require.Equal(t, many, n)
	n, err = s.Count(t.Context(), store.TxFilter{Labels: map[string]string{"kind": "invoice"}})
	require.NoError(t, err)
	require.Equal(t, many, n)
	n, err = s.Count(t.Context(), store.TxFilter{Signer: "signer-7", Labels: map[string]string{"kind": "invoice"}})
	require.NoError(t, err)
	require.Equal(t, 1000, n)
}

// BenchmarkList asks for pages among a million transactions, one after the other. p99-ms is what 99 of 100 pages took at most.
func BenchmarkList(b *testing.B) {
	for _, dialect := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		b.Run(dialect, func(b *testing.B) {
			p := sqlstoretest.NewPlace(b, dialect)
			s := p.Open(b)
			fill(b, p, 1_000_000)
			for _, c := range wide {
				b.Run(c.name, func(b *testing.B) {
					var took []time.Duration
					for b.Loop() {
						began := time.Now()
						txs, err := s.List(b.Context(), c.flt)
						took = append(took, time.Since(began))
						if err != nil || len(txs) > 25 {
							b.Fatal(err, len(txs))
						}
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				})
			}
			for name, flt := range map[string]store.TxFilter{"all": {}, "label": {Labels: map[string]string{"kind": "invoice"}}} {
				b.Run("count "+name, func(b *testing.B) {
					for b.Loop() {
						if _, err := s.Count(b.Context(), flt); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
