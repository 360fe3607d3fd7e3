package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/fftm"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func newImport(plugins *plugin.Registry) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Take over what another server did",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImportFFTM(plugins))
	return cmd
}

// importFFTM is an import from a FireFly Transaction Manager.
type importFFTM struct {
	plugins *plugin.Registry

	file, database, api, output string
	positions                   fftm.Options
	how                         node.ImportOptions
}

func newImportFFTM(plugins *plugin.Registry) *cobra.Command {
	i := &importFFTM{plugins: plugins}
	cmd := &cobra.Command{
		Use:   "fftm (--leveldb DIR | --from URL --back BLOCKS)",
		Short: "Take over the event streams of a FireFly Transaction Manager",
		Long: "Take over the event streams, listeners and positions of a FireFly Transaction Manager (FFTM) into the store of a configuration, whose node must be\n" +
			"stopped. Ids, names and times are kept, so that FireFly Core finds its streams. The chain must be reachable.\n\n" +
			"With --leveldb the positions are exact: they are the checkpoints of FFTM, which must be stopped. The last event that was acknowledged there comes\n" +
			"again, and nothing is missed. With --from they are how far FFTM has read, which may be ahead of what was acknowledged. So they are set back by\n" +
			"--back blocks: as many as may hold events that are not acknowledged. --back 0 is right if all of them are.\n\n" +
			"A listener without a position begins at its fromBlock. If that is latest, it is not taken over, because what came since it was made would be lost;\n" +
			"--latest-now takes it over all the same, from the latest block of now on.\n\n" +
			"The streams are suspended here, unless --resume. An import can be repeated: what is here stays as it is, but listeners that have delivered nothing\n" +
			"here follow their old place. What is not taken over is told with the reason, and ends in status 1.",
		Example: "  pyralis import fftm --leveldb /var/fftm/leveldb --dry-run\n" +
			"  pyralis import fftm --from http://old:5008 --back 100 -f pyralis.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVarP(&i.file, "file", "f", defaultFile, "configuration file")
	f.StringVar(&i.database, "leveldb", "", "directory of the LevelDB of an FFTM that is stopped")
	f.StringVar(&i.api, "from", "", "URL of the REST API of an FFTM that runs; http://user:password@host for basic authentication")
	f.Uint64Var(&i.positions.Back, "back", 0, "blocks that positions are set back by; required with --from")
	f.BoolVar(&i.positions.LatestNow, "latest-now", false, "begin listeners from latest on without a position at the latest block of now; what came before is not delivered")
	f.BoolVar(&i.how.Resume, "resume", false, "run the streams that were not suspended in FFTM")
	f.BoolVar(&i.how.DryRun, "dry-run", false, "tell what would be done, and do nothing")
	f.StringVarP(&i.output, "output", "o", outputTable, "how to print: table or json")
	return cmd
}

func (i *importFFTM) run(cmd *cobra.Command) error {
	if err := checkOutput(i.output); err != nil {
		return err
	}
	streams, err := i.read(cmd)
	if err != nil {
		return err
	}
	cfg, err := config.Load(config.LoadOptions{File: i.file, Env: os.Environ()})
	if err != nil {
		return err
	}
	entries, err := node.Import(cmd.Context(), node.Options{Config: cfg, Plugins: i.plugins}, streams, i.how)
	if err != nil {
		return err
	}
	return i.report(cmd.OutOrStdout(), entries)
}

// read reads the one source that is named.
func (i *importFFTM) read(cmd *cobra.Command) ([]*apitypes.MovedStream, error) {
	switch {
	case (i.database == "") == (i.api == ""):
		return nil, errors.New("give either --leveldb or --from")
	case i.database != "":
		return fftm.ReadDatabase(i.database, i.positions)
	case !cmd.Flags().Changed("back"):
		return nil, errors.New("--from needs --back: FFTM tells how far it has read, not how far its clients have acknowledged. " +
			"Give the blocks that may hold events which are not acknowledged, or 0 if there are none")
	}
	streams, err := fftm.ReadAPI(cmd.Context(), i.api, i.positions)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	return streams, nil
}

func (i *importFFTM) report(w io.Writer, entries []apitypes.ImportEntry) error {
	skipped := 0
	for _, e := range entries {
		if e.Action == apitypes.ImportSkipped {
			skipped++
		}
	}
	if i.output == outputJSON {
		if err := show(w, outputJSON, entries); err != nil {
			return err
		}
	} else if err := importTable(w, entries); err != nil {
		return err
	}
	if skipped > 0 {
		return fmt.Errorf("%d of %d streams and listeners are not taken over; the report says why", skipped, len(entries))
	}
	return nil
}

func importTable(w io.Writer, entries []apitypes.ImportEntry) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "STREAM\tLISTENER\tACTION\tGOES ON AT\tNOTES")
	for _, e := range entries {
		fmt.Fprintln(tw, row(e.Stream, e.Listener, e.Action, e.Position, strings.Join(e.Notes, "; ")))
	}
	return tw.Flush()
}
