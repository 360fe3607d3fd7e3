package fabric

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/hyperledger/fabric-gateway/pkg/client"

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
}

// requestOptions are the options of a request.
type requestOptions struct {
	Channel                string                     `json:"channel"`
	Chaincode              string                     `json:"chaincode"`
	Transient              map[string]json.RawMessage `json:"transient"`
	EndorsingOrganizations []string                   `json:"endorsingOrganizations"`
}

// parseRequest reads all of a request but the signer. channel is meant where it names none.
func parseRequest(req *ffcapi.Request, channel string) (*invocation, error) {
	var o requestOptions
	if err := strictJSON("options", req.Options, &o); err != nil {
		return nil, err
	}
	inv := &invocation{orgs: o.EndorsingOrganizations}
	var err error
	if inv.channel, inv.chaincode, err = address(req.To, o, channel); err != nil {
		return nil, err
	}
	if inv.function, err = functionName(req.Method); err != nil {
		return nil, err
	}
	if strings.Trim(req.Value, "0") != "" {
		return nil, invalid("value", "Fabric has no token to transfer: leave it out")
	}
	for _, p := range req.Params {
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

// address reads where a request goes: "to", or the options, or both when they agree.
func address(to string, o requestOptions, first string) (channel, chaincode string, err error) {
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

// functionName reads a name, or the name of an FFI method, of which the rest is documentation.
func functionName(raw json.RawMessage) (string, error) {
	var name string
	if json.Unmarshal(raw, &name) != nil {
		var described struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(raw, &described) == nil {
			name = described.Name
		}
	}
	if name == "" {
		return "", invalid("method", `it must be the name of a function, or an object with a "name"`)
	}
	return name, nil
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

// strictJSON reads an object that may be absent. A field that is not known is refused.
func strictJSON(field string, raw json.RawMessage, into any) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if raw[0] != '{' {
		return invalid(field, "it is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid(field, "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid(field, "there is something after the object")
	}
	return nil
}

// proposal makes the proposal of an invocation. Its transaction id is new each time.
func (inv *invocation) proposal(gw *client.Gateway) (*client.Proposal, error) {
	opts := []client.ProposalOption{client.WithBytesArguments(inv.args...)}
	if len(inv.transient) > 0 {
		opts = append(opts, client.WithTransient(inv.transient))
	}
	if len(inv.orgs) > 0 {
		opts = append(opts, client.WithEndorsingOrganizations(inv.orgs...))
	}
	return gw.GetNetwork(inv.channel).GetContract(inv.chaincode).NewProposal(inv.function, opts...)
}
