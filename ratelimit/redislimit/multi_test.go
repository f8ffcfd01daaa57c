package redislimit_test

import "github.com/bulwark-go/bulwark/ratelimit"

func named(name string, rate ratelimit.Rate, burst int64) ratelimit.Limit {
	return ratelimit.Limit{Name: name, Quota: ratelimit.Quota{Rate: rate, Burst: burst}}
}
