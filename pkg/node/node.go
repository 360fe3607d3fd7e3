package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/api"
	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
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

	parts []lifecycle.Named
	rest  []io.Closer // closed last, in reverse
	http  *api.Server

	failOnce sync.Once
	failed   chan struct{}
	err      error // set before failed is closed
}

// New opens the store and assembles the parts. Nothing is served or sent yet. A node that was made must be stopped, started or
// not.
func New(ctx context.Context, o Options) (*Node, error) {
	if err := o.Plugins.Err(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = newLogger(o.Config.Log)
	}
	n := &Node{cfg: o.Config, log: logrus.NewEntry(o.Log), failed: make(chan struct{})}
	if err := n.assemble(ctx, o.Plugins); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// Start starts the parts in order. It returns once the API answers.
func (n *Node) Start(ctx context.Context) error {
	if err := lifecycle.StartAll(ctx, n.parts...); err != nil {
		return errors.Join(err, n.close())
	}
	n.log.WithFields(logrus.Fields{"url": n.URL(), "connector": n.cfg.Connector, "store": n.cfg.Store.Type}).Info("Pyralis is ready")
	return nil
}

// Stop stops the parts in reverse order and closes the store. It returns when ctx ends at the latest.
func (n *Node) Stop(ctx context.Context) error {
	began := time.Now()
	err := errors.Join(lifecycle.StopAll(ctx, n.parts...), n.close())
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

// close closes what is not a service, newest first, once.
func (n *Node) close() error {
	var errs []error
	for i := len(n.rest) - 1; i >= 0; i-- {
		errs = append(errs, n.rest[i].Close())
	}
	n.rest = nil
	return errors.Join(errs...)
}

func openStore(ctx context.Context, cfg config.Store, log *logrus.Entry) (*sqlstore.Store, error) {
	options := sqlstore.Options{Log: log}
	if cfg.Type == config.StorePostgres {
		return sqlstore.OpenPostgres(ctx, sqlstore.PostgresConfig{Options: options, URL: cfg.Postgres.URL, MaxConns: cfg.Postgres.MaxConns})
	}
	return sqlstore.OpenSQLite(ctx, sqlstore.SQLiteConfig{Options: options, Dir: cfg.SQLite.Path})
}

// newConnector makes the configured connector, and adds it to the parts if it is a service.
func (n *Node) newConnector(ctx context.Context, plugins *plugin.Registry) (ffcapi.Connector, error) {
	p, err := plugins.Connector(n.cfg.Connector)
	if err != nil {
		return nil, err
	}
	sections := map[string]any{config.ConnectorDevLedger: n.cfg.DevLedger, config.ConnectorFabric: n.cfg.Fabric}
	env := plugin.Env{Dir: filepath.Join(n.cfg.Store.SQLite.Path, p.Name), Log: n.log.WithField("part", p.Name)}
	if s, ok := sections[p.Name]; ok {
		if env.Config, err = config.JSON(s); err != nil {
			return nil, fmt.Errorf("configuration of %s: %w", p.Name, err)
		}
	}
	c, err := p.New(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("connector %s: %w", p.Name, err)
	}
	if closer, ok := c.(io.Closer); ok {
		n.rest = append(n.rest, closer)
	}
	if s, ok := c.(lifecycle.Service); ok {
		n.parts = append(n.parts, lifecycle.Named{Name: p.Name, Service: s})
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
			w.fail(fmt.Errorf("the lock on the store was lost: %w", store.ErrFenced))
		case <-ctx.Done():
		}
	})
	return nil
}
