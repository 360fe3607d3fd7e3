package api

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// asked notes the most that is asked for in one read, beyond what was given before.
type asked struct {
	r     io.Reader
	given int
	ahead int
}

func (a *asked) Read(p []byte) (int, error) {
	a.ahead = max(a.ahead, len(p)-a.given)
	n, err := a.r.Read(p)
	a.given += n
	return n, err
}

// Who declares a large body and sends none of it takes no memory.
func TestMemoryForABodyFollowsWhatArrives(t *testing.T) {
	t.Parallel()
	whole := []byte(strings.Repeat("0123456789abcdef", 1<<16))
	for _, length := range []int{1, firstRead - 1, firstRead, firstRead + 1, 3*firstRead + 7, len(whole)} {
		for _, sent := range []int{0, 1, firstRead, length - 1, length} {
			from := &asked{r: bytes.NewReader(whole[:min(sent, length)])}
			raw, err := readAll(from, int64(length))
			require.LessOrEqual(t, from.ahead, firstRead)
			if sent < length {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err)
			require.True(t, bytes.Equal(whole[:length], raw), length)
		}
	}
}
