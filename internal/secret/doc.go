// Package secret resolves references to secrets, so that a secret need not stand where its user is configured.
//
//	"env:HOOK_KEY"          the environment variable HOOK_KEY
//	"file:/run/secrets/key" the content of a file, without the line break at its end
//	"awssm:hooks/key"       a secret of AWS Secrets Manager, by its name or ARN
//	"awssm:hooks/all#key"   a member of the JSON object that is one
//
// A reference is resolved only if an operator has listed it: whoever may write a reference could have any secret of the node sent
// anywhere otherwise. The list holds references, with * for any text without a slash, e.g. env:HOOK_* and file:/run/secrets/hooks/*.
//
// Invariants: a secret is read anew each time, so that one that changed counts at once, but for those of AWS, which package awssm keeps for a minute, and
// for an hour while they cannot be read; it is in no error and in no log.
package secret
