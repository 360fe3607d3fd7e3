package fabric

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Complete fills in what a configuration lacks of MSPID, Channels and Identity, as far as it can be found out: an identity that is the only one, the organisation
// of the profile's client, and what a peer tells. The error names what has to be given.
func Complete(ctx context.Context, cfg Config) (Config, error) {
	w, err := newWallet(&cfg, quiet())
	if err != nil {
		return cfg, err
	}
	if cfg.Identity == "" {
		if cfg.Identity, err = onlyIdentity(w); err != nil {
			return cfg, err
		}
	}
	s, err := w.signer("fabric.identity", cfg.Identity)
	if err != nil {
		return cfg, known(w, err)
	}
	guessed := false
	if cfg.MSPID == "" {
		if cfg.MSPID, guessed, err = organisation(&cfg, s); err != nil {
			return cfg, err
		}
	}
	if len(cfg.Channels) > 0 && !guessed {
		return cfg, nil
	}
	joined, err := ask(ctx, cfg)
	if err != nil {
		return cfg, unasked(err, cfg.MSPID, guessed)
	}
	if len(cfg.Channels) > 0 {
		return cfg, nil
	}
	if len(joined) == 0 {
		return cfg, errors.New("fabric.channels: they must be given: the peer has joined none yet")
	}
	cfg.Channels = joined
	return cfg, nil
}

// unasked says what has to be given because no peer told it.
func unasked(err error, mspID string, guessed bool) error {
	var e *ffcapi.Error
	switch {
	case !guessed:
		return fmt.Errorf("fabric.channels: they must be given, since no peer could be asked for those that it has joined: %w", err)
	case errors.As(err, &e) && e.Kind == ffcapi.Unauthorized:
		return fmt.Errorf("fabric.mspID: it must be given: %s was a guess, which the peer does not accept", mspID)
	default:
		return fmt.Errorf("fabric.mspID: it must be given: it is not in the MSP folder, and no peer could be asked whether it is %s: %w", mspID, err)
	}
}

func onlyIdentity(w *wallet) (string, error) {
	names, err := w.names()
	switch {
	case err != nil:
		return "", err
	case len(names) == 0:
		return "", errors.New("fabric.wallet: there is no identity in it: each is a folder with cert.pem and key.pem")
	case len(names) > 1:
		return "", fmt.Errorf("fabric.identity: it must be given: there are %s", strings.Join(names, ", "))
	}
	return names[0], nil
}

// organisation finds the MSP id. A guess must be shown to a peer.
func organisation(cfg *Config, s *signer) (mspID string, guessed bool, err error) {
	if id := s.id.MspID(); id != "" {
		return id, false, nil
	}
	if cfg.Profile != "" {
		mspID, err = profileOrganisation(cfg.Profile)
		return mspID, false, err
	}
	// Neither certificates nor MSP folders carry the id. Most networks call the MSP of org1.example.com Org1MSP.
	if orgs := s.cert.Issuer.Organization; len(orgs) > 0 {
		name, _, _ := strings.Cut(orgs[0], ".")
		if name != "" {
			return strings.ToUpper(name[:1]) + name[1:] + "MSP", true, nil
		}
	}
	return "", false, errors.New("fabric.mspID: it must be given: it is not in the MSP folder")
}

// profileOrganisation is the organisation of a profile's client, or the only one.
func profileOrganisation(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("fabric.profile: %w", err)
	}
	var p struct {
		profile `yaml:",inline"`
		Client  struct {
			Organization string `yaml:"organization"`
		} `yaml:"client"`
	}
	if err := yaml.Unmarshal(b, &p); err != nil {
		return "", fmt.Errorf("fabric.profile: %s: %w", path, err)
	}
	if org, ok := p.Organizations[p.Client.Organization]; ok && org.MSPID != "" {
		return org.MSPID, nil
	}
	var ids []string
	for _, org := range p.Organizations {
		ids = append(ids, org.MSPID)
	}
	slices.Sort(ids)
	if len(ids) != 1 || ids[0] == "" {
		return "", fmt.Errorf("fabric.mspID: it must be given: the profile has %s", listed(ids, "no organisation"))
	}
	return ids[0], nil
}

// ask asks the first peer that answers for the channels that it has joined.
func ask(ctx context.Context, cfg Config) ([]string, error) {
	if len(cfg.Channels) == 0 {
		cfg.Channels = []string{"to be asked for"}
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	w, err := newWallet(&cfg, quiet())
	if err != nil {
		return nil, err
	}
	s, err := w.signer("fabric.identity", cfg.Identity)
	if err != nil {
		return nil, err
	}
	peers, err := endpoints(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	client, err := newClientCert(ctx, cfg.TLS, quiet())
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range peers {
		joined, err := askOne(ctx, e, &cfg, client, s)
		if err == nil {
			return joined, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.label(), err))
	}
	return nil, errors.Join(errs...)
}

func askOne(ctx context.Context, e endpoint, cfg *Config, client *clientCert, s *signer) (joined []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	n, err := newNode(e, cfg, client, quiet())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	joined, refused := n.channels(ctx, s)
	if refused != nil {
		return nil, refused
	}
	return joined, nil
}
