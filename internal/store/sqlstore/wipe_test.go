package sqlstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
)

func TestWipeRemovesOnlyWhatIsOurs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := sqlstore.OpenSQLite(t.Context(), sqlstore.SQLiteConfig{Dir: dir})
	require.NoError(t, err)
	require.ErrorIs(t, sqlstore.Wipe(dir), store.ErrInUse)
	require.NoError(t, s.Close())

	for _, name := range []string{"ledger", "theirs"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "file"), []byte("x"), 0o600))
	}
	require.NoError(t, sqlstore.Wipe(dir, "ledger"))
	require.NoFileExists(t, filepath.Join(dir, sqlstore.SQLiteFile))
	require.NoDirExists(t, filepath.Join(dir, "ledger"))
	require.FileExists(t, filepath.Join(dir, "theirs", "file"))
	require.NoError(t, sqlstore.Wipe(filepath.Join(dir, "nowhere")))
}
