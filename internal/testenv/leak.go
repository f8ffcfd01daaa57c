package testenv

import "go.uber.org/goleak"

// LeakOptions are for goleak.VerifyTestMain where Kafka is tested: they leave out
// the one goroutine that sarama's metrics library starts per process and cannot
// stop, the one that sleeps for ten seconds after a sarama producer has failed to
// find a leader three times, and those that go on looking for a group's coordinator,
// pause by pause, after their client was closed.
func LeakOptions() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"),
		goleak.IgnoreAnyFunction("github.com/IBM/sarama.(*client).findCoordinator.func1"),
	}
}
