// Package awserr says what errors of the AWS SDK mean, and how they may be shown. None of what it returns holds a secret that the SDK came across.
package awserr

import (
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/smithy-go"
)

// Code is AWS's name for an error, "" if it is none of AWS.
func Code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// Is says whether AWS's name for an error is one of some, whatever stands before its last dot.
func Is(name string, names ...string) bool {
	return slices.Contains(names, name[strings.LastIndex(name, ".")+1:])
}

// BadCredentials says that AWS does not take the credentials.
func BadCredentials(err error) bool {
	return Is(Code(err), "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "InvalidSecurity",
		"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "MissingAuthenticationToken", "IncompleteSignature", "RequestExpired", "NotAuthorized")
}

// Text is what an error that is none of an answer says, in one line. A program that gives credentials (credential_process) may have printed them, and the SDK
// has in its error all that was printed.
func Text(err error) string {
	var program *processcreds.ProviderError
	var op *smithy.OperationError
	switch {
	case errors.As(err, &program):
		return "credential_process of the machine's AWS settings does not give what it should; what it prints is not shown, since credentials may be in it"
	case errors.As(err, &op):
		return Line("", op.Unwrap().Error())
	}
	return Line("", err.Error())
}

// Line is a name, if there is one, and a text of AWS. Of the text only the first line is shown: the others of a wrong signature hold the request, with the
// session token in it.
func Line(name, text string) string {
	const longest = 500
	text, _, _ = strings.Cut(text, "\n")
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	if text = strings.TrimSpace(text); text == "" {
		return name
	}
	if name == "" {
		return text
	}
	return name + ": " + text
}
