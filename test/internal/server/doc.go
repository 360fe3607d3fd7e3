// Package server runs the built pyralis as a child process that a test can kill and start again.
package server
