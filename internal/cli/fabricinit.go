package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/plugin"
)

// fabricInit is what is known of a Fabric network before anything is looked up.
type fabricInit struct {
	profile, msp, mspID, wallet, identity, tlsCA, clientCert, clientKey string
	peers, channels                                                     []string
	out                                                                 string
	force                                                               bool
}

func newFabricInit(plugins *plugin.Registry) *cobra.Command {
	var in fabricInit
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a configuration for a Fabric network from a connection profile or an MSP folder",
		Long: "Write a configuration for a Fabric network: its peers are those of a connection profile (--profile) or are named (--peer), and who signs is in a\n" +
			"wallet (--wallet) or in an MSP folder as Fabric CA and cryptogen make it (--msp). MSP id and channels that are not given are taken from the profile,\n" +
			"or asked of a peer. A file that is there is left alone, unless --force says otherwise.\n\n" +
			"  pyralis fabric init --profile connection.yaml --wallet wallet\n" +
			"  pyralis fabric init --msp users/User1@org1.example.com/msp --peer grpcs://peer0.org1.example.com:7051",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return in.run(cmd, plugins) },
	}
	f := cmd.Flags()
	f.StringVar(&in.profile, "profile", "", "connection profile, YAML or JSON")
	f.StringArrayVar(&in.peers, "peer", nil, "URL of a peer, grpcs://host:port; may be given several times, the preferred one first")
	f.StringVar(&in.tlsCA, "tls-ca", "", "certificate of the CA of the peers' TLS certificates, file or folder; default: tlscacerts in --msp")
	f.StringVar(&in.clientCert, "client-cert", "", "certificate to show to peers that want one (mutual TLS), with --client-key")
	f.StringVar(&in.clientKey, "client-key", "", "key of --client-cert")
	f.StringVar(&in.msp, "msp", "", "MSP folder of the identity, with signcerts and keystore")
	f.StringVar(&in.wallet, "wallet", "", "folder with one sub-folder per identity: cert.pem, key.pem and optionally mspid")
	f.StringVar(&in.identity, "identity", "", "identity that reads blocks; default: the only one")
	f.StringVar(&in.mspID, "msp-id", "", "MSP id of the organisation, e.g. Org1MSP; default: what the profile or a peer says")
	f.StringArrayVar(&in.channels, "channel", nil, "channel to use; may be given several times; default: all that the peer has joined")
	f.StringVar(&in.out, "out", defaultFile, "file to write")
	f.BoolVar(&in.force, "force", false, "overwrite the file")
	return cmd
}

func (in *fabricInit) run(cmd *cobra.Command, plugins *plugin.Registry) error {
	if _, err := os.Stat(in.out); err == nil && !in.force {
		return fmt.Errorf("--out: %s is there already: name another file, or overwrite it with --force", in.out)
	}
	section, err := in.section()
	if err != nil {
		return err
	}
	p, err := plugins.Connector("fabric")
	if err != nil {
		return err
	}
	if p.Complete == nil {
		return errors.New("this binary cannot look up what a configuration for Fabric needs")
	}
	raw, err := json.Marshal(section)
	if err != nil {
		return err
	}
	done, err := p.Complete(cmd.Context(), plugin.Env{Config: raw})
	if err != nil {
		return flagged(err)
	}
	var found struct {
		MSPID    string   `json:"mspID"`
		Channels []string `json:"channels"`
		Identity string   `json:"identity"`
	}
	if err := json.Unmarshal(done, &found); err != nil {
		return err
	}
	section["mspID"], section["channels"], section["identity"] = found.MSPID, found.Channels, found.Identity
	if err := in.write(section); err != nil {
		return err
	}
	return in.goOn(cmd.OutOrStdout(), found.Channels[0], found.Identity)
}

// flags are the keys for which flags stand, in the words of errors.
var flags = strings.NewReplacer("fabric.mspID:", "--msp-id:", "fabric.channels:", "--channel:", "fabric.identity:", "--identity:", "fabric.wallet:", "--wallet:",
	"fabric.profile:", "--profile:", ".tlsCACert:", ".tlsCACert (--tls-ca):", ".url:", ".url (--peer):", "fabric.identities[0].mspDir", "--msp",
	"(fabric.tls)", "(--client-cert)", "fabric.tls.clientCertificate", "--client-cert", "fabric.tls.clientKey", "--client-key")

// flagged names flags in place of the keys that they stand for.
func flagged(err error) error { return errors.New(flags.Replace(err.Error())) }

// check refuses flags that do not go together.
func (in *fabricInit) check() error {
	switch {
	case in.profile == "" && len(in.peers) == 0:
		return errors.New("--profile: name a connection profile, or peers with --peer")
	case in.profile != "" && len(in.peers) > 0:
		return errors.New("--peer: the peers are those of --profile: leave one of them out")
	case in.profile != "" && in.tlsCA != "":
		return errors.New("--tls-ca: who issued the certificates of the peers is in --profile: leave it out")
	case (in.clientCert == "") != (in.clientKey == ""):
		return errors.New("--client-cert: give both it and --client-key, or none")
	case in.wallet == "" && in.msp == "":
		return errors.New("--wallet: name a folder with identities, or the MSP folder of one with --msp")
	}
	return nil
}

// section is what the flags say, as the section "fabric" of a configuration.
func (in *fabricInit) section() (map[string]any, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	out := map[string]any{}
	paths := map[string]string{"profile": in.profile, "wallet": in.wallet}
	for key, path := range paths {
		if path == "" {
			continue
		}
		full, err := there(key, path)
		if err != nil {
			return nil, err
		}
		out[key] = full
	}
	if err := in.addMSP(out); err != nil {
		return nil, err
	}
	if err := in.addPeers(out); err != nil {
		return nil, err
	}
	for key, value := range map[string]string{"mspID": in.mspID, "identity": in.identity} {
		if value != "" {
			out[key] = value
		}
	}
	if len(in.channels) > 0 {
		out["channels"] = in.channels
	}
	return out, in.addTLS(out)
}

// addTLS names the certificate for mutual TLS.
func (in *fabricInit) addTLS(out map[string]any) error {
	if in.clientCert == "" {
		return nil
	}
	cert, err := there("client-cert", in.clientCert)
	if err != nil {
		return err
	}
	key, err := there("client-key", in.clientKey)
	out["tls"] = map[string]string{"clientCertificate": cert, "clientKey": key}
	return err
}

// there is the full path of a file or folder that must exist.
func there(flag, path string) (string, error) {
	full, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(full)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("--%s: there is no %s", flag, path)
	}
	return full, err
}

// addMSP names the identity of an MSP folder after --identity, or after the folder's user: of users/User1@org1/msp it is User1@org1, of users/app it is app.
func (in *fabricInit) addMSP(out map[string]any) error {
	if in.msp == "" {
		return nil
	}
	dir, err := there("msp", in.msp)
	if err != nil {
		return err
	}
	if in.identity == "" {
		if filepath.Base(dir) == "msp" {
			in.identity = filepath.Base(filepath.Dir(dir))
		} else {
			in.identity = filepath.Base(dir)
		}
	}
	out["identities"] = []map[string]string{{"name": in.identity, "mspDir": dir}}
	return nil
}

func (in *fabricInit) addPeers(out map[string]any) error {
	var peers []map[string]string
	for _, url := range in.peers {
		p := map[string]string{"url": url}
		if in.tlsCA != "" {
			ca, err := there("tls-ca", in.tlsCA)
			if err != nil {
				return err
			}
			p["tlsCACert"] = ca
		}
		peers = append(peers, p)
	}
	if peers != nil {
		out["peers"] = peers
	}
	return nil
}

// write makes the file. Values are JSON, which is YAML.
func (in *fabricInit) write(section map[string]any) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Pyralis on a Hyperledger Fabric network. config.md has every key; \"pyralis fabric doctor -f %s\" tries the way to the network.\n", filepath.Base(in.out))
	b.WriteString("connector: fabric\nfabric:\n")
	for _, key := range []string{"profile", "peers", "mspID", "channels", "wallet", "identities", "identity", "tls"} {
		value, ok := section[key]
		if !ok {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  %s: %s\n", key, text)
	}
	how := os.O_CREATE | os.O_WRONLY | os.O_EXCL
	if in.force {
		how = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	}
	f, err := os.OpenFile(in.out, how, 0o644) //nolint:gosec // there is no secret in it, and who runs the node may be another than who sets it up
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = io.WriteString(f, b.String())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("--out: %w", errors.Join(err, os.Remove(in.out))) // half a file would be in the way
	}
	return nil
}

// goOn says what to do next.
func (in *fabricInit) goOn(w io.Writer, channel, identity string) error {
	file := ""
	if in.out != defaultFile {
		file = " -f " + in.out
	}
	_, err := fmt.Fprintf(w, `%[1]s is written: %[2]s on channel %[3]s.

See whether the network can be reached:

  %[4]s fabric doctor%[5]s

run a node, which serves http://127.0.0.1:5008:

  %[4]s run%[5]s

and submit a transaction to it, of a chaincode of yours:

  %[4]s tx submit --id my-first --from %[2]s --to %[3]s/CHAINCODE --method FUNCTION --param ARGUMENT --wait 60s
`, in.out, identity, channel, program(), file)
	return err
}
