// Package archtest holds the rules about how this repository is built, as tests:
// who may import whom, what must be documented, and what must not be in the tree.
// DESIGN.md says why.
//
// A rule is a function from a [Tree] to violations. When one gets in the way of
// better code, change the rule and say why, next to it.
package archtest
