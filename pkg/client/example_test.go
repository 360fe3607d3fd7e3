package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gorilla/websocket"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// A consumer of a stream: what Handle has stored is acknowledged, and what it could not store comes again.
func ExampleConsumer() {
	url, stop := exampleNode()
	defer stop()

	consumer := client.Consumer{
		URL: url, Stream: "transfers", Window: 8,
		Handle: func(_ context.Context, b *client.Batch) error {
			for _, raw := range b.Events {
				e, err := client.Decode(raw)
				if err != nil {
					return err
				}
				switch e := e.(type) {
				case *apitypes.Event:
					fmt.Println(e.Signature, string(e.Data))
				case *apitypes.TransactionEvent:
					fmt.Println(e.ID, e.Status)
				}
			}
			return client.ErrStop // one batch is enough for an example; nil goes on
		},
		Disconnected: func(err error) { fmt.Println("trying again:", err) },
	}
	fmt.Println(consumer.Run(context.Background()))
	// Output:
	// AssetTransferred {"id":"car-1","owner":"bob"}
	// order-17 Succeeded
	// <nil>
}

// exampleNode stands in for a node with one batch of events.
func exampleNode() (url string, stop func()) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		batch := map[string]any{"batchNumber": 1, "events": []any{
			map[string]any{"listenerType": "events", "signature": "AssetTransferred", "data": json.RawMessage(`{"id":"car-1","owner":"bob"}`)},
			map[string]any{"listenerType": "transactions", "id": "order-17", "status": "Succeeded"},
		}}
		var m apitypes.ClientMessage
		for conn.ReadJSON(&m) == nil {
			if m.Type == "listen" && conn.WriteJSON(batch) != nil {
				return
			}
		}
	}))
	return srv.URL, srv.Close
}
