package amazon_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{queues, topics} {
		r := newRig(t, k)
		target := map[string]string{"SQS": "https://sqs.eu-west-1.amazonaws.com/123456789012/events", "SNS": "arn:aws:sns:eu-west-1:123456789012:events"}[k.name]
		got, err := r.factory.Validate(json.RawMessage(`{"` + k.target + `":"` + target + `"}`))
		require.NoError(t, err)
		require.JSONEq(t, `{"`+k.target+`":"`+target+`","perMessage":"event","format":"json","requestTimeout":"10s"}`, string(got))
		require.Equal(t, map[string]string{"SQS": "sqs", "SNS": "sns"}[k.name], r.factory.Type())
	}
}

func TestWhatCannotWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		fifo := r.create(r.aws, "events.fifo", nil)
		for _, c := range []struct{ target, fields, field string }{
			{"", "", r.target},
			{"nowhere", "", r.target},
			{fifo, "", "groupId"},
			{fifo, `"groupId":""`, "groupId"},
			{fifo, `"groupId":"a b"`, "groupId"},
			{fifo, `"groupId":".data.id"`, "groupId"},
			{fifo, `"groupId":"=}"`, "groupId"},
			{target, `"region":"x.example.com/"`, "region"},
			{target, `"endpoint":"ftp://x"`, "endpoint"},
			{target, `"endpoint":"http://user:pw@x"`, "endpoint"},
			{target, `"endpoint":"http://169.254.169.254"`, "endpoint"},
			{target, `"endpoint":"http://no host"`, "endpoint"},
			{target, `"endpoint":"http://256.1.1.1:80"`, "endpoint"},
			{target, `"accessKeyId":""`, "accessKeyId"},
			{target, `"secretAccessKey":""`, "secretAccessKey"},
			{target, `"secretAccessKey":"********"`, "secretAccessKey"},
			{target, `"secretAccessKey":"env:PATH"`, "secretAccessKey"},
			{target, `"accessKeyId":"","secretAccessKey":"","sessionToken":"x"`, "sessionToken"},
			{target, `"roleArn":"admin"`, "roleArn"},
			{target, `"perMessage":"block"`, "perMessage"},
			{target, `"format":"xml"`, "format"},
			{target, `"requestTimeout":"1h"`, "requestTimeout"},
			{target, `"attributes":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}`, "attributes"},
			{target, `"attributes":{"AWS.x":"1"}`, "attributes.AWS.x"},
			{target, `"attributes":{"a b":"1"}`, "attributes.a b"},
			{target, `"attributes":{".a":"1"}`, "attributes..a"},
			{target, `"attributes":{"a..b":"1"}`, "attributes.a..b"},
			{target, `"attributes":{"Content-Type":"1"}`, "attributes.Content-Type"},
			{target, `"attributes":{"pyralis-x":"1"}`, "attributes.pyralis-x"},
			{target, `"attributes":{"a":"=}"}`, "attributes.a"},
			{target, `"attributes":{"a":"\u0000"}`, "attributes.a"},
			{target, `"queue":"x"`, "queue"},
		} {
			_, err := r.factory.Validate(r.config(c.target, c.fields))
			var inv *apitypes.Invalid
			require.ErrorAs(t, err, &inv, c.fields)
			require.Equal(t, c.field, inv.Field, c.fields)
			require.NotEmpty(t, inv.Fix)
			require.NotContains(t, err.Error(), "canary")
			if c.field == "endpoint" {
				require.True(t, strings.HasPrefix(inv.Fix, "give a URL such as ") || strings.Contains(inv.Fix, "brokers.allow"), inv.Fix)
			}
		}
		_, err := r.factory.Validate(r.config(target, `"perMessage":"batch","attributes":{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6"}`))
		require.NoError(t, err, "a batch leaves room for more")
		_, err = r.factory.Validate(r.config(target, `"groupId":"tenant","roleArn":"arn:aws:iam::123456789012:role/path/events"`))
		require.NoError(t, err)
	})
}

func TestRegions(t *testing.T) {
	t.Parallel()
	r := newRig(t, queues)
	for url, region := range map[string]string{
		"https://sqs.eu-west-1.amazonaws.com/1/q": "eu-west-1", "https://sqs.cn-north-1.amazonaws.com.cn/1/q": "cn-north-1",
		"https://eu-west-1.queue.amazonaws.com/1/q": "eu-west-1", "https://vpce-1a-2b.sqs.eu-west-1.vpce.amazonaws.com/1/q": "eu-west-1",
		"http://localhost:4566/1/q": "",
	} {
		_, err := r.factory.Validate(json.RawMessage(`{"queueUrl":"` + url + `"}`))
		require.Equal(t, region == "", err != nil, "%s: %v", url, err)
		_, err = r.factory.Validate(json.RawMessage(`{"region":"us-east-1","queueUrl":"` + url + `"}`))
		require.Equal(t, region != "", err != nil, "%s: %v", url, err)
	}
}

// A secret is kept only for the target that it was given for.
func TestKeep(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		stored, err := r.factory.Validate(r.config(r.create(r.aws, "events", nil), ""))
		require.NoError(t, err)
		require.NotContains(t, string(r.factory.Mask(stored)), "canary")
		for _, same := range []string{`{}`, `{"secretAccessKey":"********"}`, `{"groupId":"x","requestTimeout":"20s"}`} {
			kept, err := r.factory.Keep(json.RawMessage(same), stored)
			require.NoError(t, err)
			require.Contains(t, string(kept), secretKey)
		}
		for _, other := range []string{
			`{"endpoint":"http://evil.example.com"}`, map[string]string{"SQS": `{"queueUrl":"http://evil.example.com/1/q","endpoint":null}`, "SNS": `{"endpoint":null}`}[r.name], `{"region":"us-east-1"}`, `{"roleArn":"arn:aws:iam::123456789012:role/admin"}`, `{"` + r.target + `":"` + r.other(r.aws) + `"}`,
		} {
			_, err := r.factory.Keep(json.RawMessage(other), stored)
			var inv *apitypes.Invalid
			require.ErrorAs(t, err, &inv, other)
			require.Equal(t, "secretAccessKey", inv.Field)
		}
	})
}

// Where the target shows the region, giving it changes nothing.
func TestKeepWithTheSameRegion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		shows := map[string]string{"SQS": "https://sqs.eu-central-1.amazonaws.com/123456789012/events", "SNS": "arn:aws:sns:eu-central-1:123456789012:events"}[r.name]
		stored, err := r.factory.Validate(json.RawMessage(`{"` + r.target + `":"` + shows + `","accessKeyId":"a","secretAccessKey":"` + secretKey + `"}`))
		require.NoError(t, err)
		kept, err := r.factory.Keep(json.RawMessage(`{"region":"eu-central-1"}`), stored)
		require.NoError(t, err)
		_, err = r.factory.Validate(kept)
		require.NoError(t, err)
		kept, err = r.factory.Keep(json.RawMessage(`{"region":"us-east-1"}`), stored)
		if err == nil {
			_, err = r.factory.Validate(kept)
		}
		require.Error(t, err)
	})
}

// A queue that is not at AWS's public address is asked where its URL says.
func TestEndpointOfTheQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t, queues)
	target := r.create(r.aws, "events", nil)
	s := r.open(target, `"endpoint":null`)
	require.NoError(t, send(t, s, batch(1, "a")))
	require.Len(t, r.aws.Messages(target), 1)
}

// onlySend forbids the call that asks for attributes.
func onlySend(r *rig) func(context.Context, *awstest.Call) awstest.Fault {
	return func(_ context.Context, c *awstest.Call) awstest.Fault {
		if c.Action == r.ask {
			return awstest.Fault{Code: "AccessDenied", Text: "not authorized", Status: 403}
		}
		return awstest.Fault{}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		target := r.create(r.aws, "events", nil)
		probe := func(target, fields string) error {
			cfg, err := r.factory.Validate(r.config(target, fields))
			require.NoError(t, err)
			return r.factory.Probe(t.Context(), theStream, cfg)
		}
		require.NoError(t, probe(target, ""))
		require.NoError(t, probe(r.create(r.aws, "events.fifo", nil), `"groupId":"a"`))
		require.Empty(t, r.aws.Calls(r.send), "nothing is delivered")
		for name, c := range map[string]struct {
			err          error
			field, words string
		}{
			"not there":    {probe(r.other(r.aws), ""), r.target, r.absent},
			"wrong secret": {probe(target, `"secretAccessKey":"canary-wrong","sessionToken":"canary-token"`), "accessKeyId", "SignatureDoesNotMatch"},
			"unknown key":  {probe(target, `"accessKeyId":"AKIAUNKNOWN"`), "accessKeyId", "InvalidClientTokenId"},
			"other order":  {probe(r.create(r.aws, "liar.fifo", map[string]string{"FifoQueue": "", "FifoTopic": ""}), `"groupId":"a"`), r.target, "says otherwise"},
		} {
			var inv *apitypes.Invalid
			require.ErrorAs(t, c.err, &inv, name)
			require.Equal(t, c.field, inv.Field, name)
			require.ErrorContains(t, c.err, c.words, name)
			require.NotContains(t, c.err.Error(), "canary")
		}
		err := probe(target, `"secretAccessKey":"env:AWS_GONE"`)
		require.EqualError(t, err, "secretAccessKey: env:AWS_GONE cannot be read: the environment variable is not set")
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv)
		require.Equal(t, "secretAccessKey", inv.Field)
		require.ErrorContains(t, probe(target, `"endpoint":"http://127.0.0.1:1"`), "connection refused")

		r.aws.On(func(context.Context, *awstest.Call) awstest.Fault {
			return awstest.Fault{Code: "ThrottlingException", Text: "slow", RetryAfter: "3"}
		})
		require.EqualError(t, probe(target, ""), r.name+": ThrottlingException: slow")
		r.aws.On(onlySend(r))
		require.NoError(t, probe(target, ""), "who may only send can do so")
	})
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, r *rig) {
		s := r.open(r.create(r.aws, "events", map[string]string{"MessageRetentionPeriod": "3600", "SubscriptionsConfirmed": "0"}), "")
		advising, ok := s.(sink.Advising)
		require.True(t, ok)
		require.Empty(t, advising.Warnings(), "nothing has been asked yet")
		require.NoError(t, send(t, s, batch(1, "a")))
		require.Equal(t, []string{map[string]string{
			"SQS": "The queue drops messages after 1h0m0s: events are lost if their consumer is away for longer.",
			"SNS": "Nobody has subscribed to the topic: what is published is acknowledged, and reaches nobody.",
		}[r.name]}, advising.Warnings())

		s = r.open(r.create(r.aws, "fine", map[string]string{"SubscriptionsConfirmed": "1"}), "")
		require.NoError(t, send(t, s, batch(1, "a")))
		advising, _ = s.(sink.Advising)
		require.Empty(t, advising.Warnings())
	})
}
