package plugin_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func connector(name string) plugin.Connector {
	return plugin.Connector{Name: name, New: func(context.Context, plugin.Env) (ffcapi.Connector, error) { return nil, nil }}
}

func policyNamed(name string) plugin.Policy {
	return plugin.Policy{Name: name, New: func(plugin.Env) (policy.Engine, error) { return nil, nil }}
}

func sinkNamed(name string) plugin.Sink {
	return plugin.Sink{Name: name, New: func(plugin.SinkEnv) (sink.Factory, error) { return nil, nil }}
}

func TestRegistryFindsByName(t *testing.T) {
	t.Parallel()
	var r plugin.Registry
	for _, name := range []string{"b", "a"} {
		r.AddConnector(connector(name))
		r.AddPolicy(policyNamed(name))
		r.AddSink(sinkNamed(name))
	}
	require.NoError(t, r.Err(), "kinds have names of their own")
	c, err := r.Connector("a")
	require.NoError(t, err)
	require.Equal(t, "a", c.Name)
	p, err := r.Policy("b")
	require.NoError(t, err)
	require.Equal(t, "b", p.Name)
	sinks := r.Sinks()
	require.Len(t, sinks, 2)
	require.Equal(t, "a", sinks[0].Name)
}

func TestUnknownNameListsWhatThereIs(t *testing.T) {
	t.Parallel()
	var r plugin.Registry
	r.AddConnector(connector("b"))
	r.AddConnector(connector("a"))
	r.AddPolicy(policyNamed("p"))
	_, err := r.Connector("c")
	require.EqualError(t, err, `connector: "c" must be one of a, b, which is what this binary has`)
	_, err = r.Policy("c")
	require.EqualError(t, err, `transactions.policy: "c" must be one of p, which is what this binary has`)
}

func TestDuplicatesAreErrors(t *testing.T) {
	t.Parallel()
	var r plugin.Registry
	r.AddConnector(connector("a"))
	r.AddConnector(connector("a"))
	r.AddPolicy(policyNamed(""))
	r.AddSink(sinkNamed("s"))
	r.AddSink(sinkNamed("s"))
	require.EqualError(t, r.Err(), "connector \"a\" is registered twice\na policy is registered without a name\nsink \"s\" is registered twice")
}
