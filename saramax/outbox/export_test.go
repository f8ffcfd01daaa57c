package outbox

// WithHook calls f at each step of a relay: "claimed", "published", "settled",
// "renewed".
func WithHook(f func(step string)) Option { return optionFunc(func(o *options) { o.hook = f }) }
