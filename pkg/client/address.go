package client

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// errURL does not show the URL: what cannot be read may hold a password anywhere.
var errURL = errors.New("URL of the API: want http:// or https:// and a host, such as " + DefaultURL)

// parse reads the URL of an API.
func parse(text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		return nil, errURL
	}
	return u, nil
}

// webSocket turns the URL of the API into that of its WebSocket, which has no room for a user name and a password: these become a header, unless there
// is one for them.
func webSocket(api string, header http.Header) (string, http.Header, error) {
	u, err := parse(api, "http", "https", "ws", "wss")
	if err != nil {
		return "", nil, err
	}
	if user := u.User; user != nil && header.Get("Authorization") == "" {
		if header = header.Clone(); header == nil {
			header = http.Header{}
		}
		password, _ := user.Password()
		(&http.Request{Header: header}).SetBasicAuth(user.Username(), password)
	}
	u.User = nil
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	return u.JoinPath("ws").String(), header, nil
}
