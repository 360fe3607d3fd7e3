package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// rollbackTimeout bounds the undoing of a start that failed half-way. The caller's context may be what failed, so it cannot
// bound its own cleaning up.
const rollbackTimeout = 10 * time.Second

var (
	// ErrStopped is the cancel cause that goroutines of a stopped service see, and the answer of a Start that comes after Stop.
	ErrStopped = errors.New("stopped")
	// ErrStarted is the answer of a second Start.
	ErrStarted = errors.New("already started")
)

// Service is anything long-lived. All methods are safe for concurrent use.
type Service interface {
	// Start returns once the service works in the background, or with an error and nothing left running. ctx bounds the
	// start itself and lends its values (logger, trace); a started service outlives it. A second Start returns ErrStarted,
	// one after Stop returns ErrStopped.
	Start(ctx context.Context) error
	// Stop begins to stop even when ctx is already done, and waits until everything the service started has ended. It may
	// be called before Start and any number of times. When ctx ends first, the error wraps ctx's and names what did not stop.
	Stop(ctx context.Context) error
}

// Named is a service with the name that errors use for it.
type Named struct {
	Name    string
	Service Service
}

// StartAll starts the services one after the other. When one fails, it and those before it are stopped in reverse order, within
// ten seconds, and the error names it and joins whatever the stopping had to report.
func StartAll(ctx context.Context, services ...Named) error {
	for i, s := range services {
		err := s.Service.Start(ctx)
		if err == nil {
			continue
		}
		return errors.Join(fmt.Errorf("start %s: %w", s.Name, err), rollback(ctx, services[:i+1]))
	}
	return nil
}

func rollback(ctx context.Context, services []Named) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	return StopAll(ctx, services...)
}

// StopAll stops the services in reverse order and joins their errors. All of them are told to stop, also when ctx ends on
// the way: a blocked one costs the others their waiting time, not their stop.
func StopAll(ctx context.Context, services ...Named) error {
	var errs []error
	for i := len(services) - 1; i >= 0; i-- {
		if err := services[i].Service.Stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", services[i].Name, err))
		}
	}
	return errors.Join(errs...)
}
