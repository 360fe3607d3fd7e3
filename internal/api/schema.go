package api

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/hyperledger/firefly-common/pkg/ffapi"
	"github.com/hyperledger/firefly-common/pkg/fftypes"
)

// describe completes the schema of a field: its text from the tag doc, and the types whose JSON is not what reflection sees.
func describe(_ string, t reflect.Type, tag reflect.StructTag, schema *openapi3.Schema) error {
	if about := tag.Get("doc"); about != "" {
		schema.Description = about
	}
	schema.Nullable, schema.Max = false, nil // what reflection says of pointers and of 64 bits is no rule of the API
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[Command]():
		yes := true
		schema.AdditionalProperties = openapi3.AdditionalProperties{Has: &yes} // the chain's own options
	case reflect.TypeFor[fftypes.FFDuration]():
		*schema = openapi3.Schema{
			Type: &openapi3.Types{openapi3.TypeString}, Description: schema.Description, Example: "30s",
		}
	case reflect.TypeFor[fftypes.FFBigInt]():
		*schema = openapi3.Schema{Type: &openapi3.Types{openapi3.TypeString}, Description: schema.Description, Example: "1"}
	case reflect.TypeFor[fftypes.FFTime]():
		*schema = openapi3.Schema{Type: &openapi3.Types{openapi3.TypeString}, Format: "date-time", Description: schema.Description}
	case reflect.TypeFor[fftypes.UUID]():
		*schema = openapi3.Schema{Type: &openapi3.Types{openapi3.TypeString}, Format: "uuid", Description: schema.Description}
	case reflect.TypeFor[json.RawMessage]():
		*schema = openapi3.Schema{Description: schema.Description}
	}
	return nil
}

// named makes the generator of the schema of a body. Objects are put among the schemas once, and referred to by name.
func named(schemas openapi3.Schemas, t reflect.Type) func(context.Context, ffapi.SchemaGenerator) (*openapi3.SchemaRef, error) {
	return func(ctx context.Context, generate ffapi.SchemaGenerator) (*openapi3.SchemaRef, error) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Kind() == reflect.Slice {
			items, err := named(schemas, t.Elem())(ctx, generate)
			list := openapi3.NewArraySchema()
			list.Items = items
			return list.NewRef(), err
		}
		schema, err := generate(reflect.New(t).Interface())
		if err != nil || t.Name() == "" {
			return schema, err
		}
		cleanItems(schema.Value)
		name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
		schemas[name] = schema
		return openapi3.NewSchemaRef("#/components/schemas/"+name, schema.Value), nil
	}
}

// cleanItems takes the description of a list off its items, which inherit it with the field's tag.
func cleanItems(s *openapi3.Schema) {
	for _, p := range s.Properties {
		if items := p.Value.Items; items != nil {
			items.Value.Description = ""
			cleanItems(items.Value)
		}
		cleanItems(p.Value)
	}
}

// Command documents the body of POST /, which is decoded without reflection.
type Command struct {
	Headers struct {
		Type string `json:"type" doc:"SendTransaction, DeployContract, Query or TransactionReceipt."`
		ID   string `json:"id,omitempty" doc:"SendTransaction and DeployContract: id and idempotency key of the transaction, 1 to 256 printable characters; made up if absent."`

		Labels        map[string]string `json:"labels,omitempty" doc:"SendTransaction and DeployContract: up to 16 labels to find the transaction by. Names are 1 to 64 of A-Z, a-z, 0-9, _, . and -; values are 1 to 256 bytes of printable text."`
		Confirmations int               `json:"confirmations,omitempty" doc:"SendTransaction and DeployContract: blocks that must follow its block, 0 to 10000; as confirmations.required has it if absent. Ledgers with instant finality need none, whatever this says. On a chain that can be reorganised, 0 ends a transaction as soon as a block holds it, and it stays so if that block is replaced."`
	} `json:"headers" doc:"Which command, its id, and what else concerns the node and not the chain."`
	From        string            `json:"from,omitempty" doc:"The signer. Required by SendTransaction and DeployContract."`
	To          string            `json:"to,omitempty" doc:"The contract, as the chain names it."`
	Method      json.RawMessage   `json:"method,omitempty" doc:"The method, as the chain names or describes it."`
	Params      []json.RawMessage `json:"params,omitempty" doc:"The parameters of the method."`
	Errors      []json.RawMessage `json:"errors,omitempty" doc:"The errors that the method declares, on chains that need them to be read."`
	Nonce       string            `json:"nonce,omitempty" doc:"Number or string of digits. Normally absent: the node assigns it."`
	Gas         string            `json:"gas,omitempty" doc:"Number or string of digits."`
	Value       string            `json:"value,omitempty" doc:"Number or string of digits."`
	BlockNumber string            `json:"blockNumber,omitempty" doc:"Query: the block whose state is read; the newest if absent."`

	Definition json.RawMessage `json:"definition,omitempty" doc:"DeployContract: interface of the contract, as the chain describes it."`
	Contract   json.RawMessage `json:"contract,omitempty" doc:"DeployContract: code of the contract, as the chain encodes it."`

	TransactionHash string            `json:"transactionHash,omitempty" doc:"TransactionReceipt: hash of the transaction on the chain."`
	Ledger          string            `json:"ledger,omitempty" doc:"TransactionReceipt: ledger of the chain, where it has several."`
	IncludeLogs     bool              `json:"includeLogs,omitempty" doc:"TransactionReceipt: with the raw logs."`
	EventFilters    []json.RawMessage `json:"eventFilters,omitempty" doc:"TransactionReceipt: with the events that match these, decoded."`
	Methods         []json.RawMessage `json:"methods,omitempty" doc:"TransactionReceipt: methods to decode the input with."`
	ExtractSigner   bool              `json:"extractSigner,omitempty" doc:"TransactionReceipt: with the signer."`
}
