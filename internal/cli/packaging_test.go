package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/pkg/builtin"
)

// requireCommand checks that a command line is one of this binary.
func requireCommand(t *testing.T, args ...string) {
	t.Helper()
	cmd, rest, err := newRoot(builtin.Plugins()).Find(args)
	require.NoError(t, err)
	require.True(t, cmd.Runnable(), "%v", args)
	require.NoError(t, cmd.ParseFlags(rest), "%v", args)
	require.Empty(t, cmd.Flags().Args(), "%v", args)
}

// requireVariables checks that environment variables are keys of the configuration.
func requireVariables(t *testing.T, vars []string) {
	t.Helper()
	require.NotEmpty(t, vars)
	_, err := config.Load(config.LoadOptions{Env: vars})
	require.NoError(t, err)
}

func TestPackagingNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	unit, err := os.ReadFile(filepath.Join(root, "packaging", "systemd", "pyralis.service"))
	require.NoError(t, err)
	commands := regexp.MustCompile(`(?m)^ExecStart(?:Pre)?=/usr/local/bin/pyralis (.*)$`).FindAllSubmatch(unit, -1)
	require.Len(t, commands, 2)
	for _, c := range commands {
		requireCommand(t, strings.Fields(string(c[1]))...)
	}
	variable := regexp.MustCompile(`PYRALIS_[A-Z_]+=\S+`)
	requireVariables(t, variable.FindAllString(string(unit), -1))

	image, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	requireVariables(t, variable.FindAllString(string(image), -1))
	var main []string
	for _, c := range regexp.MustCompile(`(?m)\b(HEALTHCHECK .*CMD|CMD|ENTRYPOINT) (\[.*\])$`).FindAllSubmatch(image, -1) {
		var args []string
		require.NoError(t, json.Unmarshal(c[2], &args))
		if !strings.HasPrefix(string(c[1]), "HEALTHCHECK") {
			main = append(main, args...)
			continue
		}
		require.Equal(t, "/usr/local/bin/pyralis", args[0])
		requireCommand(t, args[1:]...)
	}
	require.Equal(t, "/usr/local/bin/pyralis", main[0])
	requireCommand(t, main[1:]...)
	for _, c := range regexp.MustCompile(`(?m)^COPY (?:--\S+ )*(.*)$`).FindAllStringSubmatch(string(image), -1) {
		if strings.HasPrefix(c[0], "COPY --from") {
			continue
		}
		files := strings.Fields(c[1])
		for _, file := range files[:len(files)-1] {
			_, err := os.Stat(filepath.Join(root, file))
			require.NoError(t, err)
		}
	}
}
