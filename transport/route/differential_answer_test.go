package route_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// answerBehaviours are the rows about what the handler answers.
func answerBehaviours() (table []behaviour) {
	add := func(name string, handle func(w http.ResponseWriter, r *http.Request), only ...func(way) bool) {
		for _, method := range []string{"GET", "HEAD"} {
			b := behaviour{
				name: name + ", " + method,
				handle: func(x *exchange, w http.ResponseWriter, r *http.Request) {
					handle(w, r)
				},
				send: func(x *exchange) { x.do(x.request(method, "/k", nil)) },
			}
			if len(only) > 0 {
				b.only = only[0]
			}
			table = append(table, b)
		}
	}
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	for _, status := range []int{200, 201, 202, 204, 205, 206, 300, 301, 304, 307, 400, 401, 404, 405, 416, 418, 421, 429, 431, 500, 501, 502, 503, 504, 505, 599, 700, 999} {
		add(fmt.Sprint("status ", status), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "text")
		})
	}
	for _, status := range []int{200, 204, 304, 404} {
		add(fmt.Sprintf("status %d without a body", status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		add(fmt.Sprintf("status %d flushed", status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); flush(w) })
		add(fmt.Sprintf("status %d with an encoding and a length", status), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("ETag", `"a"`)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "text")
		})
	}
	add("nothing", func(http.ResponseWriter, *http.Request) {})
	add("early hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Add("Link", "</more.js>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.Header().Set("X-A", "1")
		_, _ = io.WriteString(w, "text")
	})
	for _, status := range []int{200, 400, 426} {
		add(fmt.Sprintf("status %d with the protocols of the server", status), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "own/2, other")
			w.WriteHeader(status)
		}, http1)
	}
	add("status 204 with trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusNoContent)
		w.Header().Set("X-Sum", "1")
	})
	for name, edit := range map[string]func(http.Header){
		"no Date":                 func(h http.Header) { h["Date"] = nil },
		"a Date of its own":       func(h http.Header) { h.Set("Date", "Mon, 02 Jan 2006 15:04:05 GMT"); h.Add("Date", "Mon") },
		"no Content-Type":         func(h http.Header) { h["Content-Type"] = nil },
		"an empty Content-Type":   func(h http.Header) { h.Set("Content-Type", "") },
		"two Content-Types":       func(h http.Header) { h.Add("Content-Type", "text/plain"); h.Add("Content-Type", "a/b") },
		"Server":                  func(h http.Header) { h.Set("Server", "own") },
		"cookies":                 func(h http.Header) { h.Add("Set-Cookie", "a=1; Path=/"); h.Add("Set-Cookie", "b=2; HttpOnly") },
		"repeated":                func(h http.Header) { h["X-A"] = []string{"1", "", "2", "1"} },
		"other letters":           func(h http.Header) { h["x-lower_case"] = []string{"1"} },
		"headers of the router":   func(h http.Header) { h.Set("Clusterkit-Refused", "1") },
		"no token":                func(h http.Header) { h.Del("Clusterkit-Token") },
		"Connection":              func(h http.Header) { h.Set("Connection", "X-A"); h.Set("X-B", "1") },
		"close":                   func(h http.Header) { h.Set("Connection", "close") },
		"Trailer without a value": func(h http.Header) { h.Set("Trailer", "X-Sum") },
		"Alt-Svc and others": func(h http.Header) {
			h.Set("Alt-Svc", "clear")
			h.Set("Via", "1.1 own")
			h.Set("Age", "3")
			h.Set("Warning", "199")
		},
		"Proxy-Authenticate": func(h http.Header) {
			h.Set("WWW-Authenticate", "Basic")
			h.Set("Strict-Transport-Security", "max-age=1")
		},
		"a header of 70 KiB":  func(h http.Header) { h.Set("Long", strings.Repeat("x", 70<<10)) },
		"a header of 128 KiB": func(h http.Header) { h.Set("Long", strings.Repeat("x", 128<<10)) },
		"a thousand headers": func(h http.Header) {
			for i := range 1000 {
				h.Set(fmt.Sprint("X-", i), "x")
			}
		},
		"a Content-Length of none": func(h http.Header) { h.Set("Content-Length", "0") },
		"X-Accel and sniffing":     func(h http.Header) { h.Set("X-Content-Type-Options", "nosniff") },
	} {
		add(name, func(w http.ResponseWriter, _ *http.Request) {
			edit(w.Header())
			if w.Header().Get("Content-Length") != "0" {
				_, _ = io.WriteString(w, "<html>text")
			}
		})
	}
	for name, text := range map[string]string{
		"HTML": "<!DOCTYPE HTML><p>", "PNG": "\x89PNG\r\n\x1a\n0000", "zeros": "\x00\x00\x00", "JSON": `{"a":1}`, "gzip": "\x1f\x8b\x08abc",
	} {
		add("sniffed as "+name, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
		add("sniffed as "+name+" later", func(w http.ResponseWriter, _ *http.Request) {
			flush(w)
			_, _ = io.WriteString(w, text)
		})
	}
	add("trailers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-Unset")
		w.Header().Add("Trailer", "X-Other")
		_, _ = io.WriteString(w, "text")
		w.Header().Set("X-Sum", "1")
		w.Header().Add("X-Other", "2")
		w.Header().Add("X-Other", "3")
		w.Header().Set(http.TrailerPrefix+"X-Late", "4")
	})
	table = append(table, controlBehaviours()...)
	add("trailers without a body", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusOK)
		w.Header().Set("X-Sum", "1")
	})
	add("a trailer not declared", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "text")
		flush(w)
		w.Header().Set(http.TrailerPrefix+"X-Late", "4")
	})
	add("less than the length", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "text")
	})
	add("more than the length", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = io.WriteString(w, "text")
	})
	add("a file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
	})
	add("a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "../b?c", http.StatusFound) })
	add("an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	for _, ranges := range []string{"bytes=0-1", "bytes=-2", "bytes=5-", "bytes=0-1,4-5", "bytes=20-"} {
		table = append(table, behaviour{
			name: "Range " + ranges,
			handle: func(_ *exchange, w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "multipart/x; boundary=b")
				http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
			},
			send: func(x *exchange) {
				response, err := x.client.Do(x.request("GET", "/k", nil, "Range: "+ranges)) //nolint:bodyclose // got closes it
				if err != nil {
					x.said("no answer")
					return
				}
				if strings.Contains(ranges, ",") { // parts have a boundary by chance
					response.Header.Set("Content-Type", "multipart")
					_, _ = io.Copy(io.Discard, response.Body)
				}
				x.got(response)
			},
		})
	}
	for _, size := range bodySizes() {
		body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		table = append(table, behaviour{
			name:   fmt.Sprintf("an answer of %d bytes", size),
			handle: func(_ *exchange, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) },
		}, behaviour{
			name: fmt.Sprintf("an answer of %d bytes with its length", size),
			handle: func(_ *exchange, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", fmt.Sprint(size))
				_, _ = io.Copy(w, bytes.NewReader(body))
			},
		}, behaviour{
			name: fmt.Sprintf("a flushed answer of %d bytes", size),
			handle: func(_ *exchange, w http.ResponseWriter, _ *http.Request) {
				flush(w)
				_, _ = w.Write(body)
			},
		})
	}
	return table
}

// controlBehaviours have control characters in the header of an answer, which a caller other than
// net/http may read.
func controlBehaviours() (table []behaviour) {
	const text = "caf\xe9 \u00e9\t\x1b \x00\x7f\r\n."
	for name, handle := range map[string]func(http.ResponseWriter){
		"header": func(w http.ResponseWriter) { w.Header()["X-A"] = []string{"1", text, "2"} },
		"informational answer": func(w http.ResponseWriter) {
			w.Header().Set("Link", text)
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
		},
		"trailer": func(w http.ResponseWriter) {
			w.Header().Set("Trailer", "X-A")
			w.WriteHeader(http.StatusOK)
			w.Header().Set("X-A", text)
			w.Header().Set(http.TrailerPrefix+"X-B", text)
		},
	} {
		table = append(table, behaviour{
			name: "control characters in the " + name, only: http1,
			handle: func(_ *exchange, w http.ResponseWriter, _ *http.Request) { handle(w) },
			send: func(x *exchange) {
				conn := x.dial()
				defer func() { _ = conn.Close() }()
				_, _ = io.WriteString(conn, "GET /k HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
				answer, _ := io.ReadAll(conn)
				lines := strings.Split(strings.NewReplacer("\x1b", " ", "\x00", " ", "\x7f", " ").Replace(string(answer)), "\r\n")
				lines = slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "Date: ") })
				slices.Sort(lines) // the router adds its own headers elsewhere
				x.said("%q", lines)
			},
		})
	}
	return table
}
