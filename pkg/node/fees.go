package node

import (
	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/fees"
)

// feeOptions are the options of the fee source, but for the connector.
func feeOptions(cfg config.Fees) fees.Options {
	return fees.Options{
		Source: cfg.Source, Fixed: cfg.Fixed, QueryInterval: cfg.QueryInterval, MaxAge: cfg.MaxAge,
		REST: fees.RESTOptions{
			URL: cfg.REST.URL, Method: cfg.REST.Method, Headers: cfg.REST.Headers, Body: cfg.REST.Body,
			Username: cfg.REST.Auth.Username, Password: cfg.REST.Auth.Password, PasswordFile: cfg.REST.Auth.PasswordFile,
			Template: cfg.REST.Template, Timeout: cfg.REST.Timeout, Proxy: cfg.REST.Proxy,
		},
	}
}

// newFees makes the configured fee source; nil for none.
func (n *Node) newFees() (fees.Source, error) {
	o := feeOptions(n.cfg.Fees)
	o.Connector = n.connector
	source, err := fees.New(o)
	if source != nil {
		n.rest = append(n.rest, source)
	}
	return source, err
}
