package closest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/closest"
)

func TestTo(t *testing.T) {
	t.Parallel()
	names := []string{"store.postgres.url", "api.port", "api.publicURL", "monitoring.port", "log.level"}
	for unknown, want := range map[string]string{
		"api.prot": "api.port", "API.PORT": "api.port", "port": "api.port", "monitoring.prot": "monitoring.port", "webhooks.api.port": "api.port",
		"store.url": "store.postgres.url", "api.publicurl": "api.publicURL", "": "api.port", ".": "api.port",
		"é": "api.port", "level": "log.level",
	} {
		require.Equal(t, want, closest.To(unknown, names, "."), unknown)
	}
	require.Equal(t, "store.postgres.url", names[0], "they stay as they are")
	slices.Reverse(names)
	require.Equal(t, "api.port", closest.To("", names, "."), "whatever their order")
	require.Equal(t, "ONLY", closest.To("x", []string{"ONLY"}, "_"))
}

// A caller can send a name of any length.
func TestToOfALongName(t *testing.T) {
	t.Parallel()
	names := []string{"name", strings.Repeat("n", 120)}
	long := strings.Repeat("n", 1<<20)
	require.Equal(t, names[1], closest.To(long, names, "."))
}
