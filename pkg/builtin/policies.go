package builtin

import (
	"github.com/pyralis-io/pyralis/internal/policies/fabric"
	"github.com/pyralis-io/pyralis/internal/policies/simple"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

func simplePolicy() plugin.Policy {
	return plugin.Policy{Name: "simple", New: func(env plugin.Env) (policy.Engine, error) { return simple.Parse(env.Config) }}
}

func fabricPolicy() plugin.Policy {
	return plugin.Policy{Name: "fabric", New: func(env plugin.Env) (policy.Engine, error) { return fabric.Parse(env.Config) }}
}
