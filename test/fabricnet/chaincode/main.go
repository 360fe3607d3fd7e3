package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hyperledger/fabric-chaincode-go/v2/pkg/cid"
	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/pyralis-io/pyralis/test/fabricnet/chaincode/assets"
)

// Environment of the process, set by whoever starts it.
const (
	envAddress   = "CHAINCODE_SERVER_ADDRESS" // host:port to listen on
	envPackageID = "CHAINCODE_ID"             // package id the peers installed
)

// statusNotFound tells a client that there is no such asset, where shim.ERROR would only say that something is wrong. Peers do not endorse
// either.
const statusNotFound = 404

// server adapts the assets contract to the Fabric shim.
type server struct{}

// Init has nothing to set up: the contract starts with an empty ledger.
func (server) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

// Invoke runs one function of the contract. Every refusal becomes a chaincode error whose message is the contract's own text.
func (server) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	caller, err := callerOf(stub)
	if err != nil {
		return shim.Error(err.Error())
	}
	fn, args := stub.GetFunctionAndParameters()
	result, err := assets.Invoke(ledger{stub}, caller, fn, args)
	var missing *assets.NotFoundError
	switch {
	case errors.As(err, &missing):
		return &peer.Response{Status: statusNotFound, Message: err.Error()}
	case err != nil:
		return shim.Error(err.Error())
	}
	return shim.Success(result)
}

// callerOf returns the stable short form of the client's identity, <mspid>/<common name>: it survives a renewed certificate.
func callerOf(stub shim.ChaincodeStubInterface) (string, error) {
	client, err := cid.New(stub)
	if err != nil {
		return "", fmt.Errorf("client identity: %w", err)
	}
	msp, err := client.GetMSPID()
	if err != nil {
		return "", fmt.Errorf("client identity: %w", err)
	}
	cert, err := client.GetX509Certificate()
	if err != nil {
		return "", fmt.Errorf("client identity: %w", err)
	}
	if cert == nil {
		return "", fmt.Errorf("client identity of %s is not an X.509 certificate", msp)
	}
	return msp + "/" + cert.Subject.CommonName, nil
}

// ledger is the contract's view of the world state.
type ledger struct{ stub shim.ChaincodeStubInterface }

func (l ledger) Get(key string) ([]byte, error)        { return l.stub.GetState(key) }
func (l ledger) Put(key string, value []byte) error    { return l.stub.PutState(key, value) }
func (l ledger) Delete(key string) error               { return l.stub.DelState(key) }
func (l ledger) Transient() (map[string][]byte, error) { return l.stub.GetTransient() }
func (l ledger) GetPrivate(collection, key string) ([]byte, error) {
	return l.stub.GetPrivateData(collection, key)
}

func (l ledger) PutPrivate(collection, key string, value []byte) error {
	return l.stub.PutPrivateData(collection, key, value)
}
func (l ledger) SetEvent(name string, payload []byte) error { return l.stub.SetEvent(name, payload) }

func (l ledger) Scan(limit int) (values [][]byte, err error) {
	it, err := l.stub.GetStateByRange("", "")
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := it.Close(); err == nil {
			err = e
		}
	}()
	for it.HasNext() && len(values) < limit {
		kv, err := it.Next()
		if err != nil {
			return nil, err
		}
		values = append(values, kv.GetValue())
	}
	return values, nil
}

func main() {
	s := &shim.ChaincodeServer{
		CCID:     os.Getenv(envPackageID),
		Address:  os.Getenv(envAddress),
		CC:       server{},
		TLSProps: shim.TLSProperties{Disabled: true}, // loopback only
	}
	fmt.Fprintf(os.Stderr, "assets %s on %s\n", s.CCID, s.Address)
	if err := s.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "assets on %s: %v\n", s.Address, err)
		os.Exit(1)
	}
}
