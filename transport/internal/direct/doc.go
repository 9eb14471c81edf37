// Package direct sends requests without a body over HTTP/1.1 in clear. The goroutine of the
// caller writes the request and reads the answer itself. http.Transport has two more
// goroutines for each connection, and the switches between the three cost more than the
// exchange. The requests and answers themselves are written and read by net/http.
//
// Every other request is for http.Transport: one with a body, whose answer may come while
// the body is still written; one with TLS; and one whose context has a trace.
package direct
