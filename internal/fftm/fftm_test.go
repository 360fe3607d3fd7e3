package fftm

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/syndtr/goleveldb/leveldb"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// The fixture is of a real FFTM 1.4.0 on LevelDB. Its stream "orders" has sent three batches of five events from block 1 on, three events a block, of
// which the first two were acknowledged: up to block 4, transaction 0. Then three more listeners were added. "hook" was never started.
const fixture = "testdata/fftm-1.4.0"

const (
	orders    = "01a1ffaf-2cfa-3706-008c-0003e74cbe76"
	ordersAll = "01a1ffaf-2cfb-1b6f-a393-471cea6fb469"
	ordersNew = "01a1ffaf-2cfe-1ba4-343b-fb60e5da60e6"
)

func database(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(fixture, "db"))))
	return dir
}

// contents are the names and bytes of the files of a directory.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			b, err = os.ReadFile(filepath.Join(dir, path))
			all[path] = string(b)
		}
		return err
	}))
	return all
}

func text(at *apitypes.ListenerCheckpoint) string {
	if at == nil {
		return "none"
	}
	return fmt.Sprintf("%d/%d/%d", at.Block, at.TransactionIndex, at.LogIndex)
}

func summary(streams []*apitypes.MovedStream) []string {
	var list []string
	for _, s := range streams {
		list = append(list, fmt.Sprintf("%s suspended=%v size=%d %s", *s.Name, *s.Suspended, *s.BatchSize, strings.Join(s.Notes, "; ")))
		for _, l := range s.Listeners {
			list = append(list, fmt.Sprintf("%s %s %s from=%s at=%s stays=%t", *s.Name, *l.Type, *l.Name, *l.FromBlock, text(l.Position), l.Stays != ""))
		}
	}
	return list
}

func TestReadTheDatabaseOfARealFFTM(t *testing.T) {
	t.Parallel()
	dir := database(t)
	before := contents(t, dir)
	streams, err := ReadDatabase(dir, Options{})
	require.NoError(t, err)
	require.Equal(t, before, contents(t, dir), "nothing is written")
	require.Equal(t, []string{
		`orders suspended=false size=5 errorHandling was "bogus", which FFTM takes for block`,
		`orders events all from=0 at=4/0/0 stays=false`,
		`orders events all from=0 at=none stays=false`,
		`orders blocks heads from=0 at=none stays=false`,
		`orders events new from=latest at=none stays=true`,
		`hook suspended=true size=10000 batchSize was 20000, and is 10000`,
		`hook events latest from=latest at=none stays=true`,
		`hook events past from=7 at=none stays=false`,
	}, summary(streams), "where fromBlock is latest, no checkpoint means that events would be lost")
	require.Equal(t, "FFTM has no checkpoint of it, and what came since it was made would be lost: run its stream there until it has one, or accept the loss with --latest-now",
		streams[0].Listeners[3].Stays)
	require.Equal(t, []string{"FFTM has no checkpoint of it: it begins at fromBlock, and what it delivered since comes again"}, streams[1].Listeners[1].Notes)
	s, l := streams[0], streams[0].Listeners[0]
	require.Equal(t, orders, s.ID.String())
	require.Equal(t, ordersAll, l.ID.String())
	require.Equal(t, "2026-11-21T19:57:12.826140876Z", s.Created.String())
	require.Equal(t, 5*time.Second, time.Duration(*s.BlockedRetryDelay))
	require.Equal(t, "block", *s.ErrorHandling)
	require.JSONEq(t, `{"event":"E"}`, string(l.Filters[0]))
	require.JSONEq(t, `{"url":"http://127.0.0.1:9/events","headers":{"Authorization":"Bearer x"},"tlsSkipHostVerify":false,"requestTimeout":"30s"}`, string(streams[1].Webhook))

	streams, err = ReadDatabase(dir, Options{Back: 3})
	require.NoError(t, err)
	require.Equal(t, "1/0/0", text(streams[0].Listeners[0].Position))
}

func TestReadADatabaseThatIsNone(t *testing.T) {
	t.Parallel()
	_, err := ReadDatabase(filepath.Join(t.TempDir(), "nowhere"), Options{})
	require.ErrorContains(t, err, "is no LevelDB; give the directory that persistence.leveldb.path of FFTM names")
	empty := t.TempDir()
	_, err = ReadDatabase(empty, Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, contents(t, empty), "none is made")

	dir := database(t)
	db, err := leveldb.OpenFile(dir, nil)
	require.NoError(t, err)
	_, err = ReadDatabase(dir, Options{})
	require.ErrorContains(t, err, "is in use; stop FFTM first")
	require.NoError(t, db.Put([]byte("checkpoints_0/"+orders), []byte(`{"listeners":{"`+ordersAll+`":{"slot":7},"`+ordersNew+`":{"block":9,"transactionIndex":-1,"logIndex":-1}}}`), nil))
	require.NoError(t, db.Put([]byte("listeners_0/x"), []byte(`{"id":"`+orders+`","stream":"`+ordersAll+`"}`), nil))
	require.NoError(t, db.Close())
	streams, err := ReadDatabase(dir, Options{})
	require.NoError(t, err, "a listener without a stream is passed over")
	require.Equal(t, `its checkpoint is not understood: {"slot":7} names no block`, streams[0].Listeners[0].Stays)
	require.Equal(t, "9/0/0", text(streams[0].Listeners[3].Position))

	db, err = leveldb.OpenFile(dir, nil)
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("eventstreams_0/x"), []byte(`{"name":7}`), nil))
	require.NoError(t, db.Close())
	_, err = ReadDatabase(dir, Options{})
	require.ErrorContains(t, err, "record eventstreams_0/x: decode an event stream")
}

// A position is never behind an event that may not be delivered yet.
func TestPositions(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		``:              "none",
		`null`:          "none",
		`{}`:            "none",
		`{"block":7}`:   "7/0/0",
		`{"block":"7"}`: "7/0/0",
		`{"block":0}`:   "0/0/0",
		`{"block":7,"transactionIndex":3,"logIndex":2}`:              "7/3/2",
		`{"block":7,"transactionIndex":-1,"logIndex":-1}`:            "7/0/0",
		`{"block":7,"transactionIndex":-1,"logIndex":5}`:             "7/0/0",
		`{"block":7,"transactionIndex":3,"logIndex":-1}`:             "7/3/0",
		`{"block":-1,"transactionIndex":1099511627776,"logIndex":0}`: "0/0/0",
		`{"block":9007199254740993,"transactionIndex":null}`:         "9007199254740993/0/0",
	} {
		at, err := position(json.RawMessage(raw))
		require.NoError(t, err, raw)
		require.Equal(t, want, text(at), raw)
	}
	for _, raw := range []string{`7`, `"latest"`, `{"number":7}`, `{"block":1.5}`, `{"block":"0x7"}`, `{"block":7,"logIndex":{}}`, `{"block":99999999999999999999}`} {
		_, err := position(json.RawMessage(raw))
		require.Error(t, err, raw)
	}
}

func TestSettingsAreBroughtIntoBounds(t *testing.T) {
	t.Parallel()
	s, err := newStream([]byte(`{"id":"` + orders + `","name":"s","type":"WebHook","batchSize":0,"batchTimeout":"1000h","retryTimeout":"-1s","blockedRetryDelay":"0",
		"websocket":{"distributionMode":"broadcast"},"webhook":{"url":"http://x"}}`))
	require.NoError(t, err)
	require.Equal(t, []string{
		"batchSize was 0, and is 1", "batchTimeout was 1000h0m0s, and is 168h0m0s", "retryTimeout was -1s, and is 0s", "blockedRetryDelay was 0s, and is 1ms",
	}, s.Notes)
	require.Equal(t, "webhook", *s.Type)
	require.Nil(t, s.WebSocket, "what it was before")
	_, err = newStream([]byte(`{"name":"s"}`))
	require.ErrorContains(t, err, "has no id or no name")
	_, err = newListener([]byte(`{"id":"` + orders + `"}`))
	require.ErrorContains(t, err, "has no id or no stream")
}

// served answers as the FFTM of the fixture did.
func served(t *testing.T, change func(path string, w http.ResponseWriter) bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "u" || password != "p" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if change != nil && change(r.URL.Path, w) {
			return
		}
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		file := parts[len(parts)-1]
		if file == "listeners" {
			file = parts[len(parts)-2]
		}
		http.ServeFile(w, r, filepath.Join(fixture, "api", file+".json"))
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://u:p@", 1)
}

func TestReadTheAPIOfARealFFTM(t *testing.T) {
	t.Parallel()
	streams, err := ReadAPI(t.Context(), served(t, nil)+"/", Options{Back: 10})
	require.NoError(t, err)
	require.Equal(t, []string{
		`orders suspended=false size=5 errorHandling was "bogus", which FFTM takes for block`,
		`orders events all from=0 at=0/0/0 stays=false`,
		`orders events all from=0 at=0/0/0 stays=false`,
		`orders blocks heads from=0 at=none stays=false`,
		`orders events new from=latest at=20/0/0 stays=false`,
		`hook suspended=true size=10000 batchSize was 20000, and is 10000`,
		`hook events latest from=latest at=none stays=true`,
		`hook events past from=7 at=none stays=false`,
	}, summary(streams), "oldest first; where fromBlock is latest, no position means that events would be lost")
	require.Equal(t, []string{"10 blocks before what FFTM had read"}, streams[0].Listeners[3].Notes)
	streams, err = ReadAPI(t.Context(), served(t, nil), Options{})
	require.NoError(t, err)
	require.Equal(t, "30/1099511627776/0", text(streams[0].Listeners[3].Position))
}

// Who knows that nothing is lost, or can bear it, may have the listeners without a position, too.
func TestAListenerWithoutAPositionBeginsAtTheLatestBlockIfThatIsAccepted(t *testing.T) {
	t.Parallel()
	fromDatabase, err := ReadDatabase(database(t), Options{LatestNow: true})
	require.NoError(t, err)
	fromAPI, err := ReadAPI(t.Context(), served(t, nil), Options{LatestNow: true})
	require.NoError(t, err)
	for _, streams := range [][]*apitypes.MovedStream{fromDatabase, fromAPI} {
		l := streams[1].Listeners[0]
		require.Equal(t, "hook events latest from=latest at=none stays=false", summary(streams)[6])
		require.Len(t, l.Notes, 1)
		require.Contains(t, l.Notes[0], ": it begins at the latest block of now, and what came before is not delivered")
	}
}

func TestReadAnAPIThatDoesNotAnswerWell(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "old:5008", "ftp://old", "http://", "ftp://u:hunter2@old", "u:hunter2@old:1", "http://u:hunter2@old:x"} {
		_, err := ReadAPI(t.Context(), base, Options{})
		require.ErrorContains(t, err, "is no URL of an FFTM")
		require.NotContains(t, err.Error(), "hunter2")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for want, change := range map[string]func(path string, w http.ResponseWriter) bool{
		`/eventstreams: the answer is not that of an FFTM`: func(_ string, w http.ResponseWriter) bool {
			_, err := w.Write([]byte("<html>"))
			return err == nil
		},
		`/listeners/` + ordersNew + `: 500 Internal Server Error: {"error":"x"}`: func(path string, w http.ResponseWriter) bool {
			if !strings.HasSuffix(path, ordersNew) {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, err := w.Write([]byte(`{"error":"x"}`))
			return err == nil
		},
	} {
		_, err := ReadAPI(t.Context(), served(t, change), Options{})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), ":p@", "the password stays secret")
	}
	_, err := ReadAPI(ended, served(t, nil), Options{})
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, err.Error(), ":p@")
}
