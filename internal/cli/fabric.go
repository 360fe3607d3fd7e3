package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func newFabric(plugins *plugin.Registry) *cobra.Command {
	cmd := &cobra.Command{Use: "fabric", Short: "Set up and examine the connection to a Hyperledger Fabric network", Args: cobra.NoArgs}
	cmd.AddCommand(newFabricInit(plugins), newFabricDoctor(plugins))
	return cmd
}

func newFabricDoctor(plugins *plugin.Registry) *cobra.Command {
	var file string
	var asJSON bool
	var q plugin.Question
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Try each hop of the way to a Fabric network, and say which one is broken",
		Long: "Try each hop of the way to a Fabric network with the configuration that \"pyralis run\" would use: the files here, then for each peer name, TCP, TLS,\n" +
			"gRPC, whether the identity is accepted, and for each channel whether it is there, blocks are delivered, orderers are reached and, with\n" +
			"--chaincode, whether it is committed, runs and finds endorsers. It changes nothing, needs no running node, and ends within 10 s.\n\n" +
			"The first hop that is broken is named with what may help. The exit status is 1 if one is. Without -f, " + defaultFile + " is read if it exists.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("file") {
				if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
					file = ""
				}
			}
			start := time.Now()
			checks, err := examine(cmd, plugins, file, q) // file is empty if there is none
			if err != nil {
				return err
			}
			d := diagnosis{checks: checks, took: time.Since(start)}
			if asJSON {
				err = d.writeJSON(cmd.OutOrStdout())
			} else {
				err = d.write(cmd.OutOrStdout())
			}
			if err == nil && d.first() != nil {
				err = errBroken
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", defaultFile, "configuration file")
	f.StringVar(&q.Ledger, "channel", "", "look at this channel only; it need not be in fabric.channels")
	f.StringVar(&q.Contract, "chaincode", "", "see whether this chaincode can be used")
	f.StringVar(&q.Signer, "identity", "", "use this identity in place of fabric.identity")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// errBroken ends the command with status 1. What is broken was printed.
var errBroken = errors.New("the way to the Fabric network is broken, see above")

// examine returns an error only for what is no finding: a configuration that is of another connector.
func examine(cmd *cobra.Command, plugins *plugin.Registry, file string, q plugin.Question) ([]plugin.Check, error) {
	cfg, err := config.Load(config.LoadOptions{File: file, Env: os.Environ()})
	if err != nil {
		return []plugin.Check{{
			Hop: "configuration", State: plugin.CheckFailed, Detail: strings.ReplaceAll(err.Error(), "\n", "; "),
			Fix: "config.md has every key; \"pyralis fabric init\" writes a file that works",
		}}, nil
	}
	if cfg.Connector != config.ConnectorFabric && file == "" {
		return nil, fmt.Errorf("connector: there is no %s here: name a configuration with -f, or write one with \"pyralis fabric init\"", defaultFile)
	}
	if cfg.Connector != config.ConnectorFabric {
		return nil, fmt.Errorf("connector: it is %q, so there is no Fabric network to examine; set it to %q, or name another file with -f", cfg.Connector, config.ConnectorFabric)
	}
	return node.Diagnose(cmd.Context(), cfg, plugins, q)
}

// diagnosis is what was found.
type diagnosis struct {
	checks []plugin.Check
	took   time.Duration
}

// first is the first hop that is broken, nil if none is.
func (d *diagnosis) first() *plugin.Check {
	for i := range d.checks {
		if d.checks[i].State == plugin.CheckFailed {
			return &d.checks[i]
		}
	}
	return nil
}

func hopName(c *plugin.Check) string { return hopNames([]plugin.Check{*c}) }

// hopNames names hops of one peer.
func hopNames(checks []plugin.Check) string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = strings.TrimSpace(c.Hop + " " + c.Ledger)
	}
	return strings.TrimSpace(checks[0].Peer + " " + strings.Join(names, ", "))
}

// write prints a line for each hop, one for those in a row that were skipped for the same reason, and then what matters.
func (d *diagnosis) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	warnings, tried := 0, 0
	for i := 0; i < len(d.checks); i++ {
		c := &d.checks[i]
		if c.State == plugin.CheckSkipped {
			n := d.alike(i)
			fmt.Fprintln(tw, row(c.State, hopNames(d.checks[i:i+n]), "", c.Detail))
			i += n - 1
			continue
		}
		tried++
		state, took := c.State, c.Took.Round(time.Millisecond).String()
		if state == plugin.CheckFailed {
			state = "FAILED"
		}
		fmt.Fprintln(tw, row(state, hopName(c), took, c.Detail))
		if c.State == plugin.CheckWarning {
			warnings++
			fmt.Fprintln(tw, row("", "", "", "→ "+c.Fix))
		}
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "\n", d.summary(tried, warnings))
	return err
}

// alike counts the checks from one on that were skipped at the same peer for the same reason.
func (d *diagnosis) alike(from int) (n int) {
	for _, c := range d.checks[from:] {
		if first := d.checks[from]; c.State != first.State || c.Peer != first.Peer || c.Detail != first.Detail {
			break
		}
		n++
	}
	return n
}

func (d *diagnosis) summary(tried, warnings int) string {
	f := d.first()
	switch {
	case f != nil && f.Fix != "":
		return fmt.Sprintf("The first broken hop is %s: %s\nWhat may help: %s\n", hopName(f), row(f.Detail), row(f.Fix))
	case f != nil:
		return fmt.Sprintf("The first broken hop is %s: %s\n", hopName(f), row(f.Detail))
	case warnings > 0:
		return fmt.Sprintf("It works: %d hops in %v, %d with a warning\n", tried, d.took.Round(time.Millisecond), warnings)
	default:
		return fmt.Sprintf("All is well: %d hops in %v\n", tried, d.took.Round(time.Millisecond))
	}
}

// checkJSON is a check for programs.
type checkJSON struct {
	Peer    string  `json:"peer,omitempty"`
	Channel string  `json:"channel,omitempty"`
	Hop     string  `json:"hop"`
	State   string  `json:"state"`
	Detail  string  `json:"detail,omitempty"`
	Fix     string  `json:"fix,omitempty"`
	Millis  float64 `json:"millis"`
}

func (d *diagnosis) writeJSON(w io.Writer) error {
	out := struct {
		OK          bool        `json:"ok"`
		FirstBroken *checkJSON  `json:"firstBroken,omitempty"`
		Checks      []checkJSON `json:"checks"`
		Millis      float64     `json:"millis"`
	}{OK: d.first() == nil, Checks: []checkJSON{}, Millis: millis(d.took)}
	for i := range d.checks {
		c := &d.checks[i]
		shown := checkJSON{c.Peer, c.Ledger, c.Hop, c.State, c.Detail, c.Fix, millis(c.Took)}
		out.Checks = append(out.Checks, shown)
		if c == d.first() {
			out.FirstBroken = &shown
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func millis(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond).Microseconds()) / 1000
}
