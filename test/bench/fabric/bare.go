package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
)

const (
	channel   = "ch1"
	chaincode = "assets"
)

// connect opens a gateway to the first peer of organisation 1, as a program of a few lines does.
func connect(dir string) (*client.Gateway, *grpc.ClientConn, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "connection.yaml"))
	if err != nil {
		return nil, nil, err
	}
	var profile struct {
		Peers map[string]struct {
			URL string `yaml:"url"`
			CA  struct {
				PEM string `yaml:"pem"`
			} `yaml:"tlsCACerts"`
		} `yaml:"peers"`
	}
	if err := yaml.Unmarshal(raw, &profile); err != nil {
		return nil, nil, err
	}
	const host = "peer0.org1.test"
	p := profile.Peers[host]
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.CA.PEM)) {
		return nil, nil, fmt.Errorf("%s: no %s", dir, host)
	}
	wallet := filepath.Join(dir, "wallet", "user1")
	certPEM, err := os.ReadFile(filepath.Join(wallet, "cert.pem"))
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(wallet, "key.pem"))
	if err != nil {
		return nil, nil, err
	}
	cert, err := identity.CertificateFromPEM(certPEM)
	if err != nil {
		return nil, nil, err
	}
	key, err := identity.PrivateKeyFromPEM(keyPEM)
	if err != nil {
		return nil, nil, err
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, nil, err
	}
	id, err := identity.NewX509Identity("Org1MSP", cert)
	if err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(p.URL, "grpcs://"), grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, host)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(100<<20)))
	if err != nil {
		return nil, nil, err
	}
	gw, err := client.Connect(id, client.WithSign(sign), client.WithHash(hash.SHA256), client.WithClientConnection(conn))
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return gw, conn, nil
}

// submitBare submits o.n transactions with o.c clients, each until it is committed.
func submitBare(ctx context.Context, o options) (int, error) {
	gw, conn, err := connect(o.network)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer gw.Close()
	contract := gw.GetNetwork(channel).GetContract(chaincode)
	return o.n, eachClient(ctx, o, func(ctx context.Context, i int) error {
		_, err := contract.SubmitWithContext(ctx, "event", client.WithArguments(eventName, payload(o.prefix, i)))
		return err
	})
}

// eachClient does o.n pieces of work, o.c of them at a time. The first failure ends it.
func eachClient(ctx context.Context, o options, do func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range o.c {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < o.n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(fmt.Errorf("transaction %d: %w", i, err))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// replayBare reads blocks from 0 until it has decoded o.n events of valid transactions.
func replayBare(ctx context.Context, o options) (int, error) {
	gw, conn, err := connect(o.network)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer gw.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks, err := gw.GetNetwork(channel).BlockEvents(ctx, client.WithStartBlock(0))
	if err != nil {
		return 0, err
	}
	count := 0
	for b := range blocks {
		n, err := eventsOf(b)
		if err != nil {
			return 0, fmt.Errorf("block %d: %w", b.GetHeader().GetNumber(), err)
		}
		if count += n; count >= o.n {
			return count, nil
		}
	}
	return 0, fmt.Errorf("the blocks ended after %d events", count)
}

// eventsOf decodes the events of a block, payload included, and counts those that were asked for.
func eventsOf(b *common.Block) (count int, err error) {
	codes := b.GetMetadata().GetMetadata()[common.BlockMetadataIndex_TRANSACTIONS_FILTER]
	for i, raw := range b.GetData().GetData() {
		var (
			envelope common.Envelope
			payload  common.Payload
			header   common.ChannelHeader
		)
		if err := errors.Join(proto.Unmarshal(raw, &envelope), proto.Unmarshal(envelope.GetPayload(), &payload),
			proto.Unmarshal(payload.GetHeader().GetChannelHeader(), &header)); err != nil {
			return 0, err
		}
		if common.HeaderType(header.GetType()) != common.HeaderType_ENDORSER_TRANSACTION || peer.TxValidationCode(codes[i]) != peer.TxValidationCode_VALID {
			continue
		}
		event, err := eventOf(payload.GetData())
		if err != nil {
			return 0, err
		}
		if event.GetEventName() != eventName {
			continue
		}
		var data map[string]any
		if err := json.Unmarshal(event.GetPayload(), &data); err != nil {
			return 0, err
		}
		count++
	}
	return count, nil
}

func eventOf(raw []byte) (*peer.ChaincodeEvent, error) {
	var (
		tx       peer.Transaction
		action   peer.ChaincodeActionPayload
		response peer.ProposalResponsePayload
		result   peer.ChaincodeAction
		event    peer.ChaincodeEvent
	)
	if err := proto.Unmarshal(raw, &tx); err != nil || len(tx.GetActions()) == 0 {
		return nil, errors.Join(err, errors.New("no action"))
	}
	if err := proto.Unmarshal(tx.GetActions()[0].GetPayload(), &action); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(action.GetAction().GetProposalResponsePayload(), &response); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(response.GetExtension(), &result); err != nil {
		return nil, err
	}
	return &event, proto.Unmarshal(result.GetEvents(), &event)
}
