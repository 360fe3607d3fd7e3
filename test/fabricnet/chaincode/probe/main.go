package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// target is one peer to submit through. Paths are PEM files.
type target struct {
	Address    string `json:"address"`
	ServerName string `json:"serverName"`
	TLSCA      string `json:"tlsCA"`
	MSPID      string `json:"mspID"`
	Cert       string `json:"cert"`
	Key        string `json:"key"`
}

// pause between two attempts, short beside the readiness it measures.
const pause = 50 * time.Millisecond

func main() {
	channel := flag.String("channel", "", "channel")
	chaincode := flag.String("chaincode", "", "chaincode")
	targets := flag.String("targets", "", "JSON array of peers")
	timeout := flag.Duration("timeout", time.Minute, "give up after")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	if err := run(ctx, *channel, *chaincode, *targets); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, channel, chaincode, targets string) error {
	var list []target
	if err := json.Unmarshal([]byte(targets), &list); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	if len(list) == 0 {
		return errors.New("targets: none given")
	}
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, t := range list { // at the same time: one block of a slow channel may hold them all
		wg.Go(func() {
			if err := t.wait(ctx, channel, chaincode); err != nil {
				errs[i] = fmt.Errorf("%s at %s: %w", t.ServerName, t.Address, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (t target) wait(ctx context.Context, channel, chaincode string) error {
	conn, err := t.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	gw, err := t.connect(conn)
	if err != nil {
		return err
	}
	defer gw.Close()
	contract := gw.GetNetwork(channel).GetContract(chaincode)
	for try := 1; ; try++ {
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		_, err := contract.SubmitWithContext(attempt, "ping")
		cancel()
		if err == nil {
			fmt.Printf("%s ready after %d attempts\n", t.ServerName, try)
			return nil
		}
		fmt.Fprintf(os.Stderr, "%s attempt %d: %s\n", t.ServerName, try, describe(err))
		select {
		case <-ctx.Done():
			return errors.New(describe(err))
		case <-time.After(pause):
		}
	}
}

func (t target) dial() (*grpc.ClientConn, error) {
	ca, err := os.ReadFile(t.TLSCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", t.TLSCA)
	}
	// gRPC's usual back-off starts at one second and would hide how soon the peer is ready.
	return grpc.NewClient("passthrough:///"+t.Address,
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(pool, t.ServerName)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.2, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}))
}

func (t target) connect(conn *grpc.ClientConn) (*client.Gateway, error) {
	certPEM, err := os.ReadFile(t.Cert)
	if err != nil {
		return nil, err
	}
	cert, err := identity.CertificateFromPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Cert, err)
	}
	keyPEM, err := os.ReadFile(t.Key)
	if err != nil {
		return nil, err
	}
	key, err := identity.PrivateKeyFromPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Key, err)
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Key, err)
	}
	id, err := identity.NewX509Identity(t.MSPID, cert)
	if err != nil {
		return nil, err
	}
	return client.Connect(id, client.WithSign(sign), client.WithHash(hash.SHA256), client.WithClientConnection(conn))
}

// describe adds what the peers said, which the gateway hides in the status details.
func describe(err error) string {
	text := err.Error()
	for _, d := range status.Convert(err).Details() {
		if e, ok := d.(*gateway.ErrorDetail); ok {
			text += fmt.Sprintf("; %s %s: %s", e.GetMspId(), e.GetAddress(), e.GetMessage())
		}
	}
	return text
}
