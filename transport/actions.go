package transport

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/clusterkit/clusterkit/transport/api"
	"github.com/clusterkit/clusterkit/transport/internal/wire"
)

// actor is a cluster that can be acted on, as those of package cluster can. Every method
// may be called again without harm.
type actor interface {
	// LifecycleState returns the state of this member, newer than that of the view.
	LifecycleState() string
	// Drain and Resume may block until the context ends.
	Drain(ctx context.Context) error
	Resume(ctx context.Context) error
	// Forget and AcceptLoss report whether they changed something.
	Forget(id string) bool
	AcceptLoss(partition int) bool
	// The methods for keys report whether they changed something. A key has 16, 24 or 32
	// bytes.
	InstallKey(key []byte) (changed bool, err error)
	UseKey(key []byte) (changed bool, err error)
	RemoveKey(key []byte) (changed bool, err error)
}

// actionWait is how long a request for an action may take, beside reading its body.
const actionWait = 30 * time.Second

// actionRequest is the body of a request for an action. Each action reads some fields.
type actionRequest struct {
	member, id, key string
	partition       *int
	rawKey          []byte // key, decoded
}

// fields returns the fields of the given names, for readObject.
func (q *actionRequest) fields(names []string) map[string]any {
	all := map[string]any{"member": &q.member, "id": &q.id, "key": &q.key, "partition": &q.partition}
	for name := range all {
		if !slices.Contains(names, name) {
			delete(all, name)
		}
	}
	return all
}

// outcome is what an action did.
type outcome struct {
	changed bool
	detail  string
}

// action is a route that changes something.
type action struct {
	name   string
	fields []string // the fields of the body; all must be given
	do     func(ctx context.Context, on actor, q *actionRequest) (outcome, error)
}

// The actions that the status page offers too.
var (
	drainAction      = action{"drain", []string{"member"}, between((actor).Drain)}
	resumeAction     = action{"resume", []string{"member"}, between((actor).Resume)}
	forgetAction     = action{"forget", []string{"id"}, forget}
	acceptLossAction = action{"accept-loss", []string{"member", "partition"}, acceptLoss}
)

// actionEntries are the routes of actions. A cluster that cannot be acted on has none.
func (h *Handler) actionEntries() []entry {
	on, ok := h.cluster.(actor)
	if !ok {
		return nil
	}
	key := []string{"member", "key"}
	route := func(path string, a action) entry { return entry{http.MethodPost, path, h.act(on, a)} }
	return []entry{
		route("/v1/drain", drainAction),
		route("/v1/resume", resumeAction),
		route("/v1/forget", forgetAction),
		route("/v1/accept-loss", acceptLossAction),
		route("/v1/keys/install", action{"install-key", key, withKey((actor).InstallKey, "the key is installed already")}),
		route("/v1/keys/use", action{"use-key", key, withKey((actor).UseKey, "the key is in use already")}),
		route("/v1/keys/remove", action{"remove-key", key, withKey((actor).RemoveKey, "the key is not installed")}),
	}
}

// between makes an action of a method that changes the state of this member.
func between(method func(actor, context.Context) error) func(context.Context, actor, *actionRequest) (outcome, error) {
	return func(ctx context.Context, on actor, _ *actionRequest) (outcome, error) {
		before := on.LifecycleState()
		err := method(on, ctx)
		after := on.LifecycleState()
		if before == after {
			return outcome{detail: "the member is " + after + " already"}, err
		}
		return outcome{changed: true}, err
	}
}

func forget(_ context.Context, on actor, q *actionRequest) (outcome, error) {
	if on.Forget(q.id) {
		return outcome{changed: true}, nil
	}
	return outcome{detail: wire.Brief(q.id) + " does not count as lost here"}, nil
}

func acceptLoss(_ context.Context, on actor, q *actionRequest) (outcome, error) {
	if on.AcceptLoss(*q.partition) {
		return outcome{changed: true}, nil
	}
	return outcome{detail: "this member does not list partition " + strconv.Itoa(*q.partition) + " as lost"}, nil
}

// withKey makes an action of a method for keys. The text says why it changed nothing.
func withKey(method func(actor, []byte) (bool, error), same string) func(context.Context, actor, *actionRequest) (outcome, error) {
	return func(_ context.Context, on actor, q *actionRequest) (outcome, error) {
		changed, err := method(on, q.rawKey)
		if changed {
			return outcome{changed: true}, err
		}
		return outcome{detail: same}, err
	}
}

// act serves an action.
func (h *Handler) act(on actor, a action) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		caller, err := mayAct(r)
		if err != nil {
			return err
		}
		q, err := h.readAction(w, r, a)
		if err != nil {
			return err
		}
		result, err := h.perform(w, r, on, a, q, caller)
		if err != nil {
			return err
		}
		return wire.WriteJSON(w, r, http.StatusOK, result)
	}
}

// perform does an action. It logs the caller before the action, and then the outcome. The
// error is a refusal.
func (h *Handler) perform(w http.ResponseWriter, r *http.Request, on actor, a action, q *actionRequest, caller string) (api.ActionResult, error) {
	self := h.cluster.View().NodeID
	if q.member != self && q.member != "" {
		p := wire.New(wire.ActionFailed, http.StatusConflict, "this is member %s, and the request is for %s: send it there", wire.Brief(self), wire.Brief(q.member))
		p.Parameter = "member"
		return api.ActionResult{}, p
	}
	logger := h.logger.With("action", a.name, "caller", caller, "addr", r.RemoteAddr)
	switch {
	case q.id != "":
		logger = logger.With("id", wire.Cut(q.id))
	case q.partition != nil:
		logger = logger.With("partition", *q.partition)
	}
	logger.InfoContext(r.Context(), "a caller asks for an action")
	extend(w, actionWait)
	ctx, end := h.whileServing(r.Context())
	defer end()
	did, err := a.do(ctx, on, q)
	result := api.ActionResult{Action: a.name, NodeID: self, State: on.LifecycleState(), Changed: did.changed, Done: err == nil, Detail: did.detail}
	switch {
	case err == nil:
		logger.InfoContext(r.Context(), "the action is done", "changed", did.changed)
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		logger.InfoContext(r.Context(), "the action has not ended within the request", "error", err)
		result.Detail = wire.Cut(err.Error())
	default:
		logger.WarnContext(r.Context(), "the action has failed", "error", err)
		return api.ActionResult{}, wire.New(wire.ActionFailed, http.StatusConflict, "%s", wire.Cut(err.Error()))
	}
	return result, nil
}

// mayAct returns the name of the caller, or a refusal of a request that may not act.
func mayAct(r *http.Request) (caller string, err error) {
	caller = callerOf(r)
	switch {
	case caller == "":
		return "", wire.New(wire.ActionsOff, http.StatusForbidden, "actions are off: configure tokens or client certificates, and send the request through the guard")
	case !isPrivate(r):
		return "", wire.New(wire.InClear, http.StatusForbidden, "an action is refused over a connection in clear from another host: use TLS, or send the request from the member's host to a loopback address")
	default:
		return caller, nil
	}
}

// readAction reads and checks the body. No error shows the key.
func (h *Handler) readAction(w http.ResponseWriter, r *http.Request, a action) (*actionRequest, error) {
	q := new(actionRequest)
	lease := h.lease(r)
	defer lease.end()
	if err := h.readObject(w, r, lease, 1, q.fields(a.fields)); err != nil {
		return nil, err
	}
	for name, missing := range map[string]bool{"member": q.member == "", "id": q.id == "", "key": q.key == "", "partition": q.partition == nil} {
		if missing && slices.Contains(a.fields, name) {
			return nil, fieldProblem(name, "field %q is missing or empty", name)
		}
	}
	if q.key != "" {
		var err error
		if q.rawKey, err = hex.DecodeString(q.key); err != nil || !slices.Contains([]int{16, 24, 32}, len(q.rawKey)) {
			return nil, fieldProblem("key", "the key has %d characters: must be 32, 48 or 64 hexadecimal digits", len(q.key))
		}
	}
	return q, h.checkPartition(w, q.partition)
}

// checkPartition returns the refusal of a partition that the ring does not have. Nil is no
// partition.
func (h *Handler) checkPartition(w http.ResponseWriter, partition *int) error {
	if partition == nil {
		return nil
	}
	view, err := h.serving(w)
	if err == nil && !hasPartition(view, *partition) {
		err = unknownPartition(view, strconv.Itoa(*partition))
	}
	return err
}

// whileServing returns a context that ends with the given one, after actionWait, and when
// the member or the server stops. The caller must call the function at the end.
func (h *Handler) whileServing(ctx context.Context) (context.Context, func()) {
	_, stopping, closing := h.changes(ctx)
	ctx, cancel := context.WithTimeout(ctx, actionWait)
	var wait sync.WaitGroup
	wait.Go(func() {
		select {
		case <-stopping:
		case <-closing:
		case <-ctx.Done():
		}
		cancel()
	})
	return ctx, func() { cancel(); wait.Wait() }
}
