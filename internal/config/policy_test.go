package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
)

// The policy is that of the connector, unless it is set.
func TestPolicyOfTheConnector(t *testing.T) {
	t.Parallel()
	fabric := map[string]any{
		"connector": "fabric", "fabric.profile": "p", "fabric.mspID": "m", "fabric.channels": "c", "fabric.wallet": "w", "fabric.identity": "i",
	}
	for _, c := range []struct {
		connector map[string]any
		set, want string
	}{
		{nil, "", "simple"}, {fabric, "", "fabric"}, {fabric, "simple", "simple"}, {nil, "fabric", "fabric"}, {nil, "patient", "patient"},
	} {
		cfg, err := config.Load(config.LoadOptions{Overrides: c.connector, Env: []string{"PYRALIS_TRANSACTIONS_POLICY=" + c.set}})
		require.NoError(t, err)
		require.Equal(t, c.want, cfg.PolicyName())
	}
}
