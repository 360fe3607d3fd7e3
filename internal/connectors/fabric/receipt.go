package fabric

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"

	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// receiptExtra are the fields of a receipt that only Fabric has.
type receiptExtra struct {
	ValidationCode string `json:"validationCode"`
	Signer         string `json:"signer,omitempty"`
}

// rawLog is an event as the ledger has it.
type rawLog struct {
	Chaincode string `json:"chaincodeId"`
	Event     string `json:"eventName"`
	Payload   []byte `json:"payload"` // base64
}

// Receipt implements ffcapi.Connector.
func (c *Connector) Receipt(ctx context.Context, q *ffcapi.ReceiptQuery) (*ffcapi.Receipt, error) {
	if q.Ledger == "" {
		first := *q
		first.Ledger = c.cfg.Channels[0]
		q = &first
	}
	m, err := receiptMatcher(q)
	if err != nil {
		return nil, err
	}
	if q.Hash == "" {
		return nil, invalid("hash", "it is empty")
	}
	var b *block
	err = c.search(ctx, c.cfg.Timeouts.CommitStatus, q.Ledger, func(ctx context.Context, n *node, s *signer) error {
		var e *ffcapi.Error
		if b, e = n.blockOf(ctx, s, q.Ledger, q.Hash); e != nil {
			e.Hash = q.Hash
			return e
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range b.txs {
		if b.txs[i].id == q.Hash {
			return receipt(q, m, b, i)
		}
	}
	return nil, ffcapi.Errorf(ffcapi.Internal, "block %d of %s was given for transaction %s and does not hold it", b.Number, q.Ledger, q.Hash)
}

// receiptMatcher selects the events that a receipt is to show.
func receiptMatcher(q *ffcapi.ReceiptQuery) (*matcher, error) {
	m := newMatcher(q.Ledger)
	for i, raw := range q.EventFilters {
		field := fmt.Sprintf("eventFilters[%d]", i)
		f, err := parseFilter(field, raw, q.Ledger)
		if err != nil {
			return nil, err
		}
		if f.Type != "" {
			return nil, invalid(field+".type", "a receipt shows events of chaincodes only: leave it out")
		}
		if f.Channel == q.Ledger {
			filters, err := compileFilters([]filter{f})
			if err != nil {
				return nil, invalid(field, "%v", err)
			}
			m.add(rule{listener: i}, filters)
		}
	}
	return m, nil
}

func receipt(q *ffcapi.ReceiptQuery, m *matcher, b *block, i int) (*ffcapi.Receipt, error) {
	t := b.txs[i]
	out := &ffcapi.Receipt{
		Block: b.BlockRef, TxIndex: t.index, Success: t.valid(), Reason: t.reason(), Retryable: t.retryable(),
		ProtocolID: fmt.Sprintf("%012d/%06d", b.Number, t.index), Result: asJSON(t.result),
	}
	one := &block{BlockRef: b.BlockRef, txs: b.txs[i : i+1]}
	events, err := m.read(nil, one, ffcapi.Cursor{})
	if err != nil {
		return nil, err
	}
	for i := range events {
		out.Events = append(out.Events, &events[i])
	}
	if q.IncludeLogs && t.event != nil {
		log, err := json.Marshal(rawLog{t.event.chaincode, t.event.name, t.event.payload})
		if err != nil {
			return nil, ffcapi.Errorf(ffcapi.Internal, "transaction %s: %w", t.id, err)
		}
		out.Logs = append(out.Logs, log)
	}
	extra := receiptExtra{ValidationCode: t.code.String()}
	if q.ExtractSigner {
		extra.Signer = signerName(t.creator)
	}
	if out.Extra, err = json.Marshal(extra); err != nil {
		return nil, ffcapi.Errorf(ffcapi.Internal, "transaction %s: %w", t.id, err)
	}
	return out, nil
}

// signerName is the short form of an identity, "<MSP id>/<common name>", "" for one that is no X.509 certificate.
func signerName(creator []byte) string {
	var id msp.SerializedIdentity
	if proto.Unmarshal(creator, &id) != nil {
		return ""
	}
	p, _ := pem.Decode(id.GetIdBytes())
	if p == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(p.Bytes)
	if err != nil {
		return ""
	}
	return id.GetMspid() + "/" + cert.Subject.CommonName
}
