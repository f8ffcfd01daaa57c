package observe_test

import (
	"testing"

	"github.com/bulwark-go/bulwark/observe"
	"github.com/stretchr/testify/require"
)

func TestKindValidate(t *testing.T) {
	ok := observe.Kind{
		Component: "http_server", Action: "request", Amount: "bytes", Role: observe.Consumer, Form: observe.Instant,
		StartLabels: []string{"method", "route"}, EndLabels: []string{"a", "b2", "c", "d"},
	}
	require.NoError(t, ok.Validate())
	require.ErrorContains(t, (*observe.Kind)(nil).Validate(), "Kind is nil")

	for want, spoil := range map[string]func(*observe.Kind){
		`Component "" is not snake_case`:                 func(k *observe.Kind) { k.Component = "" },
		`Component "HTTP" is not snake_case`:             func(k *observe.Kind) { k.Component = "HTTP" },
		`Action "re quest" is not snake_case`:            func(k *observe.Kind) { k.Action = "re quest" },
		`Action "request_" is not snake_case`:            func(k *observe.Kind) { k.Action = "request_" },
		`Action "a__b" is not snake_case`:                func(k *observe.Kind) { k.Action = "a__b" },
		`Amount "1st" is not snake_case`:                 func(k *observe.Kind) { k.Amount = "1st" },
		`Role 5 is unknown`:                              func(k *observe.Kind) { k.Role = observe.Consumer + 1 },
		`Form 2 is unknown`:                              func(k *observe.Kind) { k.Form = observe.Instant + 1 },
		`StartLabels "用户" is not snake_case`:             func(k *observe.Kind) { k.StartLabels = []string{"用户"} },
		`StartLabels: "method" appears twice`:            func(k *observe.Kind) { k.StartLabels = []string{"method", "method"} },
		`EndLabels has 5 labels, at most 4 fit`:          func(k *observe.Kind) { k.EndLabels = []string{"a", "b", "c", "d", "e"} },
		`EndLabels: "method" is a start label already`:   func(k *observe.Kind) { k.EndLabels = []string{"method"} },
		`EndLabels: "outcome" is reserved for backends`:  func(k *observe.Kind) { k.EndLabels = []string{"outcome"} },
		`StartLabels: "le" is reserved for backends`:     func(k *observe.Kind) { k.StartLabels = []string{"le"} },
		`EndLabels: "quantile" is reserved for backends`: func(k *observe.Kind) { k.EndLabels = []string{"quantile"} },
	} {
		bad := ok
		spoil(&bad)
		require.ErrorContains(t, bad.Validate(), want)
	}
}

func TestKindValidateJoinsViolations(t *testing.T) {
	err := (&observe.Kind{Component: "A", Action: "B", Role: 9}).Validate()
	for _, part := range []string{"Component", "Action", "Role 9"} {
		require.ErrorContains(t, err, part)
	}
}

func TestGaugeValidate(t *testing.T) {
	ok := observe.Gauge{Component: "breaker", Name: "state", Labels: []string{"name"}}
	require.NoError(t, ok.Validate())
	require.NoError(t, (&observe.Gauge{Component: "pool", Name: "waits_total", Cumulative: true}).Validate())
	require.ErrorContains(t, (*observe.Gauge)(nil).Validate(), "Gauge is nil")

	for want, bad := range map[string]observe.Gauge{
		`Component "Breaker" is not snake_case`:                          {Component: "Breaker", Name: "state"},
		`Name "" is not snake_case`:                                      {Component: "breaker"},
		`Labels: "a" appears twice`:                                      {Component: "breaker", Name: "state", Labels: []string{"a", "a"}},
		`Labels has 5 labels`:                                            {Component: "breaker", Name: "state", Labels: []string{"a", "b", "c", "d", "e"}},
		`Name "waits_total": a name ends in _total exactly when`:         {Component: "pool", Name: "waits_total"},
		`Name "waits": a name ends in _total exactly when Cumulative is`: {Component: "pool", Name: "waits", Cumulative: true},
	} {
		require.ErrorContains(t, bad.Validate(), want)
	}
}
