package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// journal is a file with one line for each event that was handled. A program with a database would have a table of ids instead, and write to it in
// the transaction that brings about what the event means.
type journal struct {
	file    *os.File
	handled map[string]bool // by message id
}

// entry is a line.
type entry struct {
	MessageID string          `json:"messageId"`
	Event     json.RawMessage `json:"event"`
}

func openJournal(path string) (*journal, error) {
	const mode = 0o600
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, handled: make(map[string]bool)}
	if err := j.read(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// read notes the ids, and cuts off a last line that was not written to its end: that event was not handled.
func (j *journal) read() error {
	var size int64
	for lines := bufio.NewReader(j.file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		j.handled[e.MessageID] = true
		size += int64(len(line))
	}
	if err := j.file.Truncate(size); err != nil {
		return err
	}
	_, err := j.file.Seek(size, io.SeekStart)
	return err
}

// add handles an event, unless that was done before.
func (j *journal) add(id string, event []byte) error {
	if j.handled[id] {
		return nil
	}
	line, err := json.Marshal(entry{id, event})
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		return err
	}
	j.handled[id] = true
	return nil
}

func (j *journal) close() { _ = j.file.Close() }
