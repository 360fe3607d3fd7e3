package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/api"
	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/confirm"
	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/secret/awssm"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/store/sealed"
	"github.com/pyralis-io/pyralis/internal/stream"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func (n *Node) add(name string, s lifecycle.Service) {
	n.parts = append(n.parts, lifecycle.Named{Name: name, Service: s})
}

func (n *Node) part(name string) *logrus.Entry { return n.log.WithField("part", name) }

// assemble makes the parts in the order in which they start.
func (n *Node) assemble(ctx context.Context, plugins *plugin.Registry) (err error) {
	if err = n.measure(ctx); err != nil {
		return err
	}
	if n.store, err = openStore(ctx, n.cfg.Store, n.part("store")); err != nil {
		return err
	}
	n.rest = append(n.rest, n.store)
	n.add("watch", &watch{lost: n.store.Lost(), fail: n.fail})
	if n.connector, err = n.newConnector(ctx, plugins); err != nil {
		return err
	}
	chain, err := confirm.New(confirm.Options{
		Connector: n.connector, Store: n.store, Fence: n.store.Fence, Required: n.cfg.Confirmations.Required, Rule: txn.OutcomeRule,
		Lost: n.store.Lost(), Log: n.part("confirm"),
	})
	if err != nil {
		return err
	}
	n.add("confirm", chain)

	replies := new(replies)
	transactions, err := n.newTransactions(ctx, plugins, chain, replies)
	if err != nil {
		return err
	}
	sinks, sockets, err := n.newSinks(plugins)
	if err != nil {
		return err
	}
	streams, err := n.newStreams(chain, sinks)
	if err != nil {
		return err
	}
	n.streams = streams
	replies.to(sockets)
	n.add("transactions", transactions)
	n.add("streams", streams)
	if err := n.addRetention(transactions, streams); err != nil {
		return err
	}
	n.observe(chain, transactions, streams)
	n.addSideServers()
	return n.addAPI(transactions, streams, sockets, transactions.EndWaits)
}

func (n *Node) newTransactions(ctx context.Context, plugins *plugin.Registry, chain *confirm.Engine, replies *replies) (*txn.Manager, error) {
	p, err := plugins.Policy(n.cfg.PolicyName())
	if err != nil {
		return nil, err
	}
	sections := map[string]any{config.PolicySimple: n.cfg.Policies.Simple, config.PolicyFabric: n.cfg.Policies.Fabric}
	env := plugin.Env{Config: noConfig, Log: n.part(p.Name)}
	if s, ok := sections[p.Name]; ok {
		if env.Config, err = config.JSON(s); err != nil {
			return nil, fmt.Errorf("configuration of policy %s: %w", p.Name, err)
		}
	}
	var engine policy.Engine
	if engine, err = p.New(env); err != nil {
		return nil, fmt.Errorf("policy %s: %w", p.Name, err)
	}
	source, err := n.newFees()
	if err != nil {
		return nil, err
	}
	keys, err := encryptionKeys(ctx, &n.cfg.Store)
	if err != nil {
		return nil, err
	}
	cfg := n.cfg.Transactions
	return txn.New(txn.Options{
		Fees: source, FeesRequired: n.cfg.Fees.Required,
		Connector: n.connector, Store: sealed.New(n.store, keys), Fence: n.store.Fence, Lost: n.store.Lost(), Chain: chain, Policy: engine,
		NonceStateTimeout: cfg.NonceStateTimeout, MaxPending: cfg.MaxPending, Workers: cfg.Workers, Deadline: cfg.Deadline,
		IdempotencyRetention: cfg.IdempotencyRetention,
		OnStatus:             replies.changed, Stages: n.stages, Counts: n.counts, Log: n.part("transactions"),
	})
}

// findStream finds a stream for a sink; its type is "" if there is none.
type findStream func(ctx context.Context, idOrName string) (is sink.Stream, kind string, err error)

// makeSinks makes the factories of all sinks.
func makeSinks(cfg *Config, plugins *plugin.Registry, log func(part string) *logrus.Entry, find findStream) ([]sink.Factory, error) {
	secrets, err := secret.New(secret.Options{
		Allow: cfg.Secrets.Allow, AWS: awssm.New(awssm.Options{Region: cfg.Secrets.AWS.Region, Endpoint: cfg.Secrets.AWS.Endpoint}),
	})
	if err != nil {
		return nil, of("secrets.allow", err)
	}
	sections := map[string]any{
		apitypes.StreamWebhook: cfg.Webhooks, apitypes.StreamWebSocket: cfg.WebSockets,
		apitypes.StreamKafka: cfg.Brokers, apitypes.StreamJetStream: cfg.Brokers,
		apitypes.StreamSQS: cfg.Brokers, apitypes.StreamSNS: cfg.Brokers,
	}
	var all []sink.Factory
	for _, p := range plugins.Sinks() {
		env := plugin.SinkEnv{
			Env: plugin.Env{Config: noConfig, Log: log(p.Name)}, FindStream: find,
			AckTimeout: cfg.EventStreams.AckTimeout, Origins: cfg.API.CORS.Origins, Secrets: secrets,
		}
		if s, ok := sections[p.Name]; ok {
			if env.Config, err = config.JSON(s); err != nil {
				return nil, fmt.Errorf("configuration of sink %s: %w", p.Name, err)
			}
		}
		factory, err := p.New(env)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", p.Name, err)
		}
		all = append(all, factory)
	}
	return all, nil
}

// newSinks makes all sinks, and adds those that are services to the parts.
func (n *Node) newSinks(plugins *plugin.Registry) (all []sink.Factory, overHTTP []plugin.HTTPSink, err error) {
	all, err = makeSinks(n.cfg, plugins, n.part, func(ctx context.Context, idOrName string) (sink.Stream, string, error) {
		st, err := n.store.Stream(ctx, idOrName)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return sink.Stream{}, "", nil
		case err != nil:
			return sink.Stream{}, "", err
		}
		return sink.Stream{ID: st.ID, Name: st.Name}, st.Type, nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, factory := range all {
		if s, ok := factory.(lifecycle.Service); ok {
			n.add(factory.Type(), s)
		}
		if h, ok := factory.(plugin.HTTPSink); ok {
			overHTTP = append(overHTTP, h)
		}
	}
	return all, overHTTP, nil
}

func (n *Node) newStreams(chain *confirm.Engine, sinks []sink.Factory) (*stream.Manager, error) {
	cfg := n.cfg.EventStreams
	declared, err := declaredStreams(n.cfg.Streams)
	if err != nil {
		return nil, err
	}
	return stream.New(stream.Options{
		Connector: n.connector, ConnectorName: n.cfg.Connector, Store: n.store, Fence: n.store.Fence, Lost: n.store.Lost(),
		Chain: chain, Sinks: sinks, Changes: n.store, Declared: declared,
		Defaults: stream.Defaults{
			BatchSize: cfg.Defaults.BatchSize, BatchTimeout: cfg.Defaults.BatchTimeout, ErrorHandling: cfg.Defaults.ErrorHandling,
			RetryTimeout: cfg.Defaults.RetryTimeout, BlockedRetryDelay: cfg.Defaults.BlockedRetryDelay,
		},
		ReadAhead: cfg.ReadAhead, MaxUnstored: &cfg.MaxUnstored, MaxMemory: int64(cfg.MaxMemory), CheckpointInterval: cfg.CheckpointInterval, UnstableHead: cfg.UnstableHead,
		Log: n.part("streams"),
	})
}

func (n *Node) addAPI(transactions api.Transactions, streams api.Streams, sockets []plugin.HTTPSink, endWaits func()) error {
	cfg := n.cfg.API
	paths := make(map[string]http.Handler)
	var services []lifecycle.Named
	for _, s := range sockets {
		if paths[s.Path()] != nil {
			return fmt.Errorf("sink %s: the path %q is taken by another sink", s.Type(), s.Path())
		}
		paths[s.Path()] = s
		if service, ok := s.(lifecycle.Service); ok {
			services = append(services, lifecycle.Named{Name: s.Type(), Service: service})
		}
	}
	handler, err := api.New(api.Options{
		Transactions: transactions, Streams: streams, Live: n.live, Ready: n.ready, Takeovers: paths,
		MaxBodySize: int64(cfg.MaxBodySize), MaxPage: cfg.MaxPage, RequestTimeout: cfg.RequestTimeout, MaxRequestTimeout: cfg.MaxRequestTimeout,
		PublicURL: cfg.PublicURL, CORSOrigins: cfg.CORS.Origins, Observe: n.requests(), Log: n.part("api"),
	})
	if err != nil {
		return err
	}
	n.http = api.NewServer(api.ServerOptions{
		Section: "api", Address: cfg.Address, Port: cfg.Port, Handler: n.tracing.Handler(handler),
		MaxRequestTime: cfg.MaxRequestTimeout, ShutdownTimeout: cfg.ShutdownTimeout, Log: n.part("api"),
		// The server does not know the connections that sinks have taken over, and would cut them off: they say goodbye first.
		// Who waits for a transaction gets an answer first, too.
		OnStop: func(ctx context.Context) error {
			endWaits()
			return lifecycle.StopAll(ctx, services...)
		},
	})
	n.add("api", n.http)
	return nil
}

// OpenAPI returns the OpenAPI document of the REST API, as YAML.
func OpenAPI(ctx context.Context) ([]byte, error) { return api.OpenAPI(ctx) }

// replier is a sink over which clients hear what became of transactions.
type replier interface {
	// WantsReplies says whether anybody listens.
	WantsReplies() bool
	// Reply takes a frame for all who listen. It does not block.
	Reply(frame []byte)
}

// replies turns ended transactions into reply frames for every replier.
type replies struct{ repliers []replier }

func (r *replies) to(sinks []plugin.HTTPSink) {
	for _, s := range sinks {
		if one, ok := s.(replier); ok {
			r.repliers = append(r.repliers, one)
		}
	}
}

// changed takes status changes in the order of commit. It does not block, and costs nothing while nobody listens.
func (r *replies) changed(entries []store.StatusEntry) {
	if !slices.ContainsFunc(r.repliers, replier.WantsReplies) {
		return
	}
	for _, e := range entries {
		if !e.Status.Terminal() || e.Tx == nil {
			continue
		}
		frame, err := json.Marshal(reply(e))
		if err != nil { // strings always encode
			continue
		}
		for _, to := range r.repliers {
			to.Reply(frame)
		}
	}
}

func reply(e store.StatusEntry) *apitypes.Reply {
	m := &apitypes.Reply{
		Headers: apitypes.ReplyHeaders{RequestID: e.TxID, Type: apitypes.TransactionFailure},
		Status:  string(e.Status), TransactionHash: e.Tx.Hash,
	}
	if e.Status == store.Succeeded {
		m.Headers.Type = apitypes.TransactionSuccess
	} else {
		m.ErrorMessage = e.Tx.Error
	}
	if o := e.Tx.Outcome; o != nil {
		m.ProtocolID, m.ContractLocation, m.Result = txn.ProtocolID(o), o.ContractLocation, o.Result
	}
	return m
}
