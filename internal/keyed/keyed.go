// Package keyed holds state per key with a hard cap, for keys that an attacker
// may choose. [Registry] keeps one long-lived value per key, such as a circuit
// breaker; [Table] keeps small state inline, such as a token bucket's, for
// millions of keys.
//
// Both evict only what is idle: a value whose loss changes nothing, because a
// fresh one would behave the same. When nothing is idle, Registry refuses new
// keys, and Table refuses them or evicts the least busy, as its owner chose.
package keyed
