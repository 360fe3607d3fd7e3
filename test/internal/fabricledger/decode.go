package fabricledger

import (
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// decode lists the endorsed transactions of a block.
func decode(b *common.Block) ([]*Tx, error) {
	filter := b.GetMetadata().GetMetadata()[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	var txs []*Tx
	for i, raw := range b.GetData().GetData() {
		var env common.Envelope
		var payload common.Payload
		var header common.ChannelHeader
		if err := all(
			func() error { return proto.Unmarshal(raw, &env) },
			func() error { return proto.Unmarshal(env.GetPayload(), &payload) },
			func() error { return proto.Unmarshal(payload.GetHeader().GetChannelHeader(), &header) },
		); err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
		if header.GetType() != int32(common.HeaderType_ENDORSER_TRANSACTION) {
			continue
		}
		tx := &Tx{ID: header.GetTxId(), Block: b.GetHeader().GetNumber(), Index: i, Code: peer.TxValidationCode(filter[i]), envelope: &env}
		if err := tx.read(payload.GetData()); err != nil {
			return nil, fmt.Errorf("transaction %s: %w", tx.ID, err)
		}
		txs = append(txs, tx)
	}
	return txs, nil
}

// read fills in what was called and which event that set.
func (t *Tx) read(raw []byte) error {
	var tx peer.Transaction
	var action peer.ChaincodeActionPayload
	var proposal peer.ChaincodeProposalPayload
	var call peer.ChaincodeInvocationSpec
	var response peer.ProposalResponsePayload
	var result peer.ChaincodeAction
	var event peer.ChaincodeEvent
	if err := proto.Unmarshal(raw, &tx); err != nil {
		return err
	}
	if len(tx.GetActions()) != 1 {
		return fmt.Errorf("%d actions", len(tx.GetActions()))
	}
	if err := all(
		func() error { return proto.Unmarshal(tx.GetActions()[0].GetPayload(), &action) },
		func() error { return proto.Unmarshal(action.GetChaincodeProposalPayload(), &proposal) },
		func() error { return proto.Unmarshal(proposal.GetInput(), &call) },
		func() error { return proto.Unmarshal(action.GetAction().GetProposalResponsePayload(), &response) },
		func() error { return proto.Unmarshal(response.GetExtension(), &result) },
		func() error { return proto.Unmarshal(result.GetEvents(), &event) },
	); err != nil {
		return err
	}
	for i, arg := range call.GetChaincodeSpec().GetInput().GetArgs() {
		if i == 0 {
			t.Function = string(arg)
		} else {
			t.Args = append(t.Args, string(arg))
		}
	}
	t.Event, t.Payload = event.GetEventName(), event.GetPayload()
	return nil
}

// all carries steps out until one fails.
func all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
