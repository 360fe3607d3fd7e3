package amazon

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Settings are the fields that the configurations of both types have, each pointing into one of them.
type Settings struct {
	Region, Endpoint, GroupID                           *string
	AccessKeyID, SecretAccessKey, SessionToken, RoleARN *string
	PerMessage, Format                                  *string
	Attributes                                          map[string]string
	RequestTimeout                                      **fftypes.FFDuration
}

// Target is the queue or topic that a configuration names.
type Target struct {
	Field  string // that names it
	Region string // which it shows; "" if none
	FIFO   bool
}

// Values are the fields that may be references.
func (s *Settings) Values() []broker.Value {
	return []broker.Value{
		{Field: "accessKeyId", Text: s.AccessKeyID},
		{Field: "secretAccessKey", Text: s.SecretAccessKey, Secret: true},
		{Field: "sessionToken", Text: s.SessionToken, Secret: true},
	}
}

const (
	defaultTimeout = 10 * time.Second
	leastTimeout   = time.Second
	mostTimeout    = 5 * time.Minute
)

// Check refuses what cannot work, and fills in defaults.
func (s *Settings) Check(env *broker.Env, t Target) error {
	for _, check := range []func() error{
		func() error { return s.checkPlace(env, t) },
		s.checkCredentials,
		func() error { return broker.CheckMessages(s.PerMessage, s.Format) },
		func() error {
			return broker.CheckDuration("requestTimeout", s.RequestTimeout, defaultTimeout, leastTimeout, mostTimeout)
		},
		func() error { return s.checkGroup(t) },
		s.checkAttributes,
		func() error { _, err := s.texts(env, t); return err },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settings) checkPlace(env *broker.Env, t Target) error {
	const example = "give a region such as eu-central-1"
	switch {
	case *s.Region != "" && !isRegion(*s.Region):
		return apitypes.Invalidf("region", example, "is %q", *s.Region)
	case *s.Region == "" && t.Region == "":
		return apitypes.Invalidf("region", example, "is missing, and %s does not show it", t.Field)
	case *s.Region != "" && t.Region != "" && *s.Region != t.Region:
		return apitypes.Invalidf("region", "leave it out", "is %s, and %s is in %s", *s.Region, t.Field, t.Region)
	case *s.Endpoint != "":
		return s.checkEndpoint(env)
	}
	return nil
}

func (s *Settings) checkEndpoint(env *broker.Env) error {
	const fix = "give a URL such as https://vpce-0123.sqs.eu-central-1.vpce.amazonaws.com, or leave it out"
	u, err := url.Parse(*s.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return apitypes.Invalidf("endpoint", fix, "is no URL of a service")
	}
	return env.CheckHost("endpoint", u.Hostname(), fix)
}

func (s *Settings) checkCredentials() error {
	const fix = "give accessKeyId and secretAccessKey, or neither for the credentials of the server's machine"
	switch {
	case *s.AccessKeyID == "" && *s.SecretAccessKey != "":
		return apitypes.Invalidf("accessKeyId", fix, "is missing")
	case *s.AccessKeyID != "" && *s.SecretAccessKey == "":
		return apitypes.Invalidf("secretAccessKey", fix, "is missing")
	case *s.SessionToken != "" && *s.AccessKeyID == "":
		return apitypes.Invalidf("sessionToken", "give accessKeyId and secretAccessKey, too", "stands alone")
	case *s.RoleARN != "" && !isRole(*s.RoleARN):
		return apitypes.Invalidf("roleArn", "give one such as arn:aws:iam::123456789012:role/events", "is %q", *s.RoleARN)
	}
	return nil
}

func (s *Settings) checkGroup(t Target) error {
	if t.FIFO && *s.GroupID == "" {
		return apitypes.Invalidf("groupId", `give one for all events, such as "ledger", or one for each, such as "=.data.id": order is kept within a group`,
			"is missing, and what is named by %s keeps the order of groups (.fifo)", t.Field)
	}
	return nil
}

// maxAttributes is how many attributes a message may have that reaches a queue.
const maxAttributes = 10

func (s *Settings) checkAttributes() error {
	// What is set here besides those of the server: none of a single event with a batch.
	own := []string{broker.HeaderID, broker.HeaderEvent, broker.HeaderStream, broker.HeaderListener, broker.HeaderType}
	if *s.PerMessage == apitypes.MessagePerBatch {
		own = []string{broker.HeaderID, broker.HeaderStream, broker.HeaderType}
	}
	if most := maxAttributes - len(own); len(s.Attributes) > most {
		return apitypes.Invalidf("attributes", fmt.Sprintf("give %d at most", most), "are %d, and a message has %d at most, of which %d are taken", len(s.Attributes), maxAttributes, len(own))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		lower := strings.ToLower(name)
		switch field := "attributes." + name; {
		case !isAttribute(name), strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
			return apitypes.Invalidf(field, "use letters, digits, _ and -, with dots between them, and no name that begins with AWS. or Amazon.", "is no name of an attribute")
		case slices.Contains(own, lower), strings.HasPrefix(lower, "pyralis-"):
			return apitypes.Invalidf(field, "use another name", "is an attribute that the server sets")
		}
	}
	return nil
}

// texts are the group, and the attributes in the order of their names.
func (s *Settings) texts(env *broker.Env, t Target) ([]*broker.Text, error) {
	group, err := broker.NewText(env.Compiler, "groupId", *s.GroupID, func(text string) error {
		if text == "" && !t.FIFO { // where no order is kept, a message may be in no group
			return nil
		}
		return checkGroupID(text)
	})
	if err != nil {
		return nil, err
	}
	texts := []*broker.Text{group}
	for _, name := range slices.Sorted(maps.Keys(s.Attributes)) {
		one, err := broker.NewText(env.Compiler, "attributes."+name, s.Attributes[name], checkCharacters)
		if err != nil {
			return nil, err
		}
		texts = append(texts, one)
	}
	return texts, nil
}

func checkGroupID(text string) error {
	const longest = 128
	switch {
	case text == "":
		return errors.New("is empty, and a group is needed")
	case len(text) > longest:
		return fmt.Errorf("has %d characters, and a group %d at most", len(text), longest)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("is %q, and a group has letters, digits and punctuation of ASCII only, without spaces", text)
	}
	return nil
}

func checkCharacters(text string) error {
	for _, r := range text {
		if illegal(r) {
			return fmt.Errorf("has the character %U, which AWS does not take", r)
		}
	}
	return nil
}

// illegal says which characters are in no message.
func illegal(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
}

// Same says whether the secrets of old may be used as s says, both having the same target. A region that is given and one that the target shows are the same.
func (s *Settings) Same(old *Settings) bool {
	return (*s.Region == *old.Region || *s.Region == "" || *old.Region == "") && *s.Endpoint == *old.Endpoint && *s.RoleARN == *old.RoleARN
}
