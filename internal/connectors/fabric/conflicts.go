package fabric

import (
	"encoding/hex"
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
// escaped: composite keys have zero bytes in them. Those of private data are "channel/namespace/collection/hash". Of two such transactions in one
// block the second fails.
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
		prefix := channel + "/" + ns.GetNamespace() + "/"
		read := map[string]bool{}
		for _, r := range kv.GetReads() {
			read[r.GetKey()] = true
		}
		for _, w := range kv.GetWrites() {
			if read[w.GetKey()] {
				keys[prefix+url.PathEscape(w.GetKey())] = true
			}
		}
		for _, c := range ns.GetCollectionHashedRwset() {
			if err := privateKeys(keys, prefix, c); err != nil {
				return nil, fmt.Errorf("read-write set of %s, collection %s: %w", ns.GetNamespace(), c.GetCollectionName(), err)
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(keys)), nil
}

// privateKeys adds those of a collection.
func privateKeys(keys map[string]bool, prefix string, c *rwset.CollectionHashedReadWriteSet) error {
	var kv kvrwset.HashedRWSet
	if err := proto.Unmarshal(c.GetHashedRwset(), &kv); err != nil {
		return err
	}
	read := map[string]bool{}
	for _, r := range kv.GetHashedReads() {
		read[string(r.GetKeyHash())] = true
	}
	for _, w := range kv.GetHashedWrites() {
		if read[string(w.GetKeyHash())] {
			keys[prefix+url.PathEscape(c.GetCollectionName())+"/"+hex.EncodeToString(w.GetKeyHash())] = true
		}
	}
	return nil
}
