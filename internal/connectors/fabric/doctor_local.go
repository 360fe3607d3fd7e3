package fabric

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// local looks at what is on this machine. It returns nil when nothing can be made of it.
func (x *exam) local(ctx context.Context, cfg Config, q Question) *patient {
	p := &patient{cfg: &cfg, log: quiet(), channels: cfg.Channels, chaincode: q.Chaincode}
	ok := x.look(ctx, hopConfig, func() (string, error) {
		var err error
		if cfg, err = cfg.withDefaults(); err != nil {
			return "", err
		}
		detail := "channels " + strings.Join(cfg.Channels, ", ")
		if q.Channel == "" {
			return detail, nil
		}
		p.channels = []string{q.Channel}
		if !slices.Contains(cfg.Channels, q.Channel) {
			return "", warning("add it there before it is used", "%s is not in fabric.channels", q.Channel)
		}
		return detail, nil
	})
	if !ok {
		return nil
	}
	able := x.look(ctx, hopPeers, func() (string, error) {
		var err error
		if p.endpoints, err = endpoints(ctx, &cfg); err != nil {
			return "", err
		}
		names := make([]string, len(p.endpoints))
		for i, e := range p.endpoints {
			names[i] = e.name
		}
		return fmt.Sprintf("of %s: %s", cfg.MSPID, strings.Join(names, ", ")), nil
	})
	if cfg.TLS.ClientCertificate != "" {
		able = x.look(ctx, hopClient, func() (string, error) {
			var err error
			if p.client, err = newClientCert(ctx, cfg.TLS, p.log); err != nil {
				return "", err
			}
			return lasting("fabric.tls.clientCertificate", p.client.current().Leaf)
		}) && able
	}
	field, name := "fabric.identity", cfg.Identity
	if q.Identity != "" {
		field, name = "--identity", q.Identity
	}
	able = x.look(ctx, hopIdentity, func() (string, error) {
		w, err := newWallet(&cfg, p.log)
		if err != nil {
			return "", err
		}
		if p.signer, err = w.find(field, name); err != nil {
			return "", known(w, err)
		}
		return p.signer.examine(cfg.MSPID)
	}) && able
	if !able {
		return nil
	}
	return p
}

// quiet is a log that nobody reads: what there is to say is in the checks.
func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

// look tries something that waits for nobody.
func (x *exam) look(ctx context.Context, name string, try func() (string, error)) bool {
	return x.hop(ctx, answers, "", name, func(context.Context) (string, error) { return try() })
}

// known adds the identities that there are to the error of one that there is not.
func known(w *wallet, err error) error {
	names, e := w.names()
	switch {
	case ffcapi.KindOf(err) != ffcapi.InvalidInput:
		return err
	case e != nil:
		return broken("correct fabric.wallet, or let it be read by who runs this", "%v; %v", err, e)
	case len(names) == 0:
		return broken("in fabric.wallet each identity is a folder with cert.pem and key.pem", "%v: it is empty", err)
	default:
		return broken("there are "+strings.Join(names, ", "), "%v", err)
	}
}

// examine looks at an identity's certificate.
func (s *signer) examine(mspID string) (string, error) {
	detail, err := lasting(fmt.Sprintf("%s of %s", s.name, s.id.MspID()), s.cert)
	if err == nil && s.id.MspID() != mspID {
		return "", warning("this is right only if it is meant to be another organisation's", "%s: the peers are those of %s", detail, mspID)
	}
	return detail, err
}

// lasting says until when a certificate of ours is good.
func lasting(what string, cert *x509.Certificate) (string, error) {
	const renew = "have it renewed and put the new one in its place: a node needs no restart"
	now := time.Now()
	switch left := cert.NotAfter.Sub(now); {
	case now.Before(cert.NotBefore):
		return "", broken("see whether the clock of this machine is right", "the certificate of %s is valid only from %s on", what, cert.NotBefore.UTC().Format(time.RFC3339))
	case left <= 0:
		return "", broken(renew, "the certificate of %s expired on %s", what, day(cert.NotAfter))
	case left < expirySay:
		return "", warning(renew, "%s: its certificate expires in %s", what, days(left))
	}
	return what + ", until " + day(cert.NotAfter), nil
}
