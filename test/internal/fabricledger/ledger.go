package fabricledger

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
)

// maxMessage is the largest block that is read.
const maxMessage = 100 << 20

// Tx is one endorsed transaction as a block holds it, valid or not. Of an id that is there more than once, each copy is one.
type Tx struct {
	ID       string
	Block    uint64
	Index    int
	Code     peer.TxValidationCode
	Function string
	Args     []string
	Event    string // "" for none
	Payload  json.RawMessage

	envelope *common.Envelope
}

// String names the transaction by its place, its call and what became of it.
func (t *Tx) String() string {
	return fmt.Sprintf("%d/%d %s%q %s: %s", t.Block, t.Index, t.Function, t.Args, t.ID, t.Code)
}

// Valid reports whether the transaction changed the ledger.
func (t *Tx) Valid() bool { return t.Code == peer.TxValidationCode_VALID }

// Reader reads ledgers from one peer.
type Reader struct {
	conn *grpc.ClientConn
	gw   *client.Gateway
}

// Open connects to the first peer of a connection profile, with an identity of a wallet.
func Open(profile, wallet, name string) (*Reader, error) {
	target, creds, err := endpoint(profile)
	if err != nil {
		return nil, err
	}
	id, sign, err := signer(filepath.Join(wallet, name))
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, err
	}
	gw, err := client.Connect(id, client.WithSign(sign), client.WithClientConnection(conn))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Reader{conn: conn, gw: gw}, nil
}

// Close ends the connection.
func (r *Reader) Close() error { return errors.Join(r.gw.Close(), r.conn.Close()) }

// Transactions reads a channel from its first block to the newest there is.
func (r *Reader) Transactions(ctx context.Context, channel string) ([]*Tx, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	network := r.gw.GetNetwork(channel)
	raw, err := network.GetContract("qscc").EvaluateTransaction("GetChainInfo", channel)
	if err != nil {
		return nil, fmt.Errorf("chain info: %w", err)
	}
	var info common.BlockchainInfo
	if err := proto.Unmarshal(raw, &info); err != nil {
		return nil, fmt.Errorf("chain info: %w", err)
	}
	blocks, err := network.BlockEvents(ctx, client.WithStartBlock(0))
	if err != nil {
		return nil, fmt.Errorf("blocks: %w", err)
	}
	var all []*Tx
	for b := range blocks {
		txs, err := decode(b)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", b.GetHeader().GetNumber(), err)
		}
		all = append(all, txs...)
		if b.GetHeader().GetNumber()+1 >= info.GetHeight() {
			return all, nil
		}
	}
	return nil, errors.New("the stream of blocks ended before the newest one")
}

// Send has an endorsed transaction ordered once more, bytes and all, as a sender does who comes late.
func (r *Reader) Send(ctx context.Context, channel string, tx *Tx) error {
	_, err := gateway.NewGatewayClient(r.conn).Submit(ctx, &gateway.SubmitRequest{
		TransactionId: tx.ID, ChannelId: channel, PreparedTransaction: tx.envelope,
	})
	return err
}

// endpoint is the first peer of a connection profile.
func endpoint(profile string) (string, credentials.TransportCredentials, error) {
	raw, err := os.ReadFile(profile)
	if err != nil {
		return "", nil, err
	}
	var doc struct {
		Peers map[string]struct {
			URL string `yaml:"url"`
			CA  struct {
				PEM string `yaml:"pem"`
			} `yaml:"tlsCACerts"`
			Names struct {
				Target string `yaml:"ssl-target-name-override"`
			} `yaml:"grpcOptions"`
		} `yaml:"peers"`
	}
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return "", nil, fmt.Errorf("%s: %w", profile, err)
	}
	for _, name := range []string{"peer0.org1.test", "peer0.org2.test"} {
		p, ok := doc.Peers[name]
		if !ok {
			continue
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(p.CA.PEM)) {
			return "", nil, fmt.Errorf("%s: %s has no TLS certificate", profile, name)
		}
		return strings.TrimPrefix(p.URL, "grpcs://"), credentials.NewClientTLSFromCert(roots, p.Names.Target), nil
	}
	return "", nil, fmt.Errorf("%s: no peer that is known", profile)
}

// signer is an identity in the folder of a wallet.
func signer(folder string) (identity.Identity, identity.Sign, error) {
	var parts [3]string
	for i, file := range []string{"cert.pem", "key.pem", "mspid"} {
		b, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			return nil, nil, err
		}
		parts[i] = strings.TrimSpace(string(b))
	}
	cert, err := identity.CertificateFromPEM([]byte(parts[0]))
	if err != nil {
		return nil, nil, err
	}
	id, err := identity.NewX509Identity(parts[2], cert)
	if err != nil {
		return nil, nil, err
	}
	key, err := identity.PrivateKeyFromPEM([]byte(parts[1]))
	if err != nil {
		return nil, nil, err
	}
	sign, err := identity.NewPrivateKeySign(key)
	return id, sign, err
}
