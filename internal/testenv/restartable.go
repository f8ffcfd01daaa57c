package testenv

import (
	"testing"

	"github.com/bulwark-go/bulwark/internal/embedded"
)

// Node is a server that a test can kill and bring back on the same address.
// Failing to is the end of the test.
type Node struct {
	t      testing.TB
	server *embedded.Redis
}

// RestartableRedis returns a running Redis of the test's own that can be killed.
func RestartableRedis(t testing.TB) *Node {
	t.Helper()
	return &Node{t: t, server: EmbeddedRedis(t)}
}

// Addr is the node's host:port.
func (n *Node) Addr() string { return n.server.Addr() }

// Stop kills the node: its connections drop and new ones are refused.
func (n *Node) Stop() {
	n.t.Helper()
	if err := n.server.Stop(); err != nil {
		n.t.Fatal(err)
	}
}

// Start brings the node back with the data it had.
func (n *Node) Start() {
	n.t.Helper()
	if err := n.server.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// StartEmpty brings the node back without its data.
func (n *Node) StartEmpty() {
	n.t.Helper()
	n.server.Clear()
	n.Start()
}
