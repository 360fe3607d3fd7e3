package assets

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeState is a ledger in a map; err, when set, is what every call on it returns.
type fakeState struct {
	data      map[string]string
	transient map[string][]byte
	events    []string
	err       error
}

func newFake() *fakeState {
	return &fakeState{data: map[string]string{}}
}

func (f *fakeState) Get(key string) ([]byte, error) {
	v, ok := f.data[key]
	if !ok || f.err != nil {
		return nil, f.err
	}
	return []byte(v), nil
}

func (f *fakeState) Put(key string, value []byte) error {
	if f.err == nil {
		f.data[key] = string(value)
	}
	return f.err
}

func (f *fakeState) Delete(key string) error {
	if f.err == nil {
		delete(f.data, key)
	}
	return f.err
}

func (f *fakeState) GetPrivate(collection, key string) ([]byte, error) {
	return f.Get(collection + "/" + key)
}

func (f *fakeState) PutPrivate(collection, key string, value []byte) error {
	return f.Put(collection+"/"+key, value)
}

func (f *fakeState) Scan(limit int) ([][]byte, error) {
	var out [][]byte
	for _, k := range slices.Sorted(maps.Keys(f.data)) {
		if len(out) < limit {
			out = append(out, []byte(f.data[k]))
		}
	}
	return out, f.err
}

func (f *fakeState) Transient() (map[string][]byte, error) { return f.transient, f.err }

func (f *fakeState) SetEvent(name string, payload []byte) error {
	f.events = append(f.events, name+" "+string(payload))
	return f.err
}

const alice = "Org1MSP/alice"

func TestLifeOfAnAsset(t *testing.T) {
	t.Parallel()
	s := newFake()
	ok := func(want, fn string, args ...string) {
		t.Helper()
		got, err := Invoke(s, alice, fn, args)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	ok(`[]`, "list")
	ok(`{"id":"a","value":{"c":"<red>"},"owner":"Org1MSP/alice"}`, "create", "a", `{"c": "<red>"}`)
	ok(`{"id":"a","value":{"c":"<red>"},"owner":"Org1MSP/alice"}`, "read", "a")
	ok(`{"id":"a","value":2,"owner":"Org1MSP/alice"}`, "update", "a", `2`)
	ok(`{"id":"a","value":2,"owner":"Org2MSP/bob"}`, "transfer", "a", "Org2MSP/bob")
	ok(`[{"id":"a","value":2,"owner":"Org2MSP/bob"}]`, "list")
	ok(``, "delete", "a")
	ok(`[]`, "list")
	ok(`{"id":"a","value":null,"owner":"Org1MSP/alice"}`, "create", "a", `null`)
	require.Equal(t, []string{
		`AssetCreated {"id":"a","value":{"c":"<red>"},"owner":"Org1MSP/alice"}`,
		`AssetUpdated {"id":"a","value":2,"owner":"Org1MSP/alice"}`,
		`AssetTransferred {"id":"a","from":"Org1MSP/alice","to":"Org2MSP/bob"}`,
		`AssetDeleted {"id":"a"}`,
		`AssetCreated {"id":"a","value":null,"owner":"Org1MSP/alice"}`,
	}, s.events)
}

func TestValueThatIsNotJSONIsKeptAsText(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		`red`: `"red"`, ``: `""`, `"quoted"`: `"quoted"`, `12`: `12`, `[1, 2]`: `[1,2]`, `{"a":`: `"{\"a\":"`, "a\nb": `"a\nb"`,
	} {
		got, err := Invoke(newFake(), alice, "create", []string{"k", arg})
		require.NoError(t, err)
		require.Equal(t, `{"id":"k","value":`+want+`,"owner":"Org1MSP/alice"}`, string(got))
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fn   string
		args []string
		want string
	}{
		{"create", []string{"here", "1"}, "asset here already exists"},
		{"read", []string{"gone"}, "asset gone not found"},
		{"update", []string{"gone", "1"}, "asset gone not found"},
		{"transfer", []string{"gone", "x"}, "asset gone not found"},
		{"transfer", []string{"here", ""}, "the new owner is empty"},
		{"delete", []string{"gone"}, "asset gone not found"},
		{"fail", []string{"on purpose"}, "on purpose"},
		{"create", []string{"", "1"}, "the asset id is empty"},
		{"create", []string{"a\x00b", "1"}, `asset id "a\x00b" is not plain UTF-8 text`},
		{"create", []string{"\xff", "1"}, `asset id "\xff" is not plain UTF-8 text`},
		{"create", []string{"a"}, "create takes 2 arguments (id, value), not 1"},
		{"list", []string{"a"}, "list takes 0 arguments (), not 1"},
		{"mint", nil, `unknown function "mint"`},
	} {
		t.Run(c.fn+" "+c.want, func(t *testing.T) {
			t.Parallel()
			s := newFake()
			_, err := Invoke(s, alice, "create", []string{"here", "1"})
			require.NoError(t, err)
			before, events := maps.Clone(s.data), len(s.events)
			out, err := Invoke(s, alice, c.fn, c.args)
			require.EqualError(t, err, c.want)
			require.Nil(t, out)
			var missing *NotFoundError
			require.Equal(t, c.want == "asset gone not found", errors.As(err, &missing))
			require.Equal(t, before, s.data, "a refused call must not write")
			require.Len(t, s.events, events, "a refused call must not set an event")
		})
	}
}

func TestLedgerErrorsReachTheCaller(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for fn, args := range map[string][]string{
		"create": {"a", "1"}, "read": {"a"}, "delete": {"a"}, "list": nil, "put": {"a", "1"}, "del": {"a"}, "incr": {"a"}, "event": {"a", "1"},
		"putMany": {`[{"key":"a"}]`}, "putTransient": {"a", "v"}, "putPrivate": {"c", "a", "v"}, "readPrivate": {"c", "a"},
	} {
		s := newFake()
		s.err = broken
		_, err := Invoke(s, alice, fn, args)
		require.ErrorIs(t, err, broken, fn)
	}
}

func TestListIsSortedAndLimited(t *testing.T) {
	t.Parallel()
	s := newFake()
	for i := range MaxList + 5 {
		_, err := Invoke(s, alice, "create", []string{fmt.Sprintf("k%04d", (i*7)%(MaxList+5)), "0"})
		require.NoError(t, err)
	}
	out, err := Invoke(s, alice, "list", nil)
	require.NoError(t, err)
	var got []Asset
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got, MaxList)
	require.True(t, slices.IsSortedFunc(got, func(a, b Asset) int { return strings.Compare(a.ID, b.ID) }))
	require.Equal(t, "k0000", got[0].ID)
}
