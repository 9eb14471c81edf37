package route

import "net/http"

// form is what a request looked like to the router that forwards it, as far as a
// connection between members does not carry it. The mark of the request carries it, so
// that the handler sees the request as it came.
type form uint8

const (
	withoutBody   form = 1 << iota // the sender may have added an empty one
	withLength0                    // the request had the header Content-Length: 0
	withoutAgent                   // the header User-Agent was there and empty
	withoutHost                    // the client named no host
	inHTTP10                       // the request came by HTTP/1.0
	withoutCoding                  // it had no Accept-Encoding, and the sender has added one
	forms         form = 1<<iota - 1
)

// formOf returns the form of a request that came from a client.
func formOf(r *http.Request) (f form) {
	if r.ContentLength == 0 {
		f |= withoutBody
		if r.Header["Content-Length"] != nil {
			f |= withLength0
		}
	}
	if values := r.Header["User-Agent"]; len(values) > 0 && values[0] == "" {
		f |= withoutAgent
	}
	if r.Host == "" {
		f |= withoutHost
	}
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		f |= inHTTP10
	}
	return f
}

// sentAs returns the form that a request of this process has when http.Transport sends it.
func sentAs(r *http.Request) (f form) {
	if r.ContentLength != 0 {
		return 0
	}
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return withoutBody | withLength0
	default:
		return withoutBody
	}
}

// restore gives a request the form. The request and its header belong to this router.
func (f form) restore(r *http.Request) {
	if f&withoutBody != 0 {
		r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
		delete(r.Header, "Content-Length")
		if f&withLength0 != 0 {
			r.Header["Content-Length"] = []string{"0"}
		}
	}
	if f&withoutAgent != 0 {
		r.Header["User-Agent"] = []string{""}
	}
	if f&withoutCoding != 0 {
		delete(r.Header, "Accept-Encoding")
	}
	if f&withoutHost != 0 {
		r.Host = ""
	}
	if f&inHTTP10 != 0 && r.ProtoMajor == 1 {
		r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	}
}
