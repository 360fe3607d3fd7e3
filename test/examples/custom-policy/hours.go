package main

import (
	"encoding/json"
	"time"

	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// officeHours holds first sends back until the office opens. Everything else it leaves to the policy named
// simple, with that one's default settings.
type officeHours struct {
	policy.Engine
	from, to int
}

// memory is what it remembers of a transaction, and what users see in policyInfo.
type memory struct {
	AsksAgain time.Time       `json:"asksAgain,omitzero"`
	Simple    json.RawMessage `json:"simple,omitempty"`
}

func newOfficeHours(from, to int, env plugin.Env) (policy.Engine, error) {
	simple, err := builtin.Plugins().Policy("simple")
	if err != nil {
		return nil, err
	}
	engine, err := simple.New(env)
	return officeHours{engine, from, to}, err
}

// Decide implements policy.Engine.
func (o officeHours) Decide(v policy.View) policy.Decision {
	var m memory
	if json.Unmarshal(v.State, &m) != nil {
		m = memory{} // it is not ours
	}
	v.State = m.Simple
	d := o.Engine.Decide(v)
	m = memory{Simple: d.State}
	if d.Do == policy.Submit && v.Tx.Phase == policy.Ready && !o.open(v.Now) {
		m.AsksAgain = v.Now.UTC().Truncate(time.Hour).Add(time.Hour) // it is asked again then, and may say the same
		d = policy.Decision{Do: policy.Wait, Until: m.AsksAgain, Reason: "the office is closed"}
	}
	d.State, _ = json.Marshal(m) // times and JSON encode
	return d
}

func (o officeHours) open(now time.Time) bool {
	hour := now.UTC().Hour()
	return o.from <= hour && hour < o.to
}
