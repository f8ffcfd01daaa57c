package async

// WithHook calls f at the named steps: "accepting", "stored", "claimed",
// "submitted", "sent", "finished" and "checked".
func WithHook(f func(step string)) Option { return optionFunc(func(o *options) { o.hook = f }) }

// MaxBatch bounds one use of the store.
const MaxBatch = maxBatch
