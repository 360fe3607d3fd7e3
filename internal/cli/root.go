package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/plugin"
)

// Version is set by the linker; see versionText for what stands in for it.
var Version string

// Main runs the command line and returns the exit status. SIGINT and SIGTERM end a running command cleanly; a second one at
// once.
func Main(plugins *plugin.Registry, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newRoot(plugins)
	root.SetArgs(args)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return 0
	default:
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(os.Stderr, "pyralis:", line)
		}
		return 1
	}
}

func newRoot(plugins *plugin.Registry) *cobra.Command {
	root := &cobra.Command{
		Use:           "pyralis",
		Short:         "Connects applications to blockchains",
		Long:          "Pyralis connects applications to blockchains: submit transactions over REST, receive confirmed events at least once.",
		SilenceUsage:  true,
		SilenceErrors: true,
		// A suggestion would make an error several lines.
		DisableSuggestions: true,
	}
	root.AddCommand(
		newRun(plugins), newDev(plugins), newListen(), newTx(), newStream(), newListener(), newDeadLetter(),
		newFabric(plugins), newConfig(plugins), newImport(plugins), newOpenAPI(), newVersion(),
	)
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// versionText is the linker's version, else the module's, else the commit.
func versionText() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "devel"
}
