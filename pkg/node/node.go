package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/api"
	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/metrics"
	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
	"github.com/pyralis-io/pyralis/internal/stream"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

// Config is the configuration of a node, as LoadConfig makes it.
type Config = config.Config

// LoadConfig reads a configuration file ("" for none) and the environment ("NAME=value" each).
func LoadConfig(file string, env []string) (*Config, error) {
	return config.Load(config.LoadOptions{File: file, Env: env})
}

// Options are what a node is made of.
type Options struct {
	Config  *Config
	Plugins *plugin.Registry
	Log     *logrus.Logger // nil: as Config says, to standard error
}

// Node is one running Pyralis.
type Node struct {
	cfg   *Config
	log   *logrus.Entry
	store *sqlstore.Store

	connector ffcapi.Connector
	streams   *stream.Manager

	registry *prometheus.Registry // this and the next three: nil when nothing is measured
	tracing  *metrics.Tracing
	stages   *metrics.Stages
	counts   *metrics.Transactions

	parts []lifecycle.Named
	rest  []io.Closer // closed last, in reverse
	http  *api.Server

	stopTimeout time.Duration
	closing     sync.Once
	closed      chan struct{} // closed when all of rest is
	closeErr    error         // set before that

	failOnce sync.Once
	failed   chan struct{}
	err      error // set before failed is closed
}

// stopTimeout is what stopping takes at most. The parts get nine tenths of it, so that the store is closed, and free for the next
// process, even if one of them hangs.
const stopTimeout = 10 * time.Second

// New opens the store and assembles the parts. Nothing is served or sent yet. A node that was made must be stopped, started or
// not; an error leaves nothing open.
func New(ctx context.Context, o Options) (*Node, error) {
	if o.Config == nil || o.Plugins == nil {
		return nil, errors.New("node: Config and Plugins are required")
	}
	if err := Check(o.Config, o.Plugins); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = newLogger(o.Config.Log)
	}
	n := &Node{
		cfg: o.Config, log: logrus.NewEntry(o.Log), stopTimeout: stopTimeout,
		closed: make(chan struct{}), failed: make(chan struct{}),
	}
	if err := n.assemble(ctx, o.Plugins); err != nil {
		return nil, n.abandon(ctx, err)
	}
	return n, nil
}

// Check reports what a configuration asks for and the plug-ins do not have, beyond what LoadConfig can know. Nothing is opened.
func Check(cfg *Config, plugins *plugin.Registry) error {
	if err := plugins.Err(); err != nil {
		return err
	}
	_, connector := plugins.Connector(cfg.Connector)
	_, policy := plugins.Policy(cfg.PolicyName())
	fees := feeOptions(cfg.Fees)
	_, guard := netguard.New(netguard.Options{Allow: cfg.Webhooks.Allow})
	_, secrets := secret.New(secret.Options{Allow: cfg.Secrets.Allow})
	if err := errors.Join(connector, policy, fees.Check(), of("webhooks.allow", guard), of("secrets.allow", secrets)); err != nil {
		return err
	}
	return checkStreams(cfg, plugins)
}

// of names the key that an error is about.
func of(key string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", key, err)
	}
	return err
}

// Start starts the parts in order. It returns once the API answers. After an error nothing is left running or open.
func (n *Node) Start(ctx context.Context) error {
	if err := lifecycle.StartAll(ctx, n.parts...); err != nil {
		return n.abandon(ctx, err)
	}
	n.log.WithFields(logrus.Fields{"url": n.URL(), "connector": n.cfg.Connector, "store": n.cfg.Store.Type}).Info("Pyralis is ready")
	return nil
}

// Stop stops the parts in reverse order and closes the store. It returns within ten seconds, or when ctx ends; the error then names
// what did not stop.
func (n *Node) Stop(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, n.stopTimeout)
	defer cancel()
	parts, done := context.WithTimeout(ctx, n.stopTimeout/10*9)
	defer done()
	err := errors.Join(lifecycle.StopAll(parts, n.parts...), n.close(ctx))
	n.log.WithField("took", time.Since(began).Round(time.Millisecond)).Info("Pyralis has stopped")
	return err
}

// URL is where the API is reached, once the node has started.
func (n *Node) URL() string { return n.http.URL() }

// Failed is closed when the node cannot go on; Err then says why, and the node should be stopped.
func (n *Node) Failed() <-chan struct{} { return n.failed }

// Err is the reason of Failed, nil before.
func (n *Node) Err() error {
	select {
	case <-n.failed:
		return n.err
	default:
		return nil
	}
}

func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.err = err
		close(n.failed)
	})
}

// abandon closes what a start that failed has opened. The caller's context may be what failed, so it does not bound that.
func (n *Node) abandon(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.stopTimeout)
	defer cancel()
	return errors.Join(err, n.close(ctx))
}

// close closes what is not a service, newest first, once. A Close has no time limit of its own, so it is waited for until ctx ends.
func (n *Node) close(ctx context.Context) error {
	n.closing.Do(func() {
		go func() {
			defer close(n.closed)
			var errs []error
			for _, c := range slices.Backward(n.rest) {
				errs = append(errs, c.Close())
			}
			n.closeErr = errors.Join(errs...)
		}()
	})
	select {
	case <-n.closed:
		return n.closeErr
	case <-ctx.Done():
		return fmt.Errorf("the store and the connector are not closed yet: %w", ctx.Err())
	}
}

func openStore(ctx context.Context, cfg config.Store, log *logrus.Entry) (*sqlstore.Store, error) {
	options := sqlstore.Options{Log: log}
	if cfg.Type == config.StorePostgres {
		return sqlstore.OpenPostgres(ctx, sqlstore.PostgresConfig{Options: options, URL: cfg.Postgres.URL, MaxConns: cfg.Postgres.MaxConns})
	}
	return sqlstore.OpenSQLite(ctx, sqlstore.SQLiteConfig{Options: options, Dir: cfg.SQLite.Path})
}

// noConfig is the section of a plug-in that has none.
var noConfig = json.RawMessage("{}")

// connectorEnv is what a connector gets of the configuration.
func connectorEnv(cfg *config.Config, name string) (plugin.Env, error) {
	env := plugin.Env{Config: noConfig, Dir: filepath.Join(cfg.Store.SQLite.Path, name)}
	sections := map[string]any{config.ConnectorDevLedger: cfg.DevLedger, config.ConnectorFabric: cfg.Fabric}
	if s, ok := sections[name]; ok {
		var err error
		if env.Config, err = config.JSON(s); err != nil {
			return env, fmt.Errorf("configuration of %s: %w", name, err)
		}
	}
	return env, nil
}

// newConnector makes the configured connector, and adds it to the parts if it is a service.
func (n *Node) newConnector(ctx context.Context, plugins *plugin.Registry) (ffcapi.Connector, error) {
	p, err := plugins.Connector(n.cfg.Connector)
	if err != nil {
		return nil, err
	}
	env, err := connectorEnv(n.cfg, p.Name)
	if err != nil {
		return nil, err
	}
	env.Log, env.Measure = n.part(p.Name), n.measurer()
	c, err := p.New(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("connector %s: %w", p.Name, err)
	}
	if closer, ok := c.(io.Closer); ok {
		n.rest = append(n.rest, closer)
	}
	if s, ok := c.(lifecycle.Service); ok {
		n.add(p.Name, s)
	}
	return c, nil
}

// watch ends the node when another process may own the store.
type watch struct {
	lifecycle.Group
	lost <-chan struct{}
	fail func(error)
}

// Start begins to watch.
func (w *watch) Start(ctx context.Context) error {
	if err := w.Group.Start(ctx); err != nil {
		return err
	}
	w.Go("watch", func(ctx context.Context) {
		select {
		case <-w.lost:
			w.fail(fmt.Errorf("the lock on the store was lost, and another process may own it now: %w", store.ErrFenced))
		case <-ctx.Done():
		}
	})
	return nil
}
