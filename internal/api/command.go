package api

import (
	"encoding/json"
	"net/http"

	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func commandRoutes() []*route {
	return []*route{{
		method: http.MethodPost, path: "/", name: "postCommand", tag: "Transactions",
		about: "Carries out a command. SendTransaction accepts a transaction: once it is answered, the transaction is stored, and it is sent, " +
			"followed and brought to an end whatever happens. headers.id is its id and its idempotency key: the same request with the same id is " +
			"accepted once, and its repetition is answered with the same transaction and the header Idempotent-Replay: true. DeployContract is the same " +
			"for the deployment of a contract. Query runs a read-only call and answers with its result. TransactionReceipt shows the outcome of a " +
			"transaction on the chain, by its hash. Fields that are not listed are options of the chain's own.",
		input: Command{}, example: map[string]any{
			"headers": map[string]any{"type": apitypes.SendTransaction, "id": "my-first"},
			"from":    "alice", "to": "assets", "method": "create", "params": []any{"car-1", map[string]any{"colour": "blue"}},
		},
		output: apitypes.Transaction{}, status: http.StatusAccepted,
		serve: (*request).command,
	}}
}

// command serves POST /. It has a decoder of its own: it is what a node does most.
func (rq *request) command() (any, error) {
	raw, err := rq.body()
	if err != nil {
		return nil, err
	}
	faultpoint.Visit(faultpoint.RequestRead)
	c, err := decodeCommand(raw)
	if err != nil {
		return nil, err
	}
	switch c.kind {
	case apitypes.SendTransaction, apitypes.DeployContract:
		s, err := c.submission(raw)
		if err != nil {
			return nil, err
		}
		tx, replay, err := rq.api.Transactions.Submit(rq.ctx, s)
		if err != nil {
			return nil, err
		}
		if replay {
			rq.w.Header()[replayHeader] = replayValue
		}
		return object(tx, nil)
	case apitypes.Query:
		q, err := c.query()
		if err != nil {
			return nil, err
		}
		return rq.query(q)
	case apitypes.TransactionReceipt:
		q, err := c.receiptQuery()
		if err != nil {
			return nil, err
		}
		return object(rq.api.Transactions.ChainReceipt(rq.ctx, q))
	case "":
		return nil, required("headers.type", "give SendTransaction, DeployContract, Query or TransactionReceipt")
	default:
		return nil, newError(msgs.UnknownCommand, clip(c.kind))
	}
}

var replayValue = []string{"true"} //nolint:gochecknoglobals // constant

func (rq *request) query(q *apitypes.ReadQuery) (any, error) {
	result, err := rq.api.Transactions.Query(rq.ctx, q)
	if err != nil {
		return nil, err
	}
	return result, nil
}

// command is a body of POST /, its members not yet decoded: what they mean depends on the type of the command.
type command struct {
	id, kind                      string
	from, to, nonce, gas, value   json.RawMessage
	method, params, errors, block json.RawMessage
	rest                          []member // the chain's own options
	labels                        map[string]string
	confirmations                 *int
}

func decodeCommand(raw []byte) (*command, error) {
	if err := checkObject(raw); err != nil {
		return nil, err
	}
	return readCommand(raw)
}

// readCommand is decodeCommand of a valid object.
func readCommand(raw []byte) (*command, error) {
	c := &command{}
	var headers json.RawMessage
	err := eachMember(raw, func(m member) error {
		switch m.name {
		case "headers":
			headers = m.value
		case "from":
			c.from = m.value
		case "to":
			c.to = m.value
		case "nonce":
			c.nonce = m.value
		case "gas":
			c.gas = m.value
		case "value":
			c.value = m.value
		case "method":
			c.method = m.value
		case "params":
			c.params = m.value
		case "errors":
			c.errors = m.value
		case "blockNumber":
			c.block = m.value
		default:
			c.rest = append(c.rest, m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if isNull(headers) {
		return nil, required("headers", `give {"type":"SendTransaction","id":"..."}`)
	}
	return c, c.decodeHeaders(headers)
}

func (c *command) submission(raw []byte) (s *apitypes.Submission, err error) {
	s = &apitypes.Submission{ID: c.id, Type: c.kind, Raw: raw, Labels: c.labels, Confirmations: c.confirmations}
	if c.block != nil {
		c.rest = append(c.rest, member{name: "blockNumber", key: []byte(`"blockNumber"`), value: c.block})
	}
	if c.kind == apitypes.DeployContract {
		s.Definition, s.Contract = present(c.take("definition")), present(c.take("contract"))
	}
	d := decoding{}
	s.From, s.To = d.text("from", c.from), d.text("to", c.to)
	s.Nonce, s.Gas, s.Value = d.number("nonce", c.nonce), d.number("gas", c.gas), d.number("value", c.value)
	s.Method, s.Params, s.Errors, s.Options = present(c.method), d.list("params", c.params), d.list("errors", c.errors), options(c.rest)
	if d.err == nil && s.From == "" {
		return nil, required("from", "give the signer")
	}
	return s, d.err
}

func (c *command) query() (q *apitypes.ReadQuery, err error) {
	if err := c.noTransaction(); err != nil {
		return nil, err
	}
	q = &apitypes.ReadQuery{}
	d := decoding{}
	q.From, q.To, q.BlockNumber = d.text("from", c.from), d.text("to", c.to), d.block(c.block)
	q.Nonce, q.Gas, q.Value = d.number("nonce", c.nonce), d.number("gas", c.gas), d.number("value", c.value)
	q.Method, q.Params, q.Errors, q.Options = present(c.method), d.list("params", c.params), d.list("errors", c.errors), options(c.rest)
	return q, d.err
}

// options makes an object of the members, nil of none.
func options(rest []member) json.RawMessage {
	if len(rest) == 0 {
		return nil
	}
	size := 2
	for _, m := range rest {
		size += len(m.key) + len(m.value) + 2
	}
	o := append(make([]byte, 0, size), '{')
	for i, m := range rest {
		if i > 0 {
			o = append(o, ',')
		}
		o = append(append(append(o, m.key...), ':'), m.value...)
	}
	return append(o, '}')
}
