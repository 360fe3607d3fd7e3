package sqs

import "github.com/pyralis-io/pyralis/internal/sinks/broker/amazon"

// SetTest changes how AWS is reached.
func (f *Factory) SetTest(t amazon.Test) { f.test = t }
