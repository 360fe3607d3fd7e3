package sqlstoretest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store/sqlstore/migrations"
)

// URL is the PostgreSQL server for tests.
func URL() string {
	if u := os.Getenv("TEST_POSTGRES_URL"); u != "" { //nolint:forbidigo // of tests, not of the product
		return u
	}
	return "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
}

// database makes a database and drops it when the test ends, whoever still uses it.
func database(t testing.TB, template string) string {
	t.Helper()
	db := "pyralis_test_" + strings.ToLower(rand.Text())
	admin(t, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `CREATE DATABASE `+db+` TEMPLATE `+template)
		return err
	})
	t.Cleanup(func() {
		admin(t, func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, `DROP DATABASE IF EXISTS `+db+` WITH (FORCE)`)
			return err
		})
	})
	return urlOf(t, db)
}

func urlOf(t testing.TB, db string) string {
	t.Helper()
	u, err := url.Parse(URL())
	require.NoError(t, err)
	u.Path = "/" + db
	return u.String()
}

const (
	noTemplate   = "template1"
	templateLock = 0x5079_7261_6c7f // advisory lock of who makes the template
)

// template returns the database that holds an empty store of this schema, from which others are copied. It is made by the first test
// that needs it and stays: its name has a digest of the schema. That it can no longer be connected to says that it is whole.
func template(t testing.TB) string {
	t.Helper()
	name := "pyralis_test_template_" + schemaDigest(t)
	admin(t, func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(templateLock)); err != nil { // until c is closed
			return err
		}
		var whole bool
		err := c.QueryRow(ctx, `SELECT NOT datallowconn FROM pg_database WHERE datname = $1`, name).Scan(&whole)
		if whole || (err != nil && !errors.Is(err, pgx.ErrNoRows)) {
			return err
		}
		for _, query := range []string{`DROP DATABASE IF EXISTS ` + name + ` WITH (FORCE)`, `CREATE DATABASE ` + name} {
			if _, err := c.Exec(ctx, query); err != nil {
				return err
			}
		}
		s, err := (&Place{Dialect: Postgres, URL: urlOf(t, name)}).Try(ctx)
		if err == nil {
			err = s.Close()
		}
		if err == nil {
			_, err = c.Exec(ctx, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
		}
		return err
	})
	return name
}

func schemaDigest(t testing.TB) string {
	t.Helper()
	h := sha256.New()
	require.NoError(t, fs.WalkDir(migrations.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(migrations.FS, path)
		_, _ = fmt.Fprintf(h, "%s %d %s", path, len(text), text) // a hash never fails
		return err
	}))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// admin does something on a connection of its own.
func admin(t testing.TB, do func(ctx context.Context, c *pgx.Conn) error) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.Connect(ctx, URL())
	require.NoError(t, err, "no PostgreSQL at %s; set TEST_POSTGRES_URL", URL())
	defer func() { require.NoError(t, c.Close(ctx)) }()
	require.NoError(t, do(ctx, c))
}
