package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// launch runs an attack until the context ends. With modest set the process of the attack runs only while a
// processor has nothing else to do (SCHED_IDLE): what the members need they get, as if the attackers were on
// machines of their own. The machine must be idle for that.
func launch(ctx context.Context, t *testing.T, a attack, v victims, modest bool) {
	cmd := exec.Command(os.Args[0])
	if modest {
		cmd = exec.Command("chrt", "--idle", "0", os.Args[0])
	}
	cmd.Env = append(os.Environ(), attackEnv+"="+a.name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if !assert.NoError(t, err) || !assert.NoError(t, cmd.Start()) {
		return
	}
	assert.NoError(t, json.NewEncoder(in).Encode(v))
	<-ctx.Done()
	assert.NoError(t, in.Close())
	assert.NoError(t, cmd.Wait())
}

// runAttack attacks the members that its standard input names, until the input ends.
func runAttack(name string) error {
	at := slices.IndexFunc(attacks, func(a attack) bool { return a.name == name })
	if at < 0 {
		return fmt.Errorf("there is no attack %q", name)
	}
	var v victims
	if err := json.NewDecoder(os.Stdin).Decode(&v); err != nil {
		return err
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		end()
	}()
	attacks[at].run(ctx, v)
	return nil
}
