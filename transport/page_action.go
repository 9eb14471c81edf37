package transport

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/page"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

const (
	formType     = "application/x-www-form-urlencoded"
	maxFormBytes = 4 << 10 // the limit of the form of an action
	// mostSubject is the largest number of bytes of an ID in a form. No NodeID has more.
	mostSubject = 256
)

// pageActions are the actions that the page offers. A gossip key is not among them: a person
// would have to enter the secret at each member in turn, which clusterctl does.
func pageActions() []action {
	return []action{drainAction, resumeAction, forgetAction, acceptLossAction}
}

// pageAct answers the form that confirms an action with the page, which shows the outcome.
// A refusal of the caller is answered as the routes of actions do.
func (h *Handler) pageAct(w http.ResponseWriter, r *http.Request) error {
	varies(w)
	on, ok := h.cluster.(actor)
	if !ok || accepts(r, html) == 0 {
		return notFound(w, r)
	}
	caller, err := mayAct(r)
	if err != nil {
		return err
	}
	if !fromOwnPage(r) {
		return wire.New(wire.CrossOrigin, http.StatusForbidden, "the form was not sent by the status page of this address: open the page here, and send its form")
	}
	form, err := h.readForm(w, r)
	if err != nil {
		return err
	}
	a, q, err := h.actionOf(w, form.Get("act"), form.Get("subject"))
	if err != nil {
		return err
	}
	q.member = form.Get("member")
	if q.member == "" && slices.Contains(a.fields, "member") {
		return fieldProblem("member", "field %q is missing or empty", "member")
	}
	act := &page.Act{Caller: caller}
	status := http.StatusOK
	result, err := h.perform(w, r, on, a, q, caller)
	if refusal, ok := errors.AsType[*api.Refusal](err); ok {
		act.Refusal, status = refusal, refusal.Status
	} else if err != nil {
		return err
	} else {
		act.Result = &result
	}
	act.State = on.LifecycleState()
	return h.showPage(w, r, url.Values{}, status, act)
}

// fromOwnPage reports whether a browser says that a page of this very origin has sent the
// request. A browser sends what the person has entered, and a certificate, with every
// request, also with those of other pages. A request without both headers is refused too:
// programs have the routes of actions.
func fromOwnPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return r.Header.Get("Origin") == scheme+"://"+r.Host
}

// readForm reads the form of an action. Each field may be given once.
func (h *Handler) readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != formType {
		return nil, wire.New(wire.Blank, http.StatusUnsupportedMediaType, "the content type is %s: must be %s", wire.Brief(r.Header.Get("Content-Type")), formType)
	}
	lease := h.lease(r)
	defer lease.end()
	body, err := h.readBytes(w, r, lease, maxFormBytes)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, wire.New(wire.Body, http.StatusBadRequest, "the form is malformed: %s", wire.Cut(err.Error()))
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, fieldProblem(wire.Cut(name), "field %s is given %d times: give it once", wire.Brief(name), len(values))
		}
	}
	return form, nil
}

// actionOf returns the action of a form and what it is asked for, or a refusal.
func (h *Handler) actionOf(w http.ResponseWriter, name, subject string) (action, *actionRequest, error) {
	all := pageActions()
	i := slices.IndexFunc(all, func(a action) bool { return a.name == name })
	if i < 0 {
		return action{}, nil, fieldProblem("act", "the action is %s: must be drain, resume, forget or accept-loss", wire.Brief(name))
	}
	a, q := all[i], new(actionRequest)
	switch {
	case slices.Contains(a.fields, "id"):
		if subject == "" || len(subject) > mostSubject {
			return action{}, nil, fieldProblem("subject", "the ID of the member has %d bytes: must have 1 to %d", len(subject), mostSubject)
		}
		q.id = subject
	case slices.Contains(a.fields, "partition"):
		partition, err := strconv.Atoi(subject)
		if err != nil {
			return action{}, nil, fieldProblem("subject", "the partition is %s: must be a whole number", wire.Brief(subject))
		}
		q.partition = &partition
	}
	return a, q, h.checkPartition(w, q.partition)
}

// chosen returns what the section of actions shows to the sender of a request for the page:
// the action to confirm, where the sender may act and has chosen one. It is nil for a cluster
// that cannot be acted on.
func (h *Handler) chosen(w http.ResponseWriter, r *http.Request, values url.Values) *page.Act {
	on, ok := h.cluster.(actor)
	if !ok {
		return nil
	}
	caller, err := mayAct(r)
	act := &page.Act{Caller: caller, State: on.LifecycleState()}
	if refusal, ok := errors.AsType[*api.Refusal](err); ok {
		act.Why = refusal.Detail
		if _, missing := bearer(r); refusal.Type == wire.ActionsOff && missing == "" {
			act.Why = "the token that the browser sends has not the scope write, or nothing checks it: enter one that reads and writes"
		}
		return act
	}
	name, subject := values.Get("act"), values.Get("subject")
	if name == "" {
		return act
	}
	if _, _, err = h.actionOf(w, name, subject); err == nil {
		act.Ask = &page.Ask{Kind: name, Subject: subject}
	}
	act.Refusal, _ = errors.AsType[*api.Refusal](err)
	return act
}
