package api

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestConditionSyntax(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]apitypes.Condition{
		"x":       {Op: "=", Value: "x"},
		"=x":      {Op: "=", Value: "x"},
		"==x":     {Op: "=", Value: "=x"},
		">5":      {Op: ">", Value: "5"},
		">>5":     {Op: ">", Value: "5"},
		">=5":     {Op: ">=", Value: "5"},
		"<5":      {Op: "<", Value: "5"},
		"<<5":     {Op: "<", Value: "5"},
		"<=5":     {Op: "<=", Value: "5"},
		"<>5":     {Op: "<", Value: ">5"},
		">@5":     {Op: ">", Value: "@5"},
		"@x":      {Op: "@", Value: "x"},
		"^x":      {Op: "^", Value: "x"},
		"$x":      {Op: "$", Value: "x"},
		"!x":      {Op: "=", Not: true, Value: "x"},
		"!:@x":    {Op: "@", Not: true, Fold: true, Value: "x"},
		":!^x":    {Op: "^", Not: true, Fold: true, Value: "x"},
		"?":       {Op: "=", None: true},
		"!?":      {Op: "=", None: true, Not: true},
		"=?":      {Op: "=", Value: "?"},
		"?x":      {Op: "=", Value: "x"},
		"":        {Op: "="},
		"=":       {Op: "="},
		"x!:?@=y": {Op: "=", Value: "x!:?@=y"},
	} {
		got, and := parseCondition(value)
		require.Equal(t, want, got, value)
		require.False(t, and, value)
		_, and = parseCondition("[" + value)
		require.True(t, and, value)
		_, and = parseCondition("[]" + value)
		require.False(t, and, value)
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	is := func(field, op, value string) apitypes.Condition {
		return apitypes.Condition{Field: field, Op: op, Value: value}
	}
	for query, want := range map[string]apitypes.TransactionFilter{
		"label.objectId=invoice-7&Label.Kind=a%20b": {Limit: 25, Labels: map[string]string{"objectId": "invoice-7", "Kind": "a b"}},
		"label.=x":                       {Limit: 25, Labels: map[string]string{"": "x"}}, // for the engine to refuse
		"progress=completed,FAILED":      {Limit: 25, Progress: []string{"Completed", "Failed"}},
		"status=!Failed":                 {Limit: 25, Match: [][]apitypes.Condition{{{Field: "status", Op: "=", Not: true, Value: "Failed"}}}},
		"skip=7&sort=-Created":           {Limit: 25, Skip: 7},
		"sort=sequence":                  {Limit: 25, Ascending: true},
		"ascending":                      {Limit: 25, Ascending: true},
		"descending=true":                {Limit: 25},
		"Nonce=>5":                       {Limit: 25, Match: [][]apitypes.Condition{{is("nonce", ">", "5")}}},
		"nonce=5&NONCE=7":                {Limit: 25, Match: [][]apitypes.Condition{{is("nonce", "=", "7"), is("nonce", "=", "5")}}},
		"to=@a&to=[@b":                   {Limit: 25, Match: [][]apitypes.Condition{{is("to", "@", "a")}, {is("to", "@", "b")}}},
		"from=alice&transactionHash=0x1": {Limit: 25, Match: [][]apitypes.Condition{{is("from", "=", "alice")}, {is("transactionhash", "=", "0x1")}}},
	} {
		g := newRig()
		var got apitypes.TransactionFilter
		g.tx.transactions = func(_ context.Context, f apitypes.TransactionFilter) ([]*apitypes.Transaction, error) {
			got = f
			return nil, nil
		}
		w := g.do(t, "GET /transactions?"+query, "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Equal(t, want, got, query)
		require.JSONEq(t, "[]", w.Body.String())
		w = g.do(t, "GET /transactions?count&"+query, "")
		require.JSONEq(t, `{"count":0,"total":1000,"items":[]}`, w.Body.String())
	}
}

func TestBadFilters(t *testing.T) {
	t.Parallel()
	many := url.Values{}
	for range 33 {
		many.Add("to", "x")
	}
	for query, text := range map[string]string{
		"progress=done":              `PY10006: query parameter progress is \"done\": give InProgress, Completed, Failed`,
		"skip=-1":                    `PY10006: query parameter skip is \"-1\": give a number from 0 to 10000, or go on with after`,
		"skip=10001":                 `PY10006: query parameter skip is \"10001\": give a number from 0 to 10000, or go on with after`,
		"sort=gas":                   `PY10006: query parameter sort is \"gas\": give sequence or created, with - before it for descending order: no index has another order`,
		"sort=created&direction=asc": `PY10006: query parameter sort is \"created\": leave it out, direction says the order`,
		"label.a=1&label.a=2":        `PY10006: query parameter label.a is \"2\": give one value of a label`,
		"count=x":                    `PY10006: query parameter count is \"x\": give true or false`,
		"gasprice=1":                 `PY10005: query parameter gasprice is not known here: this route knows limit, after,`,
		"label=1":                    `PY10005: query parameter label is not known here`,
		many.Encode():                `PY10006: query parameter with conditions is \"33\": give at most 32 of them`,
	} {
		g := newRig()
		w := g.do(t, "GET /transactions?"+query, "")
		require.Equal(t, http.StatusBadRequest, w.Code, query)
		require.Contains(t, w.Body.String(), text)
	}
}

func TestTooWide(t *testing.T) {
	t.Parallel()
	for text, wide := range map[string]*store.TooWide{
		"PY10120: looked at 100000 transactions, down to tx-7, without an end: go on with after=tx-7, or narrow":            {Looked: 100_000, Last: "tx-7"},
		"PY10120: looked at 100000 transactions, down to tx-7, without an end: go on with after=tx-7 and skip=2, or narrow": {Looked: 100_000, Last: "tx-7", Skipped: 3, Skip: 2},
		"PY10120: looked at 100000 transactions, down to tx-7, without an end: go on with after=tx-7 and skip=0, or narrow": {Looked: 100_000, Last: "tx-7", Skipped: 5},
		"PY10121: more than 100000 transactions would have to be looked at to count those that match: leave the count out":  {Looked: 100_000},
	} {
		g := newRig()
		g.tx.transactions = func(context.Context, apitypes.TransactionFilter) ([]*apitypes.Transaction, error) { return nil, wide }
		w := g.do(t, "GET /transactions?to=x", "")
		require.Equal(t, http.StatusUnprocessableEntity, w.Code)
		require.Contains(t, w.Body.String(), text)
	}
}
