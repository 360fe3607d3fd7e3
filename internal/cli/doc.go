// Package cli is the command line.
//
//	Main ─▶ run, dev            start a node (pkg/node) and stop it on SIGINT or SIGTERM
//	     ─▶ listen, stream, listener, tx    clients (pkg/client) of a running node
//	     ─▶ import              write to the store of a node that does not run (pkg/node)
//	     ─▶ fabric              set up and examine the connection to a Fabric network, without a node
//	     ─▶ config, openapi, version
//
// A command that fails prints a line, "pyralis: what is wrong", for each thing that is wrong to standard error and ends with status 1.
// Standard output carries only what was asked for.
package cli
