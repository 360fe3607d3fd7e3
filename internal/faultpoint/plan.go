package faultpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// lookEvery is how often a visitor that is held looks whether it may go on.
const lookEvery = 5 * time.Millisecond

// plan is what happens at the points. nil is nothing.
type plan map[Point]*fault

// fault happens at one visit of one point.
type fault struct {
	kill   bool
	hold   string // file that exists while the visitor is held
	visit  int64  // the number of the visit, from 1
	visits atomic.Int64
}

// parse reads the value of Variable.
func parse(spec string) (*plan, error) {
	p := plan{}
	for part := range strings.SplitSeq(spec, ",") {
		name, action, _ := strings.Cut(part, "=")
		point := Point(name)
		if !slices.Contains(Points(), point) {
			return nil, fmt.Errorf("there is no point %q: %q prints them", name, "list")
		}
		if p[point] != nil {
			return nil, fmt.Errorf("%s is named twice", name)
		}
		f, err := parseFault(action)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: %w", name, action, err)
		}
		p[point] = f
	}
	return &p, nil
}

// parseFault reads kill, kill@3, hold:file or hold@3:file.
func parseFault(action string) (*fault, error) {
	verb, file, _ := strings.Cut(action, ":")
	verb, number, counted := strings.Cut(verb, "@")
	f := &fault{visit: 1, hold: file}
	if counted {
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n < 1 {
			return nil, errors.New("the number of the visit must be 1 or more")
		}
		f.visit = n
	}
	switch {
	case verb == "kill" && file == "":
		f.kill = true
	case verb == "hold" && file != "":
	default:
		return nil, errors.New("give kill, kill@3, hold:FILE or hold@3:FILE")
	}
	return f, nil
}

func (p *plan) visit(at Point) {
	if p == nil {
		return
	}
	f := (*p)[at]
	if f == nil || f.visits.Add(1) != f.visit {
		return
	}
	if f.kill {
		die(at)
	}
	if err := hold(f.hold); err != nil {
		fmt.Fprintf(os.Stderr, "faultpoint: %s is not held: %v\n", at, err)
		die(at) // a test that waits for the file must not wait for ever
	}
}

// Mark is what a process that a point kills writes on its standard error, before the name of the point.
const Mark = "faultpoint: killed at "

// die is kill -9: nothing is flushed, closed or told to anybody.
func die(at Point) {
	fmt.Fprintln(os.Stderr, Mark+string(at))
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // the signal is on its way
}

// hold makes the file and waits until it is gone.
func hold(file string) error {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for range look.C {
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
	}
	return nil
}
