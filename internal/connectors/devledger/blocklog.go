package devledger

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/sirupsen/logrus"
)

// blockLog keeps frames. append is called by one goroutine at a time; read by any number, also meanwhile.
type blockLog interface {
	// append makes a frame durable and returns its position. After an error the same frame may be appended again.
	append(frame []byte) (pos int64, err error)
	read(pos int64, size uint32) ([]byte, error)
	close() error
}

// memLog keeps the frames in memory. A position is an index.
type memLog struct {
	mu     sync.RWMutex
	frames [][]byte // guarded by mu
}

func (l *memLog) append(frame []byte) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames = append(l.frames, bytes.Clone(frame)) // without the room that encoding left
	return int64(len(l.frames) - 1), nil
}

func (l *memLog) read(pos int64, _ uint32) ([]byte, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.frames[pos], nil
}

func (*memLog) close() error { return nil }

const logFile = "blocks.log"

// fileLog keeps the frames in one file, one after the other. A position is an offset. A block that was replaced stays in the
// file: the frame that replaces it has the same number and comes later.
type fileLog struct {
	f   *os.File
	end int64 // where the next frame goes; used by the appender only
}

// openFileLog opens or makes the log in dir and holds it against other processes until close.
func openFileLog(dir string) (*fileLog, error) {
	if dir == "" {
		return nil, errors.New("a durable ledger needs a data directory: set one, or devledger.durable to false")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made: %w", dir, err)
	}
	path := filepath.Join(dir, logFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory %s cannot be written: %w", dir, err)
	}
	if err := lockFile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s is in use by another process (%s is locked): %w", dir, logFile, err), f.Close())
	}
	if err := syncDir(dir); err != nil { // so that a new file's name survives a crash, too
		return nil, errors.Join(fmt.Errorf("data directory %s cannot be made durable: %w", dir, err), f.Close())
	}
	return &fileLog{f: f}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// recover hands every whole frame to apply, in order, and cuts off a frame that a crash left unfinished at the end.
func (l *fileLog) recover(log logrus.FieldLogger, apply func(frame []byte, pos int64) error) error {
	info, err := l.f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	r := bufio.NewReaderSize(io.NewSectionReader(l.f, 0, size), 1<<20)
	for l.end < size {
		frame, err := readFrame(r, size-l.end)
		if err != nil {
			return l.truncate(log, size, err)
		}
		if err := apply(frame, l.end); err != nil {
			return fmt.Errorf("%s at byte %d: %w", l.f.Name(), l.end, err)
		}
		l.end += int64(len(frame))
	}
	return nil
}

// readFrame reads and checks the next frame of at most left bytes.
func readFrame(r io.Reader, left int64) ([]byte, error) {
	var head [frameHead]byte
	if left < int64(len(head)) {
		return nil, errShort
	}
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := frameLength(head[:])
	if n == 0 || n > left {
		return nil, errShort
	}
	frame := make([]byte, n)
	copy(frame, head[:])
	if _, err := io.ReadFull(r, frame[len(head):]); err != nil {
		return nil, err
	}
	_, err := checkFrame(frame)
	return frame, err
}

// truncate ends the log at its last whole frame, unless a whole one follows the damage: then what is broken was once
// durable, and throwing the rest away would rewrite history.
func (l *fileLog) truncate(log logrus.FieldLogger, size int64, cause error) error {
	next, err := l.nextFrame(l.end+1, size)
	switch {
	case err != nil:
		return fmt.Errorf("%s at byte %d: %w", l.f.Name(), l.end, err)
	case next > 0:
		return fmt.Errorf("%s is damaged at byte %d (%w) but goes on at byte %d: restore it, or start with a fresh data directory",
			l.f.Name(), l.end, cause, next)
	}
	log.WithFields(logrus.Fields{"file": l.f.Name(), "from": size, "to": l.end}).Warn("Dropped an unfinished block at the end of the ledger")
	if err := l.f.Truncate(l.end); err != nil {
		return fmt.Errorf("%s cannot be truncated: %w", l.f.Name(), err)
	}
	return l.f.Sync()
}

// nextFrame returns where the next whole frame begins, at from or later, or 0.
func (l *fileLog) nextFrame(from, size int64) (int64, error) {
	const step = 1 << 20
	buf := make([]byte, step+len(frameMark)-1) // steps overlap, so that no mark is cut in two
	for at := from; at < size; at += step {
		n, err := l.f.ReadAt(buf, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := 0; ; i++ {
			k := bytes.Index(buf[i:n], []byte(frameMark))
			if k < 0 {
				break
			}
			i += k
			pos := at + int64(i)
			if _, err := readFrame(io.NewSectionReader(l.f, pos, size-pos), size-pos); err == nil {
				return pos, nil
			}
		}
	}
	return 0, nil
}

func (l *fileLog) append(frame []byte) (int64, error) {
	if _, err := l.f.WriteAt(frame, l.end); err != nil {
		return 0, err
	}
	if err := l.f.Sync(); err != nil {
		return 0, err
	}
	pos := l.end
	l.end += int64(len(frame))
	return pos, nil
}

func (l *fileLog) read(pos int64, size uint32) ([]byte, error) {
	b := make([]byte, size)
	if _, err := l.f.ReadAt(b, pos); err != nil {
		return nil, err
	}
	return b, nil
}

func (l *fileLog) close() error { return l.f.Close() }
