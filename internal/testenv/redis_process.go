package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisProcess is a redis-server that writes every command to its log before it
// answers, so that a kill loses nothing.
type redisProcess struct {
	program, addr, dir string
	running            *exec.Cmd
	output             bytes.Buffer
}

func startRedisProcess(t testing.TB, program string) *redisProcess {
	t.Helper()
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p := &redisProcess{program: program, addr: addr, dir: t.TempDir()}
	t.Cleanup(func() { _ = p.Stop() })
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

func (p *redisProcess) Addr() string { return p.addr }

func (p *redisProcess) Start() error {
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		return err
	}
	p.output.Reset()
	cmd := exec.Command(p.program, "--bind", host, "--port", port, "--dir", p.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		return err
	}
	p.running = cmd
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.await(ctx); err != nil {
		return errors.Join(fmt.Errorf("redis-server on %s: %w", p.addr, err), p.Stop(), errors.New(p.output.String()))
	}
	return nil
}

// Stop kills the process as a crash would.
func (p *redisProcess) Stop() error {
	if p.running == nil {
		return nil
	}
	if err := p.running.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	_ = p.running.Wait() // tells that it was killed, which is known
	p.running = nil
	return nil
}

func (p *redisProcess) Clear() error {
	return os.RemoveAll(filepath.Join(p.dir, "appendonlydir"))
}

// await waits until the server answers, which it does not while it still loads.
func (p *redisProcess) await(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: p.addr})
	defer func() { _ = client.Close() }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-again.C:
		}
	}
}
