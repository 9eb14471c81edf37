package membership

import (
	"errors"
	"strings"

	"github.com/clusterkit/clusterkit/membership/internal/guard"
)

const (
	detailOtherCluster = "check the seed address, and ClusterName on both sides"
	detailNoKey        = "this member has no key and the cluster is encrypted"
	detailPlain        = "the cluster is not encrypted and this member has a key"
	detailTheirKey     = "no usable key in common: this member does not have the key that the other one encrypts with"
	detailOurKey       = "no usable key in common: the other member does not have the key that this one encrypts with"
)

// memberlist has no error values for the texts below. The answering member sends the text of its
// own error back, if the caller can read it. That text then begins with remoteErrorText.
const remoteErrorText = "remote error: "

var joinErrorTexts = []struct {
	text   string
	reason error
	detail string
}{
	// The remote texts come first: they contain the local ones, and mean the opposite.
	{remoteErrorText + "remote state is encrypted and encryption is not configured", ErrGossipKey, detailPlain},
	{remoteErrorText + "encryption is configured but remote state is not encrypted", ErrGossipKey, detailNoKey},
	{remoteErrorText + "no installed keys could decrypt the message", ErrGossipKey, detailOurKey},
	{"remote state is encrypted and encryption is not configured", ErrGossipKey, detailNoKey},
	{"encryption is configured but remote state is not encrypted", ErrGossipKey, detailPlain},
	{"no installed keys could decrypt the message", ErrGossipKey, detailTheirKey},
	// The text of the guard's refusal, after memberlist has turned the error into text.
	{ErrClusterName.Error(), ErrClusterName, detailOtherCluster},
}

// classifyJoinError returns a *RefusedError, often without its Seed, when err says that the two
// sides do not belong to one cluster. Otherwise it returns err itself. The other side may have
// sent the text. The result may therefore be used only for messages, and not for security.
func classifyJoinError(err error) error {
	if err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refused
	}
	if refusal, ok := errors.AsType[*guard.Refusal](err); ok {
		detail := refusal.Detail
		if errors.Is(refusal, ErrClusterName) {
			detail = detailOtherCluster
		}
		return &RefusedError{Seed: refusal.Addr, Reason: refusal.Reason, Detail: detail}
	}
	text := err.Error()
	for _, known := range joinErrorTexts {
		if strings.Contains(text, known.text) {
			return &RefusedError{Reason: known.reason, Detail: known.detail}
		}
	}
	return err
}
