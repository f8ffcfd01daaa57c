// Package simulate holds the simulations behind the figures and plots in docs: of
// judges of a provider that falls ill, of a service that is offered more than it can
// do, and of an attack on one-time codes. They run the library's own code in virtual
// time, with chance from a seed, so that the same figures come out each time.
package simulate
