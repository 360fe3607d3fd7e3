package fftm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/util"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// What FFTM's keys begin with; an id follows.
const (
	keyStreams     = "eventstreams_0/"
	keyListeners   = "listeners_0/"
	keyCheckpoints = "checkpoints_0/"
)

// checkpoint is what FFTM keeps of the positions of a stream.
type checkpoint struct {
	Listeners map[string]json.RawMessage `json:"listeners"`
}

// withoutCheckpoint is a listener that FFTM has stored no position of: it does so after the first batch, or after a while without any.
var withoutCheckpoint = unplaced{"FFTM has no checkpoint of it", "run its stream there until it has one"}

// ReadDatabase reads the LevelDB of an FFTM that is stopped; the directory is that of its key persistence.leveldb.path.
func ReadDatabase(dir string, o Options) ([]*apitypes.MovedStream, error) {
	if _, err := os.Stat(filepath.Join(dir, "CURRENT")); err != nil { // else it says little about what is missing
		return nil, fmt.Errorf("%s is no LevelDB; give the directory that persistence.leveldb.path of FFTM names: %w", dir, err)
	}
	db, err := leveldb.OpenFile(dir, &opt.Options{ReadOnly: true, ErrorIfMissing: true})
	if errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("%s is in use; stop FFTM first, because its checkpoints move while it runs: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	streams, err := readDatabase(db, o)
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	return streams, nil
}

func readDatabase(db *leveldb.DB, o Options) ([]*apitypes.MovedStream, error) {
	byID := make(map[string]*apitypes.MovedStream)
	var streams []*apitypes.MovedStream
	err := each(db, keyStreams, func(_ string, raw []byte) error {
		s, err := newStream(raw)
		if err != nil {
			return err
		}
		streams, byID[s.ID.String()] = append(streams, s), s
		return nil
	})
	if err != nil {
		return nil, err
	}
	checkpoints := make(map[string]checkpoint)
	err = each(db, keyCheckpoints, func(id string, raw []byte) error {
		var cp checkpoint
		if err := json.Unmarshal(raw, &cp); err != nil {
			return fmt.Errorf("checkpoint of stream %s: %w", id, err)
		}
		checkpoints[id] = cp
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(db, keyListeners, func(_ string, raw []byte) error {
		l, err := newListener(raw)
		if err != nil {
			return err
		}
		s := byID[l.Stream.String()]
		if s == nil {
			return nil // what a deleted stream left behind
		}
		o.place(l, checkpoints[s.ID.String()].Listeners[l.ID.String()], withoutCheckpoint)
		s.Listeners = append(s.Listeners, l)
		return nil
	})
	oldestFirst(streams)
	return streams, err
}

// each calls fn for all records whose keys begin so, with the rest of the key.
func each(db *leveldb.DB, prefix string, fn func(id string, raw []byte) error) error {
	it := db.NewIterator(util.BytesPrefix([]byte(prefix)), nil)
	defer it.Release()
	for it.Next() {
		if err := fn(string(it.Key()[len(prefix):]), it.Value()); err != nil {
			return fmt.Errorf("record %s: %w", it.Key(), err)
		}
	}
	return it.Error()
}
