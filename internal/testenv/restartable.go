package testenv

import (
	"os"
	"os/exec"
	"testing"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

// Node is a server that a test can kill and bring back on the same address. What
// fails there is the end of the test. Its methods are for the test's goroutine.
type Node struct {
	t       testing.TB
	backend backend
}

type backend interface {
	Addr() string
	Stop() error
	Start() error
	Clear() error
}

// RestartableRedis returns a running Redis of the test's own that can be killed:
// a redis-server process where [EnvRedis] asks for real servers and the program
// is installed, else an in-process one.
func RestartableRedis(t testing.TB) *Node {
	t.Helper()
	if path, err := exec.LookPath("redis-server"); err == nil && os.Getenv(EnvRedis) != "" {
		return &Node{t: t, backend: startRedisProcess(t, path)}
	}
	return &Node{t: t, backend: embeddedNode{EmbeddedRedis(t)}}
}

// Addr is the node's host:port.
func (n *Node) Addr() string { return n.backend.Addr() }

// Stop kills the node: its connections drop and new ones are refused.
func (n *Node) Stop() {
	n.t.Helper()
	if err := n.backend.Stop(); err != nil {
		n.t.Fatal(err)
	}
}

// Start brings a stopped node back with the data it had.
func (n *Node) Start() {
	n.t.Helper()
	if err := n.backend.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// StartEmpty brings a stopped node back without its data.
func (n *Node) StartEmpty() {
	n.t.Helper()
	if err := n.backend.Clear(); err != nil {
		n.t.Fatal(err)
	}
	n.Start()
}

// embeddedNode fits an in-process server to backend.
type embeddedNode struct{ *embedded.Redis }

func (n embeddedNode) Clear() error {
	n.Redis.Clear()
	return nil
}
