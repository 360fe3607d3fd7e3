// Package awssm reads secrets from AWS Secrets Manager, with the credentials that AWS's own tools would find on this machine. Only the current version
// of a secret is read, as text.
//
// Invariants: what was read is kept for a minute, since each reading is paid for, and for an hour while Secrets Manager cannot be reached, is overloaded or
// fails inside; a refusal counts at once. It is in no error. Credentials that AWS does not take are looked for again, once in each reading.
package awssm

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/pyralis-io/pyralis/internal/awserr"
)

const (
	// Keep is how long a secret that was read counts.
	Keep = time.Minute
	// Outage is for how long a secret that was read counts while Secrets Manager cannot be asked. Most outages are over by then; a secret that is replaced
	// during one is kept no longer.
	Outage = time.Hour

	timeout  = 10 * time.Second
	askAgain = 15 * time.Second // during an outage, in which each delivery would wait for an answer otherwise
)

// Options make a Store.
type Options struct {
	Region   string // of secrets that are referred to by name; "": that of this machine's settings
	Endpoint string // URL; "": that of AWS

	Now  func() time.Time                  // nil: time.Now
	Load []func(*config.LoadOptions) error // for tests
}

// Store reads secrets. It is safe for concurrent use, and asks nobody before the first one.
type Store struct {
	o Options

	mu     sync.Mutex
	client *secretsmanager.Client // guarded by mu; nil until it is needed
	read   map[string]value       // guarded by mu, by id
}

type value struct {
	text  string
	at    time.Time // when it was read
	until time.Time // it is not asked for again before
}

// New makes a store.
func New(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{o: o, read: make(map[string]value)}
}

// Secret returns the text of a secret by its name or ARN.
func (s *Store) Secret(ctx context.Context, id string) (string, error) {
	if text, ok := s.known(id); ok {
		return text, nil
	}
	timed, cancel := context.WithTimeout(ctx, s.patience(ctx, id))
	defer cancel()
	text, err := s.ask(timed, id)
	switch {
	case err == nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		now := s.o.Now()
		s.read[id] = value{text: text, at: now, until: now.Add(Keep)}
		return text, nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	}
	return s.instead(id, problem(err))
}

// patience is how long AWS may take for an answer. Who has little time and could do with what was read last has the other half of it left.
func (s *Store) patience(ctx context.Context, id string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if deadline, ok := ctx.Deadline(); ok && s.read[id] != (value{}) {
		return min(timeout, time.Until(deadline)/2)
	}
	return timeout
}

// known is what counts without being asked for.
func (s *Store) known(id string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.read[id]
	return v.text, ok && s.o.Now().Before(v.until)
}

// instead is what was read last, if there is an outage that has not lasted for too long. Whatever else is answered counts at once: who may not read a
// secret any more does not have it.
func (s *Store) instead(id string, err error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone *outageError
	v, ok := s.read[id]
	now := s.o.Now()
	if !ok || !errors.As(err, &gone) || now.Sub(v.at) >= Outage {
		delete(s.read, id)
		return "", err
	}
	v.until = now.Add(askAgain)
	s.read[id] = v
	return v.text, nil
}

// ask asks AWS. Credentials that it does not take may have been replaced on this machine since the client was made: then a new client asks again.
func (s *Store) ask(ctx context.Context, id string) (text string, err error) {
	for {
		client, fresh, err := s.connect(ctx)
		if err != nil {
			return "", err
		}
		text, err := get(ctx, client, id)
		if !awserr.BadCredentials(err) {
			return text, err
		}
		s.forget(client)
		if fresh {
			return "", err
		}
	}
}

var (
	errBinary   = errors.New("it is binary, and not text")
	errNoRegion = errors.New("no region is known: set secrets.aws.region in the configuration of the server, or name the secret by its ARN")
)

func get(ctx context.Context, client *secretsmanager.Client, id string) (string, error) {
	region := regionOf(id)
	if region == "" {
		region = client.Options().Region
	}
	if region == "" {
		return "", errNoRegion
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id}, func(o *secretsmanager.Options) { o.Region = region })
	switch {
	case err != nil:
		return "", err
	case out.SecretString == nil:
		return "", errBinary
	}
	return *out.SecretString, nil
}

// forget has the next connect make a new client.
func (s *Store) forget(client *secretsmanager.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == client {
		s.client = nil
	}
}

// connect is the client in use, or a fresh one with the credentials that this machine has now.
func (s *Store) connect(ctx context.Context) (client *secretsmanager.Client, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, false, nil
	}
	options := []func(*config.LoadOptions) error{
		// A secret is read once in a while: no connection waits for it.
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })),
	}
	if s.o.Region != "" {
		options = append(options, config.WithRegion(s.o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, append(options, s.o.Load...)...)
	if err != nil {
		return nil, false, err
	}
	s.client = secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		if s.o.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.o.Endpoint)
		}
	})
	return s.client, true, nil
}

// regionOf is the region in an ARN; "" if a secret is named otherwise.
func regionOf(id string) string {
	const least = 6 // arn:aws:secretsmanager:<region>:<account>:secret…
	if parts := strings.Split(id, ":"); parts[0] == "arn" && len(parts) >= least {
		return parts[3]
	}
	return ""
}
