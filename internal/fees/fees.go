package fees

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
)

// Where fees come from.
const (
	None      = "none"
	Fixed     = "fixed"
	Connector = "connector"
	REST      = "rest"
)

// Options is the section fees of the configuration, and what the sources need.
type Options struct {
	Source        string
	Fixed         string // JSON
	QueryInterval time.Duration
	MaxAge        time.Duration
	REST          RESTOptions

	Connector ffcapi.Connector
	Now       func() time.Time // nil: time.Now
}

// Source knows what to offer. It may be asked by many goroutines.
type Source interface {
	// Fee returns what to offer on a ledger now, in the chain's own form.
	Fee(ctx context.Context, ledger string) (json.RawMessage, error)
	// Close ends idle connections.
	Close() error
}

// Check reports what is wrong with the options, by the key to change. It looks at nothing but the options.
func (o *Options) Check() error {
	switch o.Source {
	case None, Connector:
		return nil
	case Fixed:
		if !json.Valid([]byte(o.Fixed)) {
			return errors.New(`fees.fixed: must be JSON, e.g. '1000' or '{"maxFeePerGas":"1000"}', with "fees.source: fixed"`)
		}
		return nil
	case REST:
		_, err := newOracle(&o.REST)
		return err
	default:
		return fmt.Errorf("fees.source: %q must be one of none, fixed, connector, rest", o.Source)
	}
}

// New makes the source that the options name; nil for none.
func New(o Options) (Source, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	switch o.Source {
	case Fixed:
		return fixed(o.Fixed), nil
	case Connector:
		estimator, ok := o.Connector.(ffcapi.FeeEstimator)
		if !ok {
			return nil, errors.New(`fees.source: "connector" cannot be used: the connector does not estimate fees`)
		}
		ask := func(ctx context.Context, ledger string) (json.RawMessage, error) {
			return survive.Call(nil, func() (json.RawMessage, error) { return estimator.EstimateFee(ctx, ledger) })
		}
		return newCache(&o, ask, func() {}), nil
	case REST:
		r, err := newOracle(&o.REST)
		if err != nil {
			return nil, err
		}
		if err := r.connect(&o.REST); err != nil {
			return nil, err
		}
		// An oracle knows one market, whatever the ledger is called.
		ask := func(ctx context.Context, _ string) (json.RawMessage, error) { return r.ask(ctx) }
		return oneLedger{newCache(&o, ask, r.close)}, nil
	default:
		return nil, nil //nolint:nilnil // none is a value
	}
}

// fixed always offers the same.
type fixed json.RawMessage

func (f fixed) Fee(context.Context, string) (json.RawMessage, error) { return json.RawMessage(f), nil }
func (fixed) Close() error                                           { return nil }

// oneLedger asks the same for all ledgers.
type oneLedger struct{ *cache }

func (c oneLedger) Fee(ctx context.Context, _ string) (json.RawMessage, error) {
	return c.cache.Fee(ctx, "")
}
