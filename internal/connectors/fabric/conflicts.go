package fabric

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"google.golang.org/protobuf/proto"
)

// conflictKeys returns the keys that an endorsed transaction both reads and writes, as "channel/namespace/key" with the key
// escaped: composite keys have zero bytes in them. Of two such transactions in one block the second fails.
func conflictKeys(channel string, env *common.Envelope) ([]string, error) {
	data, err := bytesField(env.GetPayload(), payloadData)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	results, err := (&tx{data: data}).results()
	if err != nil {
		return nil, fmt.Errorf("read-write set: %w", err)
	}
	var set rwset.TxReadWriteSet
	if err := proto.Unmarshal(results, &set); err != nil {
		return nil, fmt.Errorf("read-write set: %w", err)
	}
	keys := map[string]bool{}
	for _, ns := range set.GetNsRwset() {
		var kv kvrwset.KVRWSet
		if err := proto.Unmarshal(ns.GetRwset(), &kv); err != nil {
			return nil, fmt.Errorf("read-write set of %s: %w", ns.GetNamespace(), err)
		}
		read := map[string]bool{}
		for _, r := range kv.GetReads() {
			read[r.GetKey()] = true
		}
		for _, w := range kv.GetWrites() {
			if read[w.GetKey()] {
				keys[channel+"/"+ns.GetNamespace()+"/"+url.PathEscape(w.GetKey())] = true
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(keys)), nil
}
