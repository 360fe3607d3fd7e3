// Package config declares every configuration key of Pyralis and reads their values.
//
//	Config (struct tags: key, default, enum, min, max, check, doc)     one declaration per key
//	   │
//	   ├─▶ Keys ──▶ Markdown ──▶ config.md, checked against the copy in the repository
//	   └─▶ Load: default ◀─ LoadOptions.Defaults ◀─ YAML file ◀─ PYRALIS_* environment ◀─ LoadOptions.Overrides
//	            each layer over the one to its left; the result is a new *Config, checked as a whole
//
// To add a key, add a field to the tree in tree.go; to remove one, remove the field. Everything else follows, and `make generate`
// renews config.md.
//
// Invariants: there is no global state, so two nodes in one process have a Config each. A file or an environment that says
// something unknown is an error, never ignored; only what Kubernetes tells of Services is passed over. Values are checked here, once: who gets
// a *Config need not check them again.
//
// Failure: Load reports all problems at once, joined, each a *KeyError with the key, where its value came from, the value (hidden for secrets)
// and what is allowed. Nothing is returned beside an error.
package config
