package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/api"
	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/stream"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// declaredStreams reads the streams of the configuration.
func declaredStreams(list config.Objects) ([]stream.Declared, error) {
	var errs []error
	all := make([]stream.Declared, 0, len(list))
	for i, raw := range list {
		s, listeners, err := api.DeclaredStream(raw)
		var inv *apitypes.Invalid
		switch {
		case errors.As(err, &inv):
			field := fmt.Sprintf("streams[%d]", i)
			if inv.Field != "" {
				field += "." + inv.Field
			}
			err = &apitypes.Invalid{Field: field, Problem: inv.Problem, Fix: inv.Fix}
		case err == nil:
			all = append(all, stream.Declared{Stream: s, Listeners: listeners})
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// checkStreams reports what is wrong with the streams of the configuration, as far as their sinks and the form of listeners tell.
func checkStreams(cfg *Config, plugins *plugin.Registry) error {
	declared, err := declaredStreams(cfg.Streams)
	if err != nil || len(declared) == 0 {
		return err
	}
	log := func(string) *logrus.Entry { return logrus.NewEntry(logrus.StandardLogger()) }
	sinks, err := makeSinks(cfg, plugins, log, func(context.Context, string) (sink.Stream, string, error) { return sink.Stream{}, "", nil })
	if err != nil {
		return err
	}
	return stream.CheckDeclared(sinks, declared)
}
