package fabric

import (
	"errors"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"
)

// EachValid reads a block with the generated code, as a client without Pyralis would, and hands on what each valid transaction did.
func EachValid(b *common.Block, do func(index int, id string, did *peer.ChaincodeAction) error) error {
	codes := b.GetMetadata().GetMetadata()[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	for i, entry := range b.GetData().GetData() {
		var env common.Envelope
		var payload common.Payload
		var header common.ChannelHeader
		if err := errors.Join(proto.Unmarshal(entry, &env), proto.Unmarshal(env.GetPayload(), &payload),
			proto.Unmarshal(payload.GetHeader().GetChannelHeader(), &header)); err != nil {
			return err
		}
		if header.GetType() != int32(common.HeaderType_ENDORSER_TRANSACTION) || codes[i] != byte(peer.TxValidationCode_VALID) {
			continue
		}
		var tx peer.Transaction
		var action peer.ChaincodeActionPayload
		var response peer.ProposalResponsePayload
		var did peer.ChaincodeAction
		if err := errors.Join(proto.Unmarshal(payload.GetData(), &tx), proto.Unmarshal(tx.GetActions()[0].GetPayload(), &action),
			proto.Unmarshal(action.GetAction().GetProposalResponsePayload(), &response), proto.Unmarshal(response.GetExtension(), &did)); err != nil {
			return err
		}
		if err := do(i, header.GetTxId(), &did); err != nil {
			return err
		}
	}
	return nil
}
