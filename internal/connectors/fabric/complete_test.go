package fabric

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCompleteFindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	full := setUp(t, "grpc://"+f.address, nil)
	got, err := Complete(t.Context(), Config{Profile: full.Profile, Wallet: full.Wallet})
	require.NoError(t, err)
	require.Equal(t, "Org1MSP", got.MSPID, "the only organisation of the profile")
	require.Equal(t, []string{"ch1"}, got.Channels, "what the peer has joined")
	require.Equal(t, "user1", got.Identity, "the only identity")

	got, err = Complete(t.Context(), Config{Profile: full.Profile, Wallet: full.Wallet, Channels: []string{"mine"}})
	require.NoError(t, err)
	require.Equal(t, []string{"mine"}, got.Channels, "what is given stays")

	// An MSP folder does not name its MSP: of org1.test it is taken to be Org1MSP, if a peer takes it, too.
	ca := newAuthority(t, "ca.org1.test")
	ca.cert.Subject.Organization = []string{"org1.test"}
	ca.cert.RawSubject = nil
	cert, key := ca.issue(t, "User1@org1.test", time.Hour, year)
	msp := t.TempDir()
	for name, content := range map[string][]byte{"signcerts/cert.pem": cert, "keystore/priv_sk": key} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(msp, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(msp, name), content, 0o600))
	}
	fromMSP := Config{Peers: Peers{{URL: "grpc://" + f.address}}, Identities: Identities{{Name: "User1", MSPDir: msp}}}
	got, err = Complete(t.Context(), fromMSP)
	require.NoError(t, err)
	require.Equal(t, "Org1MSP", got.MSPID)
	require.Equal(t, []string{"ch1"}, got.Channels)

	fromMSP.Peers[0].URL = "grpc://127.0.0.1:1"
	fromMSP.Channels = []string{"ch1"}
	_, err = Complete(t.Context(), fromMSP)
	require.ErrorContains(t, err, "fabric.mspID: it must be given", "a guess that nobody confirms is none")
}

func TestCompleteSaysWhatToGive(t *testing.T) {
	t.Parallel()
	full := setUp(t, "grpc://127.0.0.1:1", nil)
	_, err := Complete(t.Context(), Config{Profile: full.Profile, Wallet: full.Wallet})
	require.ErrorContains(t, err, "fabric.channels: they must be given, since no peer could be asked")
	_, err = Complete(t.Context(), Config{Profile: full.Profile, Wallet: t.TempDir()})
	require.ErrorContains(t, err, "there is no identity in it")
	makeIdentity(t, full.Wallet, "user2", "")
	_, err = Complete(t.Context(), Config{Profile: full.Profile, Wallet: full.Wallet})
	require.ErrorContains(t, err, "fabric.identity: it must be given: there are user1, user2")

	two := writeProfile(t, t.TempDir(), map[string]any{"organizations": map[string]any{
		"Org1": map[string]any{"mspid": "Org1MSP", "peers": []string{}}, "Org2": map[string]any{"mspid": "Org2MSP", "peers": []string{}},
	}})
	_, err = Complete(t.Context(), Config{Profile: two, Wallet: full.Wallet, Identity: "user1"})
	require.EqualError(t, err, "fabric.mspID: it must be given: the profile has Org1MSP, Org2MSP")
	named := writeProfile(t, t.TempDir(), map[string]any{"client": map[string]any{"organization": "Org2"}, "organizations": map[string]any{
		"Org1": map[string]any{"mspid": "Org1MSP", "peers": []string{}}, "Org2": map[string]any{"mspid": "Org2MSP", "peers": []string{}},
	}})
	got, err := Complete(t.Context(), Config{Profile: named, Wallet: full.Wallet, Identity: "user1", Channels: []string{"ch1"}})
	require.NoError(t, err)
	require.Equal(t, "Org2MSP", got.MSPID, "the organisation of the client")
}
