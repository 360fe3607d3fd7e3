package config

import "regexp"

// serviceVariable matches a whole variable as Kubernetes sets it in every pod beside a Service: the name of the Service, what it tells of it, and a
// value of that kind. A Service called pyralis, or pyralis-api, makes names that begin with EnvPrefix.
var serviceVariable = regexp.MustCompile(`^` + EnvPrefix + `([A-Z0-9]+_)*(` +
	`(SERVICE_HOST|PORT_[0-9]+_(TCP|UDP|SCTP)_ADDR)=[0-9a-f.:]+` +
	`|(SERVICE_PORT(_[A-Z0-9]+)*|PORT_[0-9]+_(TCP|UDP|SCTP)_PORT)=[0-9]+` +
	`|PORT(_[0-9]+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://[0-9a-f.:\[\]]+:[0-9]+` +
	`|PORT_[0-9]+_(TCP|UDP|SCTP)_PROTO=(tcp|udp|sctp)` +
	`)$`)
