package fabric

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// invocation is a request in Fabric's terms.
type invocation struct {
	channel   string
	chaincode string
	function  string
	args      [][]byte
	transient map[string][]byte
	orgs      []string // that must endorse, or may answer a query; empty: Fabric chooses
	init      bool     // it initialises the chaincode
}

// address names the chaincode in errors.
func (inv *invocation) address() string { return inv.channel + "/" + inv.chaincode }

// requestOptions are the options of a request.
type requestOptions struct {
	Channel                string                     `json:"channel"`
	Chaincode              string                     `json:"chaincode"`
	Transient              map[string]json.RawMessage `json:"transient"`
	EndorsingOrganizations []string                   `json:"endorsingOrganizations"`
	Init                   bool                       `json:"init"`
}

// parseRequest reads all of a request but the signer. channel is meant where it names none.
func parseRequest(req *ffcapi.Request, channel string) (*invocation, error) {
	var o requestOptions
	if err := strictJSON("options", req.Options, &o); err != nil {
		return nil, err
	}
	if slices.Contains(o.EndorsingOrganizations, "") {
		return nil, invalid("options.endorsingOrganizations", "one is empty: give MSP ids, e.g. Org1MSP")
	}
	inv := &invocation{orgs: o.EndorsingOrganizations, init: o.Init}
	var err error
	if inv.channel, inv.chaincode, err = target(req.To, o, channel); err != nil {
		return nil, err
	}
	m, err := readMethod(req.Method)
	if err != nil {
		return nil, err
	}
	inv.function = m.Name
	if strings.Trim(req.Value, "0") != "" {
		return nil, invalid("value", "Fabric has no token to transfer: leave it out")
	}
	params, err := m.order(req.Params)
	if err != nil {
		return nil, err
	}
	for _, p := range params {
		inv.args = append(inv.args, argument(p))
	}
	for key, value := range o.Transient {
		if inv.transient == nil {
			inv.transient = map[string][]byte{}
		}
		inv.transient[key] = argument(value)
	}
	return inv, nil
}

// target reads where a request goes: "to", or the options, or both when they agree.
func target(to string, o requestOptions, first string) (channel, chaincode string, err error) {
	channel, chaincode, both := strings.Cut(to, "/")
	if !both {
		channel, chaincode = "", to
	}
	if both && (channel == "" || chaincode == "" || strings.Contains(chaincode, "/")) {
		return "", "", invalid("to", `%q is neither "channel/chaincode" nor a chaincode`, to)
	}
	if o.Channel != "" && channel != "" && o.Channel != channel {
		return "", "", invalid("options.channel", "%q is not the channel of \"to\", %q", o.Channel, channel)
	}
	if o.Chaincode != "" && chaincode != "" && o.Chaincode != chaincode {
		return "", "", invalid("options.chaincode", "%q is not the chaincode of \"to\", %q", o.Chaincode, chaincode)
	}
	channel, chaincode = cmp.Or(channel, o.Channel, first), cmp.Or(chaincode, o.Chaincode)
	if chaincode == "" {
		return "", "", invalid("to", `it must be "channel/chaincode", or options.chaincode must be set`)
	}
	return channel, chaincode, nil
}

// argument is a JSON value as a chaincode gets it: a string as its text, anything else as compact JSON.
func argument(raw json.RawMessage) []byte {
	var text string
	if json.Unmarshal(raw, &text) == nil && !bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return []byte(text)
	}
	var buf bytes.Buffer
	if json.Compact(&buf, raw) != nil { // the core gives valid JSON
		return raw
	}
	return buf.Bytes()
}
