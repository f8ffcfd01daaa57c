package redislimit_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/ratelimit"
)

// The environment of a process that plays a part in a test: this test binary,
// started again.
const (
	envRole  = "BULWARK_TEST_ROLE"
	envRedis = "BULWARK_TEST_ROLE_REDIS"
)

// act plays a role until standard input ends or the process is killed.
func act(role string) int {
	roles := map[string]func(addr string) error{
		"holder": hold, "asker": func(addr string) error { return ask(addr) },
		"patient asker": func(addr string) error { return ask(addr, ratelimit.WithBudget(time.Second)) },
	}
	run, ok := roles[role]
	if !ok {
		fmt.Fprintln(os.Stderr, "unknown role", role)
		return 2
	}
	if err := run(os.Getenv(envRedis)); err != nil {
		fmt.Fprintln(os.Stderr, role, err)
		return 1
	}
	return 0
}

// process is another process of this binary.
type process struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func startProcess(t *testing.T, role, redis string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envRole+"="+role, envRedis+"="+redis)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(p.kill)
	return p
}

// kill ends the process as a crash would; it waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	_ = p.cmd.Wait()         // tells that it was killed
}
