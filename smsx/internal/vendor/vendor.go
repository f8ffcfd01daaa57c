// Package vendor holds what the adapters of SMS vendors share: one HTTP call of
// which it is known whether the request may have left.
package vendor

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
)

// maxAnswer bounds an answer; vendors send a few hundred bytes for each number.
const maxAnswer = 1 << 20

// Client returns a copy of c that follows no redirects, as one would send the
// message again; nil gets a client of its own with a timeout.
func Client(c *http.Client) *http.Client {
	copied := http.Client{Timeout: 10 * time.Second}
	if c != nil {
		copied = *c
	}
	copied.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &copied
}

// Do sends req. On an error the outcome is Rejected when there never was a
// connection, so that nothing can have left, and else Unknown.
func Do(c *http.Client, req *http.Request) (body []byte, o smsx.Outcome, err error) {
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	resp, err := c.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		if !connected.Load() {
			o = smsx.Rejected
		}
		return nil, o, hideURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, smsx.Unknown, fmt.Errorf("reading the answer: %w", err)
	}
	return body, smsx.Unknown, nil
}

// hideURL drops the URL that net/http puts into its errors: it may hold numbers.
func hideURL(err error) error {
	type wrapper interface{ Unwrap() error }
	var w wrapper
	if errors.As(err, &w) && w.Unwrap() != nil {
		return fmt.Errorf("calling the vendor: %w", w.Unwrap())
	}
	return err
}

// Batches sends m by at most size numbers at a time, of which apart says the same, and
// puts the receipts together; a nil apart keeps all together. Batches after one that
// got no answer are not sent: their numbers are Rejected.
func Batches(m smsx.Message, provider string, size int, apart func(smsx.Number) bool, send func(smsx.Message) ([]smsx.Result, error)) (smsx.Receipt, error) {
	r := smsx.Receipt{Results: make([]smsx.Result, len(m.Numbers))}
	var cause error
	for _, places := range batches(m.Numbers, size, apart) {
		part := m
		part.Numbers = make([]smsx.Number, len(places))
		for i, place := range places {
			part.Numbers[i] = m.Numbers[place]
		}
		results := smsx.Same(part, smsx.Result{Outcome: smsx.Rejected, Provider: provider}).Results
		if cause == nil {
			results, cause = send(part)
		}
		for i, place := range places {
			r.Results[place] = results[i]
		}
	}
	return r, r.Err(cause)
}

// batches returns the places of the numbers that go together.
func batches(numbers []smsx.Number, size int, apart func(smsx.Number) bool) [][]int {
	var groups [2][]int
	for i, n := range numbers {
		group := 0
		if apart != nil && apart(n) {
			group = 1
		}
		groups[group] = append(groups[group], i)
	}
	var all [][]int
	for _, places := range groups {
		all = slices.AppendSeq(all, slices.Chunk(places, size))
	}
	return all
}

// Endpoint returns scheme and host of an endpoint that is nothing else, under the
// package's name for the error.
func Endpoint(name, endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return nil, fmt.Errorf("%s: Endpoint %q: must be scheme and host", name, endpoint)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}
