package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestDeclaredStreamHasTheFormOfTheRequest(t *testing.T) {
	t.Parallel()
	s, list, err := DeclaredStream(json.RawMessage(`{"name":"orders","type":"WebSocket","batchTimeoutMS":250,"webSocket":null,"listeners":[
		{"name":"a","type":"Events","event":"E","address":"0x1"},{"name":"b","fromBlock":7}]}`))
	require.ErrorContains(t, err, `webSocket is not a field of an event stream: the closest is "websocket"`)
	require.Nil(t, s)
	require.Nil(t, list)
	s, list, err = DeclaredStream(json.RawMessage(`{"name":"orders","type":"WebSocket","batchTimeoutMS":250,"listeners":[
		{"name":"a","type":"Events","event":"E","address":"0x1"},{"name":"b","fromBlock":7}]}`))
	require.NoError(t, err)
	require.Equal(t, uint64(250), *s.BatchTimeoutMS, "aliases are for the streams to read")
	require.Len(t, list, 2)
	require.JSONEq(t, `"E"`, string(list[0].Event))
	require.Equal(t, apitypes.BlockNumber("7"), *list[1].FromBlock)
}

func TestBadDeclaredStreamsNameTheField(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`7`:                    `is 7: give an event stream`,
		`{"naame":"a"}`:        `naame is not a field of an event stream: the closest is "name"`,
		`{"batchSize":"many"}`: `batchSize is "many": give a whole number`,
		`{"status":"started"}`: `status is not a field of an event stream`,
		`{"id":"3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a"}`: `id is set by the server: leave it out`,
		`{"managedBy":"config"}`:                        `managedBy is set by the server: leave it out`,
		`{"undeclared":true}`:                           `undeclared is set by the server: leave it out`,
		`{"updated":"2026-01-31T12:00:00Z","created":"2026-01-31T12:00:00Z","managedBy":"config"}`: `created is set by the server: leave it out`,
		`{"name":"a","webhook":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`:       `is nested deeper: nest 200 levels at most`,
		"{\"name\":\"\xff\"}":                                `has bytes that are none of UTF-8: write it in UTF-8`,
		`{"name":"a"`:                                        `is {"name":"a": give an event stream`,
		`{"listeners":{}}`:                                   `listeners is {}: give an array`,
		`{"listeners":[{},null]}`:                            `listeners[1] is null: give a listener`,
		`{"listeners":[{"filter":[]}]}`:                      `listeners[0].filter is not a field of a listener: the closest is "filters"`,
		`{"listeners":[{"filters":{}}]}`:                     `listeners[0].filters is {}: give an array`,
		`{"listeners":[{"fromBlock":-1}]}`:                   `listeners[0].fromBlock is -1: give "earliest", "latest" or a block number`,
		`{"listeners":[{"created":"2026-01-31T12:00:00Z"}]}`: `listeners[0].created is set by the server: leave it out`,
		`{"listeners":[{"signature":"x"}]}`:                  `listeners[0].signature is set by the server: leave it out`,
		`{"listeners":[{},{"stream":"3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a"}]}`: `listeners[1].stream is the stream that the listener stands in: leave it out`,
		`{"listeners":[{"managedBy":"config","signature":"x"}]}`:               `listeners[0].signature is set by the server: leave it out`,
	} {
		_, _, err := DeclaredStream(json.RawMessage(raw))
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, raw)
		require.ErrorContains(t, err, want)
	}
}
