package guard

import (
	"bytes"
	"errors"
	"time"
)

// A member that others have declared dead may have to wait before it says that it lives. Until then the guard
// removes its announcements from the packets that it sends. Exchanges of members that others begin wait, and those
// that this member begins fail: an exchange has the state of this member too.

var errWithheld = errors.New("membership: this member does not exchange members yet: no other member has been heard for long")

// withheld returns a channel that is closed when this member may say again that it lives, or nil when it may.
func (g *Guard) withheld() <-chan struct{} {
	if g.opts.Withheld == nil {
		return nil
	}
	return g.opts.Withheld()
}

// awaitReturn lets an exchange of members wait while this member must not say that it lives. It reports whether
// the guard still runs. A member that hears nobody but those that dial it must not wait for ever.
func (g *Guard) awaitReturn() bool {
	over := time.NewTimer(g.opts.HeadTimeout / 2)
	defer over.Stop()
	for wait := g.withheld(); wait != nil; wait = g.withheld() {
		select {
		case <-wait:
		case <-over.C:
			return true
		case <-g.closing:
			return false
		}
	}
	return true
}

// isExchange reports whether a message of a stream, without the label, is an exchange of members.
func (g *Guard) isExchange(message []byte, label string) bool {
	if len(message) > sealedHead && message[0] == encryptMessage && g.opts.Keys != nil {
		plain, ok := g.decrypt(message[sealedHead:], append(bytes.Clone(message[:sealedHead]), label...))
		if !ok {
			return false
		}
		message = plain
	}
	kind, _ := opened(message)
	return kind == pushPullMessage
}
