package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/ghodss/yaml"
	"github.com/hyperledger/firefly-common/pkg/ffapi"
	"github.com/swaggest/swgui/v5emb"

	"github.com/pyralis-io/pyralis/internal/msgs"
)

const (
	documentTitle = "Pyralis"
	documentAbout = "Submit transactions to a blockchain and receive its confirmed events at least once. " +
		"The interface is that of Hyperledger FireFly's connectors, so their clients work unchanged."
	documentVersion = "1.0"
	specPath        = "/api/spec.json"
)

// document is the OpenAPI document in its two forms.
type document struct{ json, yaml []byte }

// OpenAPI returns the OpenAPI document as YAML, the same at every call.
func OpenAPI(ctx context.Context) ([]byte, error) {
	d, err := newDocument(ctx, "")
	if err != nil {
		return nil, err
	}
	return d.yaml, nil
}

func newDocument(ctx context.Context, publicURL string) (*document, error) {
	if publicURL == "" {
		publicURL = "/"
	}
	gen := ffapi.NewSwaggerGen(&ffapi.SwaggerGenOptions{
		Title: documentTitle, Description: documentAbout + errorTable(), Version: documentVersion, BaseURL: publicURL,
		AdditionalSchemaCustomizer: describe,
		RouteCustomizations:        finish,
	})
	var list []*ffapi.Route
	schemas := make(openapi3.Schemas)
	for _, rt := range routes() {
		list = append(list, rt.documented(schemas))
	}
	doc := gen.Generate(ctx, list)
	doc.Components.Schemas = schemas
	var d document
	var err error
	if d.json, err = json.Marshal(doc); err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	if d.yaml, err = yaml.JSONToYAML(d.json); err != nil {
		return nil, fmt.Errorf("OpenAPI document: %w", err)
	}
	return &d, nil
}

// errorTable lists the codes of the errors in Markdown, which the user interface shows as a table.
func errorTable() string {
	var b strings.Builder
	b.WriteString("\n\nAn error is answered with `{\"error\":\"code: text\"}`; decide by the code or the status, not by the text.\n\n" +
		"| code | status | meaning |\n|---|---|---|\n")
	for _, c := range msgs.All() {
		if c != msgs.ClientLeft {
			fmt.Fprintf(&b, "| %s | %d | %s |\n", c.ID, c.Status, c.Meaning)
		}
	}
	return b.String()
}

var pathParameter = regexp.MustCompile(`{(\w+)}`)

// documented is what ffapi's generator needs to know of a route. The schemas of bodies are collected under the names of their types.
func (rt *route) documented(schemas openapi3.Schemas) *ffapi.Route {
	out := &ffapi.Route{
		Name: rt.name, Path: rt.path, Method: rt.method, Tag: rt.tag, Deprecated: rt.deprecated,
		PreTranslatedDescription: rt.about, Extensions: rt,
	}
	if rt.input != nil {
		out.JSONInputSchema = named(schemas, reflect.TypeOf(rt.input))
	}
	if rt.output != nil {
		out.JSONOutputSchema = named(schemas, reflect.TypeOf(rt.output))
		out.JSONOutputCodes = []int{rt.status}
	}
	for _, m := range pathParameter.FindAllStringSubmatch(rt.path, -1) {
		out.PathParams = append(out.PathParams, &ffapi.PathParam{Name: m[1]})
	}
	for _, q := range rt.query {
		out.QueryParams = append(out.QueryParams, &ffapi.QueryParam{Name: q.name})
	}
	return out
}

var pathAbout = map[string]string{ //nolint:gochecknoglobals // constant
	"transactionId": "Id of the transaction: headers.id of its request.",
	"signer":        "The signer, as in the from of its transactions.",
	"streamId":      "Id or name of the event stream.",
	"listenerId":    "Id of the listener, or, under an event stream, its name.",
	"deadLetterId":  "Id of the dead letter.",
	"address":       "The account, as the chain names it.",
}

// finish adds to an operation what ffapi's routes have no place for.
func finish(_ context.Context, _ *ffapi.SwaggerGen, r *ffapi.Route, op *openapi3.Operation) {
	rt, _ := r.Extensions.(*route) // set by documented
	for _, p := range op.Parameters {
		rt.finishParameter(p.Value)
	}
	if op.RequestBody != nil {
		op.RequestBody.Value.Required = !rt.optional
		op.RequestBody.Value.Content.Get(jsonType).Example = rt.example
	}
	done := openapi3.NewResponse()
	if rt.output != nil {
		done = op.Responses.Status(rt.status).Value
	}
	op.Responses.Set(strconv.Itoa(rt.status), &openapi3.ResponseRef{Value: done.WithDescription("Success")})
	failed := openapi3.NewResponse().WithDescription("An error; its text begins with a code").WithJSONSchema(errorSchema(rt))
	op.Responses.Set("default", &openapi3.ResponseRef{Value: failed})
	if rt.path == "/" {
		documentCommand(op)
	}
}

func (rt *route) finishParameter(p *openapi3.Parameter) {
	switch p.In {
	case openapi3.ParameterInPath:
		p.Description = pathAbout[p.Name]
	case openapi3.ParameterInHeader:
		p.Description = "Time the request may take: a duration such as 30s, or seconds. api.maxRequestTimeout sets the maximum."
		p.Schema.Value.Default = nil
	case openapi3.ParameterInQuery:
		for _, q := range rt.query {
			if q.name == p.Name {
				p.Description = q.about
				p.Schema.Value.Type = &openapi3.Types{cmp.Or(q.kind, openapi3.TypeString)}
			}
		}
	}
}

func errorSchema(rt *route) *openapi3.Schema {
	s := openapi3.NewObjectSchema().WithProperty("error", openapi3.NewStringSchema())
	if rt.path == "/" {
		rejected := openapi3.NewBoolSchema()
		rejected.Description = "The refusal is final: the same request cannot succeed, and nothing was stored."
		s.WithProperty("submissionRejected", rejected)
	}
	return s
}

// documentCommand says what a generated schema cannot: what Query answers.
func documentCommand(op *openapi3.Operation) {
	accepted := op.Responses.Status(http.StatusAccepted).Value
	about := "SendTransaction and DeployContract: the transaction, stored. Query: the result, of whatever type it is. TransactionReceipt: the receipt."
	accepted.Description = &about
	transaction := accepted.Content.Get(jsonType).Schema
	accepted.Content.Get(jsonType).Schema = &openapi3.SchemaRef{Value: &openapi3.Schema{
		AnyOf: openapi3.SchemaRefs{transaction, {Value: &openapi3.Schema{Description: "Any value"}}},
	}}
	accepted.Headers = openapi3.Headers{replayHeader: {Value: &openapi3.Header{Parameter: openapi3.Parameter{
		Description: "true if the transaction had been accepted before.", Schema: openapi3.NewStringSchema().NewRef(),
	}}}}
}

// mountDocument serves the document and a user interface for it, all from the binary.
func (a *api) mountDocument() {
	serve := func(mediaType string, form func(*document) []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				a.refuseMethod(w, r, []string{http.MethodGet})
				return
			}
			d, err := a.spec()
			if err != nil {
				a.fail(r.Context(), w, r, nil, err)
				return
			}
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(form(d)) // a reader who left needs no answer
		}
	}
	a.mux.Handle(specPath, serve(jsonType, func(d *document) []byte { return d.json }))
	a.mux.Handle("/api/spec.yaml", serve("application/yaml", func(d *document) []byte { return d.yaml }))
	ui := v5emb.New(documentTitle, specPath, "/api/")
	a.mux.Handle("/api", ui)
	a.mux.Handle("/api/", ui)
	a.mux.Handle("GET /{$}", http.RedirectHandler("/api", http.StatusFound)) // a browser that comes to the root
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.fail(r.Context(), w, r, nil, newError(msgs.NoSuchPath, clip(r.URL.Path)))
	})
}
