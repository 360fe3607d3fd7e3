package broker

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/expr"
	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Config is the section brokers of the configuration.
type Config struct {
	AllowPrivateIPs bool     `json:"allowPrivateIPs"`
	Allow           []string `json:"allow"` // addresses, ranges and host names
}

// Env is what all factories of sinks for brokers need.
type Env struct {
	References References
	Guard      *netguard.Guard
	Compiler   *expr.Compiler
}

// NewEnv makes an Env. Errors begin with the key at fault.
func NewEnv(cfg Config, refs References) (*Env, error) {
	if refs == nil {
		return nil, errors.New("broker: References are required")
	}
	guard, err := netguard.New(netguard.Options{AllowPrivate: cfg.AllowPrivateIPs, Allow: cfg.Allow})
	if err != nil {
		return nil, fmt.Errorf("brokers.allow: %w", err)
	}
	return &Env{References: refs, Guard: guard, Compiler: expr.New()}, nil
}

// CheckHost refuses a host that cannot be one, or that the configuration of the server does not allow. fix says how the field gives a host.
func (e *Env) CheckHost(field, host, fix string) error {
	err := e.Guard.CheckHost(host)
	var forbidden *netguard.Forbidden
	switch {
	case errors.As(err, &forbidden):
		return apitypes.Invalidf(field, "use another address, or have it allowed by brokers.allow or brokers.allowPrivateIPs in the configuration", "is refused: %s", forbidden)
	case err != nil:
		return apitypes.Invalidf(field, fix, "is refused: the host %s", err)
	}
	return nil
}

// CheckAddress refuses what is not host:port of a host that may be connected to.
func (e *Env) CheckAddress(field, address string) error {
	const fix = "give host:port, such as broker.example.com:9092"
	host, port, err := net.SplitHostPort(address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
		return apitypes.Invalidf(field, fix, "is %q", address)
	}
	return e.CheckHost(field, host, fix)
}

// CheckMessages checks the fields perMessage and format, "" being the first of each.
func CheckMessages(perMessage, format *string) error {
	return errors.Join(
		oneOf("perMessage", perMessage, apitypes.MessagePerEvent, apitypes.MessagePerBatch),
		oneOf("format", format, apitypes.FormatJSON, apitypes.FormatCloudEvents),
	)
}

func oneOf(field string, value *string, first, second string) error {
	switch *value = strings.ToLower(*value); *value {
	case "":
		*value = first
	case first, second:
	default:
		return apitypes.Invalidf(field, fmt.Sprintf("must be %q or %q", first, second), "is %q", *value)
	}
	return nil
}

// CheckDuration refuses a duration out of bounds. nil becomes the default.
func CheckDuration(field string, d **fftypes.FFDuration, none, least, most time.Duration) error {
	if *d == nil {
		v := fftypes.FFDuration(none)
		*d = &v
	}
	if v := time.Duration(**d); v < least || v > most {
		return apitypes.Invalidf(field, fmt.Sprintf("must be %s to %s", least, most), "is %s", v)
	}
	return nil
}
