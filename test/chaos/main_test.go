//go:build chaos

package chaos

import (
	"os"
	"testing"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
