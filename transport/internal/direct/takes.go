package direct

import (
	"net/http"
	"net/http/httptrace"
	"strings"
)

// Takes reports whether a request can be sent by a [Transport], as far as its context, in
// which there may be a trace, does not matter. An invalid request is left to
// http.Transport, whose error says what is wrong.
func Takes(r *http.Request) bool {
	return usable && r.URL != nil && r.URL.Scheme == "http" && r.URL.Port() != "" && r.URL.Hostname() != "" &&
		(r.Body == nil || r.Body == http.NoBody) && r.ContentLength == 0 && len(r.TransferEncoding) == 0 && r.Trailer == nil &&
		r.Method != http.MethodConnect && (r.Method == "" || isToken(r.Method)) &&
		r.Cancel == nil && //nolint:staticcheck // a caller may still use it
		r.Header != nil && isValid(r.Header)
}

// Traced reports whether the context of a request has a trace, which only http.Transport
// serves.
func Traced(r *http.Request) bool { return httptrace.ContextClientTrace(r.Context()) != nil }

// isValid reports whether the fields of a header can be sent as they are (RFC 9110, section
// 5.5), and none of them makes a request special for http.Transport.
func isValid(h http.Header) bool {
	for name, values := range h {
		if !isToken(name) || strings.EqualFold(name, "Upgrade") || strings.EqualFold(name, "Expect") {
			return false
		}
		for _, value := range values {
			for i := range len(value) {
				if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
					return false
				}
			}
		}
	}
	return true
}

// isToken reports whether a text is a token of HTTP (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if !token[s[i]] {
			return false
		}
	}
	return s != ""
}

// token holds the characters of tokens.
var token = func() (is [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		is[c] = true
	}
	return is
}()
