package chainview_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/confirm/chainview"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts answer into them")

// TestScripts runs the stories of testdata. A line is a comment (#), a command, or, indented, what the view answered:
//
//	instant | confirmations N [retain R]      what the ledger promises; comes first
//	base B                                    the view continues after this block; without it, it starts at block 0
//	block B on P                              a block and its parent
//	announce B                                a node says that the block is final
//	canonical N                               the hash known for a number
//	at N                                      the newest block known to have N others on it
//
// A block is written as its hash, which starts with its number: 12, 12', 12x.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			got := play(t, string(text))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
			}
			require.Equal(t, string(text), got, "run with -rewrite to accept")
		})
	}
}

// play repeats a script with the answers that the view gives now.
func play(t *testing.T, script string) string {
	t.Helper()
	s := &stage{t: t}
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, " \n")
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line + "\n")
		if words := strings.Fields(line); len(words) > 0 && !strings.HasPrefix(line, "#") {
			if answer := s.do(words); answer != "" {
				out.WriteString("    " + answer + "\n")
			}
		}
	}
	return out.String()
}

type stage struct {
	t    *testing.T
	cfg  chainview.Config
	view *chainview.View
}

func (s *stage) do(w []string) string {
	if s.view == nil && w[0] != "instant" && w[0] != "confirmations" && w[0] != "base" {
		s.view = chainview.New(s.cfg, ffcapi.BlockRef{})
	}
	switch w[0] {
	case "instant":
		s.cfg.Instant = true
	case "confirmations":
		s.cfg.Required = s.number(w[1])
		if len(w) == 4 {
			s.cfg.Retain = int(s.number(w[3]))
		}
	case "base":
		s.view = chainview.New(s.cfg, s.ref(w[1]))
		return s.state()
	case "block":
		b := &ffcapi.Block{BlockRef: s.ref(w[1])}
		if len(w) == 4 {
			b.ParentHash = w[3]
		}
		return s.effect(s.view.Step(b))
	case "announce":
		return s.effect(s.view.Announce(s.ref(w[1])))
	case "canonical":
		hash, known := s.view.Canonical(s.number(w[1]))
		return strings.TrimSpace(fmt.Sprintf("known %t %s", known, hash))
	case "at":
		at, ok := s.view.At(s.number(w[1]))
		return strings.TrimSpace(fmt.Sprintf("known %t %s", ok, at.Hash))
	default:
		s.t.Fatalf("unknown command %q", w[0])
	}
	return ""
}

func (s *stage) effect(e chainview.Effect) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T%+v", e, e), "chainview.")
	return strings.TrimSuffix(name, "{}") + "; " + s.state()
}

func (s *stage) state() string {
	show := func(r ffcapi.BlockRef, ok bool) string {
		if !ok {
			return "-"
		}
		return r.Hash
	}
	head := s.view.Head()
	out := "head " + show(head, !head.IsZero()) + ", safe " + show(s.view.Safe())
	if s.view.CatchingUp() {
		out += ", final " + show(s.view.Final())
	}
	return out
}

func (s *stage) number(digits string) uint64 {
	n, err := strconv.ParseUint(digits, 10, 64)
	require.NoError(s.t, err)
	return n
}

func (s *stage) ref(hash string) ffcapi.BlockRef {
	end := strings.IndexFunc(hash, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(hash)
	}
	return ffcapi.BlockRef{Number: s.number(hash[:end]), Hash: hash}
}
