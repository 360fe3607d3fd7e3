package awstest

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// scope are the parts of the credential in a signature: access key id, day, region and service; nil if there is none.
func scope(r *http.Request) []string {
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	credential, _, _ := strings.Cut(after, ",")
	parts := strings.Split(credential, "/")
	if len(parts) != 5 {
		return nil
	}
	return parts
}

// signer is the access key id with which a request is signed.
func signer(r *http.Request) string {
	if parts := scope(r); parts != nil {
		return parts[0]
	}
	return ""
}

// authenticate refuses who is unknown, or signs with another secret.
func (s *Server) authenticate(r *http.Request, body []byte) *refusal {
	forbidden := func(code, text string) *refusal {
		return &refusal{status: http.StatusForbidden, code: code, text: text}
	}
	if s.keys == nil {
		return nil
	}
	parts := scope(r)
	if parts == nil {
		return forbidden("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	secret, known := s.keys[parts[0]]
	if !known {
		return forbidden("InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return forbidden("IncompleteSignature", "Date must be in ISO-8601 'basic format'.")
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return forbidden("IncompleteSignature", err.Error())
	}
	_, after, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ := strings.Cut(after, ",")
	for name := range strings.SplitSeq(names, ";") {
		if values := r.Header.Values(name); len(values) > 0 && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	hash := sha256.Sum256(body)
	who := aws.Credentials{AccessKeyID: parts[0], SecretAccessKey: secret, SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := v4.NewSigner().SignHTTP(r.Context(), who, again, hex.EncodeToString(hash[:]), parts[3], parts[2], at); err != nil {
		return forbidden("IncompleteSignature", err.Error())
	}
	if subtle.ConstantTimeCompare([]byte(again.Header.Get("Authorization")), []byte(r.Header.Get("Authorization"))) != 1 {
		// The real one shows the whole request in further lines, with the session token.
		return forbidden("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String was\n'x-amz-security-token:"+who.SessionToken+"'")
	}
	return nil
}
