package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
)

// Kubernetes sets these in every pod of a namespace that has Services of such names.
func TestVariablesOfKubernetesServicesArePassedOver(t *testing.T) {
	t.Parallel()
	defaults, err := config.Load(config.LoadOptions{})
	require.NoError(t, err)
	cfg, err := config.Load(config.LoadOptions{Env: []string{
		"PYRALIS_SERVICE_HOST=10.96.0.7", "PYRALIS_SERVICE_PORT=5008", "PYRALIS_SERVICE_PORT_HTTP_API=5008",
		"PYRALIS_PORT=tcp://10.96.0.7:5008", "PYRALIS_PORT_5008_TCP=tcp://10.96.0.7:5008", "PYRALIS_PORT_5008_TCP_ADDR=10.96.0.7",
		"PYRALIS_PORT_5008_TCP_PORT=5008", "PYRALIS_PORT_5008_TCP_PROTO=tcp",
		"PYRALIS_PORT_53_UDP=udp://[fd00::7]:53", "PYRALIS_PORT_53_UDP_ADDR=fd00::7", "PYRALIS_PORT_53_UDP_PROTO=udp",
		"PYRALIS_API_SERVICE_HOST=10.96.0.8", "PYRALIS_API_SERVICE_PORT=5008", "PYRALIS_API_PORT=tcp://10.96.0.8:5008",
		"PYRALIS_API_PORT_5008_TCP_ADDR=10.96.0.8", "PYRALIS_MONITORING_PORT=tcp://10.96.0.9:6000",
	}})
	require.NoError(t, err)
	require.Equal(t, defaults, cfg)
}

// What only resembles such a variable is a mistake, as before.
func TestWhatResemblesAVariableOfAServiceIsRefused(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{
		"PYRALIS_PORT=5008", "PYRALIS_PORT=", "PYRALIS_PORT=http://10.96.0.7:5008", "PYRALIS_SERVICE_HOST=example.com", "PYRALIS_SERVICE_PORT=http",
		"PYRALIS_SERVICE_PORTS=5008", "PYRALIS_PORT_5008_TCP=10.96.0.7", "PYRALIS_PORT_TCP=tcp://10.96.0.7:5008", "PYRALIS_PORT_5008_TCP_PROTO=http",
		"PYRALIS_API_PROT=tcp://10.96.0.7:5008", "PYRALIS_API_PROT=5008", "PYRALIS_SERVICE=10.96.0.7", "PYRALIS_api_SERVICE_HOST=10.96.0.7",
		"PYRALIS_NOPE=x_PORT=tcp://10.96.0.7:5008", "PYRALIS_API_PORT=tcp://10.96.0.7", "PYRALIS_API_PORT=tcp://10.96.0.7:5008/x",
	} {
		_, err := config.Load(config.LoadOptions{Env: []string{variable}})
		require.Error(t, err, variable)
	}
}

// A key that could have such a value would be passed over in silence.
func TestNoKeyTakesWhatKubernetesSets(t *testing.T) {
	t.Parallel()
	for _, k := range config.Keys() {
		require.NotRegexp(t, `_SERVICE_(HOST|PORT)|_PORT_[0-9]+_`, k.Env)
		if k.Type == "text" {
			require.NotRegexp(t, `_PORT$`, k.Env)
		}
	}
}
