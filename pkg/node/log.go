package node

import (
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/internal/config"
)

func newLogger(cfg config.Log) *logrus.Logger {
	l := logrus.New()
	l.SetOutput(os.Stderr)
	level, err := logrus.ParseLevel(cfg.Level)
	if err != nil { // the configuration was checked
		level = logrus.InfoLevel
	}
	l.SetLevel(level)
	const stamp = "2006-01-02T15:04:05.000Z07:00"
	if cfg.Format == config.LogJSON {
		l.SetFormatter(&logrus.JSONFormatter{TimestampFormat: stamp})
	} else {
		l.SetFormatter(&logrus.TextFormatter{TimestampFormat: stamp, FullTimestamp: true, DisableQuote: false})
	}
	if cfg.UTC {
		l.AddHook(utcHook{})
	}
	return l
}

// utcHook turns the time of every entry into UTC.
type utcHook struct{}

// Levels returns all levels.
func (utcHook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire changes the entry's time.
func (utcHook) Fire(e *logrus.Entry) error {
	e.Time = e.Time.In(time.UTC)
	return nil
}
