package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// store keeps the effects of events: a file each, named by the id of the message. It stands for a database whose table has the id as its
// primary key: there the effect and the id are written in one transaction, and who finds the id there does nothing.
type store struct{ dir string }

// apply has an event take effect. first is false if it has had its effect before, whoever handled it then.
func (s store) apply(id string, event []byte) (first bool, err error) {
	scratch, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(scratch.Name())
	_, err = scratch.Write(event)
	if err := errors.Join(err, scratch.Sync(), scratch.Close()); err != nil {
		return false, err
	}
	// All at once, and only if it is not there: two members may have the same message for a moment, when one was taken for dead.
	err = os.Link(scratch.Name(), filepath.Join(s.dir, filepath.Base(id)))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}
