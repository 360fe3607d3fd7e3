package sqlstoretest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// URL is the PostgreSQL server for tests.
func URL() string {
	if u := os.Getenv("TEST_POSTGRES_URL"); u != "" { //nolint:forbidigo // of tests, not of the product
		return u
	}
	return "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
}

// database makes an empty database and drops it when the test ends, whoever still uses it.
func database(t testing.TB) string {
	t.Helper()
	u, err := url.Parse(URL())
	require.NoError(t, err)
	db := "pyralis_test_" + strings.ToLower(rand.Text())
	admin(t, `CREATE DATABASE `+db)
	t.Cleanup(func() { admin(t, `DROP DATABASE IF EXISTS `+db+` WITH (FORCE)`) })
	u.Path = "/" + db
	return u.String()
}

func admin(t testing.TB, query string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, URL())
	require.NoError(t, err, "no PostgreSQL at %s; set TEST_POSTGRES_URL", URL())
	defer func() { require.NoError(t, c.Close(ctx)) }()
	_, err = c.Exec(ctx, query)
	require.NoError(t, err)
}
