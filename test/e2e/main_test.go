//go:build e2e

package e2e

import (
	"os"
	"testing"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
