package logger

import "slices"

// Nop returns a Core that is never enabled.
func Nop() Core { return nop{} }

type nop struct{}

func (nop) Enabled(Level) bool   { return false }
func (nop) With([]Field) Core    { return nop{} }
func (nop) Write(Entry, []Field) {}

// Tee returns a Core that gives each line to every one of cores that is enabled for
// its level.
func Tee(cores ...Core) Core { return tee(slices.Clone(cores)) }

type tee []Core

func (t tee) Enabled(l Level) bool {
	for _, c := range t {
		if c.Enabled(l) {
			return true
		}
	}
	return false
}

func (t tee) With(fields []Field) Core {
	out := make(tee, len(t))
	for i, c := range t {
		out[i] = c.With(fields)
	}
	return out
}

func (t tee) Write(e Entry, fields []Field) {
	for _, c := range t {
		if c.Enabled(e.Level) {
			c.Write(e, fields)
		}
	}
}
