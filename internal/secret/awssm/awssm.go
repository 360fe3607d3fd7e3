// Package awssm reads secrets from AWS Secrets Manager, with the credentials that AWS's own tools would find on this machine. Only the current version
// of a secret is read, as text.
//
// Invariants: what was read is kept for a minute, since each reading is paid for, and is in no error.
package awssm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

const (
	// Keep is how long a secret that was read counts.
	Keep = time.Minute

	timeout = 10 * time.Second
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
	text string
	at   time.Time
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
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if text, ok := s.known(id); ok {
		return text, nil
	}
	client, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id}, func(o *secretsmanager.Options) {
		if region := regionOf(id); region != "" {
			o.Region = region
		}
	})
	switch {
	case err != nil:
		return "", problem(err)
	case out.SecretString == nil:
		return "", errors.New("it is binary, and not text")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read[id] = value{text: *out.SecretString, at: s.o.Now()}
	return *out.SecretString, nil
}

func (s *Store) known(id string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.read[id]
	if ok && s.o.Now().Sub(v.at) >= Keep {
		delete(s.read, id)
		return "", false
	}
	return v.text, ok
}

func (s *Store) connect(ctx context.Context) (*secretsmanager.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
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
		return nil, err
	}
	s.client = secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		if s.o.Endpoint != "" {
			o.BaseEndpoint = aws.String(s.o.Endpoint)
		}
	})
	return s.client, nil
}

// regionOf is the region in an ARN; "" if a secret is named otherwise.
func regionOf(id string) string {
	const least = 6 // arn:aws:secretsmanager:<region>:<account>:secret…
	if parts := strings.Split(id, ":"); parts[0] == "arn" && len(parts) >= least {
		return parts[3]
	}
	return ""
}

// problem is what AWS says, in one line.
func problem(err error) error {
	var api smithy.APIError
	var op *smithy.OperationError
	switch {
	case errors.As(err, &api):
		text, _, _ := strings.Cut(api.ErrorMessage(), "\n") // the lines behind it may hold the request
		return fmt.Errorf("AWS Secrets Manager: %s: %s", api.ErrorCode(), text)
	case errors.As(err, &op):
		return fmt.Errorf("AWS Secrets Manager: %w", op.Unwrap())
	}
	return fmt.Errorf("AWS Secrets Manager: %w", err)
}
