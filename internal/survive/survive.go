package survive

import (
	"fmt"
	"iter"
	"runtime/debug"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Told hears of a panic, with the stack that led to it.
type Told func(panicked any, stack []byte)

// Log writes each panic to a log.
func Log(log *logrus.Entry) Told {
	return func(panicked any, stack []byte) {
		log.WithField("stack", string(stack)).Errorf("The connector panicked: %v", panicked)
	}
}

// Panic makes an error of a panic of the function that it is deferred by: defer survive.Panic(&err, told). told may be nil.
func Panic(err *error, told Told) {
	if p := recover(); p != nil { //nolint:revive // it is called by defer only
		*err = failure(p, told)
	}
}

// failure is the error of a panic.
func failure(p any, told Told) error {
	if told != nil {
		told(p, debug.Stack())
	}
	return &ffcapi.Error{Kind: ffcapi.Internal, Sent: ffcapi.SentMaybe, Message: fmt.Sprintf("the connector panicked: %v", p)}
}

// Call is call with its panic as an error.
func Call[T any](told Told, call func() (T, error)) (answer T, err error) {
	defer Panic(&err, told)
	return call()
}

// Ask is Call of what must answer something.
func Ask[T any](told Told, call func() (*T, error)) (*T, error) {
	answer, err := Call(told, call)
	if err == nil && answer == nil {
		err = ffcapi.Errorf(ffcapi.Internal, "the connector answered nothing")
	}
	return answer, err
}

// Seq is what open returns, with a panic of either as its last error.
func Seq[V any](told Told, open func() iter.Seq2[V, error]) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		if err, over := pass(told, open, yield); err != nil && !over {
			var none V
			yield(none, err)
		}
	}
}

// pass hands on what a sequence has. over: the loop wants no more of it.
func pass[V any](told Told, open func() iter.Seq2[V, error], yield func(V, error) bool) (err error, over bool) { //nolint:revive // the error is not of pass
	body := false // the loop's own code runs
	defer func() {
		if body {
			return
		}
		if p := recover(); p != nil {
			err = failure(p, told)
		}
	}()
	for v, e := range open() {
		body = true
		over = !yield(v, e)
		body = false
		if over {
			break
		}
	}
	return nil, over
}
