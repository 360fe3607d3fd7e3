package jetstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	defaultTimeout = 5 * time.Second
	minTimeout     = 100 * time.Millisecond
	maxTimeout     = 10 * time.Minute

	defaultPort = "4222"
	schemeTLS   = "tls"
	maxName     = 255  // bytes, what JetStream allows
	maxSubject  = 1024 // bytes; a server takes 4096 for a whole line

	urlFix  = "give a URL such as nats://nats.example.com:4222 or tls://nats.example.com:4222, or several with commas"
	example = `give {"url": "nats://nats.example.com:4222", "stream": "ORDERS", "subject": "orders.events"}`
)

func (f *Factory) newSettings() broker.Settings[apitypes.JetStreamConfig] {
	return broker.Settings[apitypes.JetStreamConfig]{
		Example: example, Defaults: defaults, Check: f.check, Values: values, Same: same, References: f.env.References,
	}
}

func defaults() apitypes.JetStreamConfig {
	timeout := fftypes.FFDuration(defaultTimeout)
	return apitypes.JetStreamConfig{PerMessage: apitypes.MessagePerEvent, Format: apitypes.FormatJSON, RequestTimeout: &timeout}
}

func values(c *apitypes.JetStreamConfig) []broker.Value {
	return append(broker.TLSValues(c.TLS),
		broker.Value{Field: "credentials", Text: &c.Credentials, Secret: true},
		broker.Value{Field: "username", Text: &c.Username},
		broker.Value{Field: "password", Text: &c.Password, Secret: true},
		broker.Value{Field: "token", Text: &c.Token, Secret: true},
	)
}

func same(c, old *apitypes.JetStreamConfig) bool {
	// Without tls the url or the servers may want TLS as well, with those whom the system trusts.
	some := func(t *apitypes.BrokerTLS) *apitypes.BrokerTLS {
		if t == nil {
			return new(apitypes.BrokerTLS)
		}
		return t
	}
	return c.URL == old.URL && broker.SameCare(some(c.TLS), some(old.TLS))
}

// check refuses what cannot work, and brings the rest into its one spelling.
func (f *Factory) check(c *apitypes.JetStreamConfig) (err error) {
	if c.URL, err = f.checkURLs(c.URL); err != nil {
		return err
	}
	if err := checkName(c.Stream); err != nil {
		return apitypes.Invalidf("stream", "give the name of a stream of JetStream, such as ORDERS", "%s", err)
	}
	if c.Subject == "" {
		return apitypes.Invalidf("subject", `give a subject that the stream takes, such as orders.events, or a jq expression such as "=\"orders.\" + .signature"`, "is missing")
	}
	if _, err := f.subject(c); err != nil {
		return err
	}
	if c.Domain != "" && checkName(c.Domain) != nil {
		return apitypes.Invalidf("domain", "give the name of a domain of JetStream, or none", "cannot be the name of one")
	}
	if c.InboxPrefix != "" && checkTokens(c.InboxPrefix) != nil {
		return apitypes.Invalidf("inboxPrefix", "give a subject without wildcards, such as _INBOX_pyralis", "%s", checkTokens(c.InboxPrefix))
	}
	return errors.Join(
		f.checkLogin(c),
		broker.CheckTLS(c.TLS, f.env.References),
		broker.CheckMessages(&c.PerMessage, &c.Format),
		broker.CheckDuration("requestTimeout", &c.RequestTimeout, defaultTimeout, minTimeout, maxTimeout),
	)
}

// checkURLs looks at the addresses without asking anybody. The errors do not show them, because a password may be in one.
func (f *Factory) checkURLs(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", apitypes.Invalidf("url", urlFix, "is missing")
	}
	var all []string
	var scheme string
	for part := range strings.SplitSeq(text, ",") {
		u, err := parseURL(strings.TrimSpace(part))
		if err != nil {
			return "", err
		}
		if scheme != "" && u.Scheme != scheme {
			return "", apitypes.Invalidf("url", "begin all with tls://, or none", "mixes nats:// and tls://")
		}
		scheme = u.Scheme
		if err := f.env.CheckAddress("url", u.Host); err != nil {
			return "", err
		}
		all = append(all, scheme+"://"+u.Host)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ","), nil
}

// parseURL reads one address, and gives it a port if it has none.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return nil, apitypes.Invalidf("url", urlFix, "cannot be parsed")
	case u.User != nil:
		return nil, apitypes.Invalidf("url", `put them into "username" and "password", "token" or "credentials"`, "holds a user name, password or token")
	case u.Scheme != "nats" && u.Scheme != schemeTLS:
		return nil, apitypes.Invalidf("url", "must begin with nats:// or tls://", "has the scheme %q", u.Scheme)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, apitypes.Invalidf("url", "leave out what is behind the port", "has a path, query or fragment")
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	u.Host = net.JoinHostPort(u.Hostname(), port)
	return u, nil
}

// checkName refuses what cannot be the name of a stream or a domain.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("is missing")
	case len(name) > maxName:
		return fmt.Errorf("has %d bytes, and %d are possible", len(name), maxName)
	case strings.ContainsAny(name, `.*>/\`) || strings.ContainsFunc(name, outside):
		return fmt.Errorf(`is %q: there are no spaces, dots, slashes, * and > in a name`, name)
	}
	return nil
}

// checkSubject refuses what no stream can take, and what means something to the servers themselves: an event whose content becomes a subject
// must not become a request to their API.
func checkSubject(subject string) error {
	if strings.HasPrefix(subject, "$") {
		return errors.New("begins with $, as the subjects of the servers do")
	}
	return checkTokens(subject)
}

func checkTokens(subject string) error {
	if len(subject) > maxSubject {
		return fmt.Errorf("has %d bytes, and %d are possible in a subject", len(subject), maxSubject)
	}
	if !utf8.ValidString(subject) || strings.ContainsFunc(subject, outside) {
		return errors.New("has a space or a control character, which no subject can have")
	}
	for token := range strings.SplitSeq(subject, ".") {
		switch token {
		case "":
			return errors.New("has nothing before, between or after its dots")
		case "*", ">":
			return fmt.Errorf("has the wildcard %s, and messages go to one subject", token)
		}
	}
	return nil
}

// outside says what is in no name and no subject.
func outside(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// subject is what says where a message goes.
func (f *Factory) subject(c *apitypes.JetStreamConfig) (*broker.Text, error) {
	return broker.NewText(f.env.Compiler, "subject", c.Subject, checkSubject)
}

// checkLogin refuses more than one way to log in.
func (f *Factory) checkLogin(c *apitypes.JetStreamConfig) error {
	ways := 0
	for _, given := range [...]bool{c.Credentials != "", c.Username != "" || c.Password != "", c.Token != ""} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return apitypes.Invalidf(loginField(c), `give "credentials", "username" and "password", or "token"`, "is not the only one of them")
	case (c.Username == "") != (c.Password == ""):
		return apitypes.Invalidf(loginField(c), `give "username" and "password"`, "is there alone")
	case c.Credentials != "" && !f.env.References.IsReference(c.Credentials):
		if err := checkCredentials(c.Credentials); err != nil {
			return apitypes.Invalidf("credentials", `give the content of a .creds file, or a reference such as file:/run/secrets/nats.creds`, "%s", err)
		}
	}
	return nil
}

// loginField is the field that says who logs in; "credentials" if none does.
func loginField(c *apitypes.JetStreamConfig) string {
	switch {
	case c.Credentials != "":
		return "credentials"
	case c.Username != "":
		return "username"
	case c.Password != "":
		return "password"
	case c.Token != "":
		return "token"
	}
	return "credentials"
}
