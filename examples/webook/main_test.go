package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The test binary is the program, too, when it is told so: signals and exit codes
// can only be seen from outside.
const beWebook = "WEBOOK_TEST_BE_WEBOOK"

func TestMain(m *testing.M) {
	if os.Getenv(beWebook) == "1" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

type process struct {
	*exec.Cmd
	out  *bufio.Reader
	err  bytes.Buffer
	temp string
	wait func() error
}

// launch starts the program; it ends with the test at the latest.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	p := &process{Cmd: exec.CommandContext(ctx, self, args...), temp: t.TempDir()}
	p.Env = append(os.Environ(), beWebook+"=1", "TMPDIR="+p.temp)
	p.Stderr = &p.err
	pipe, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	p.out = bufio.NewReader(pipe)
	p.wait = sync.OnceValue(func() error {
		_, _ = io.Copy(io.Discard, p.out) // Wait closes the pipe
		return p.Wait()
	})
	t.Cleanup(func() { cancel(); _ = p.wait() })
	return p
}

// line returns the first line of the output with the prefix.
func (p *process) line(t *testing.T, prefix string) string {
	t.Helper()
	for {
		text, err := p.out.ReadString('\n')
		require.NoError(t, err, "no line %q; standard error: %s", prefix, &p.err)
		if text = strings.TrimSpace(text); strings.HasPrefix(text, prefix) {
			return text
		}
	}
}

func freePorts(t *testing.T) string {
	t.Helper()
	return yaml(t, "http:\n  addr: 127.0.0.1:0\nmetrics:\n  addr: 127.0.0.1:0\nusers:\n  bcryptCost: 4\nlimits:\n  timeout: 1s\n")
}

func yaml(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "webook.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (p *process) leftovers(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.temp, "webook-*"))
	require.NoError(t, err)
	return found
}

func TestASignalEndsTheProgramInGoodOrder(t *testing.T) {
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			p := launch(t, "-config", freePorts(t))
			require.Regexp(t, `^app +http://127\.0\.0\.1:\d+/hello$`, p.line(t, "app"))
			require.Regexp(t, `^console +http://127\.0\.0\.1:\d+/console$`, p.line(t, "console"))
			require.Regexp(t, `^metrics +http://127\.0\.0\.1:\d+/metrics$`, p.line(t, "metrics"))
			require.Regexp(t, `^login +demo@example\.com +\S+$`, p.line(t, "login"))
			require.NotEmpty(t, p.leftovers(t))
			require.NoError(t, p.Process.Signal(signal))
			require.NoError(t, p.wait(), "exit code 0; standard error: %s", &p.err)
			require.Empty(t, p.leftovers(t))
		})
	}
}

func TestASecondSignalEndsTheProgramAtOnce(t *testing.T) {
	p := launch(t, "-config", freePorts(t))
	addr := strings.TrimSuffix(strings.TrimPrefix(strings.Fields(p.line(t, "app"))[1], "http://"), "/hello")
	// A request whose body never comes keeps the first signal waiting.
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /users/signup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
	require.NoError(t, err)
	reply, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, reply, "100 Continue", "the handler waits for the body")

	require.NoError(t, p.Process.Signal(syscall.SIGINT))
	begin := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- p.wait() }()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for running := true; running; {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			require.True(t, exit.Sys().(syscall.WaitStatus).Signaled())
			running = false
		case <-again.C:
			_ = p.Process.Signal(syscall.SIGINT) // it may have ended by now
		}
	}
	require.Less(t, time.Since(begin), 5*time.Second, "the drain would have waited 10 s")
}

func TestWhatIsWrongIsSaidInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().String()
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"unknown flag":     {[]string{"-nope"}, 2, []string{"-nope"}},
		"unknown argument": {[]string{"serve"}, 2, []string{`"serve"`}},
		"no such file":     {[]string{"-config", "/no/such.yaml"}, 2, []string{"/no/such.yaml"}},
		"unknown key":      {[]string{"-config", yaml(t, "htpp:\n  addr: x\n")}, 2, []string{"unknown key htpp.addr"}},
		"bad values":       {[]string{"-config", yaml(t, "http:\n  addr: x\nlog:\n  level: loud\n")}, 2, []string{"http.addr", "log.level"}},
		"taken port":       {[]string{"-config", yaml(t, "http:\n  addr: "+port+"\n")}, 1, []string{"http.addr", port, "in use"}},
		"no redis":         {[]string{"-config", yaml(t, "http:\n  addr: 127.0.0.1:0\nmetrics:\n  addr: 127.0.0.1:0\nredis:\n  addr: 127.0.0.1:1\n")}, 1, []string{"redis", "127.0.0.1:1", "refused"}},
		"no postgres":      {[]string{"-config", yaml(t, "http:\n  addr: 127.0.0.1:0\nmetrics:\n  addr: 127.0.0.1:0\ndb:\n  driver: postgres\n  dsn: postgres://u@127.0.0.1:1/x\n")}, 1, []string{"sql", "127.0.0.1:1", "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, c.args...)
			var exit *exec.ExitError
			require.ErrorAs(t, p.wait(), &exit)
			require.Equal(t, c.code, exit.ExitCode())
			said := p.err.String()
			require.Equal(t, 1, strings.Count(said, "\n"), said)
			require.True(t, strings.HasPrefix(said, "webook: "), said)
			for _, want := range c.want {
				require.Contains(t, said, want)
			}
			require.Empty(t, p.leftovers(t))
		})
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	p := launch(t, "-h")
	require.NoError(t, p.wait())
	require.Contains(t, p.err.String(), "-config file")
}
