package app_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector that keeps what it gets.
type spans struct {
	mu   sync.Mutex
	kept []*trace.Span
}

func collect(t *testing.T) (*spans, string) {
	t.Helper()
	s := &spans{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &req) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range req.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			s.kept = append(s.kept, scope.Spans...)
		}
	}
}

// where returns the spans that match.
func (s *spans) where(match func(*trace.Span) bool) []*trace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.kept), func(one *trace.Span) bool { return !match(one) })
}

// under returns those of the trace that have the name, and parent above them at some
// height.
func (s *spans) under(parent *trace.Span, name string) []*trace.Span {
	byID := map[string]*trace.Span{}
	for _, one := range s.where(func(one *trace.Span) bool { return bytes.Equal(one.TraceId, parent.TraceId) }) {
		byID[string(one.SpanId)] = one
	}
	return s.where(func(one *trace.Span) bool {
		if one.Name != name || !bytes.Equal(one.TraceId, parent.TraceId) {
			return false
		}
		for up := byID[string(one.ParentSpanId)]; up != nil; up = byID[string(up.ParentSpanId)] {
			if up == parent {
				return true
			}
		}
		return false
	})
}

// From the request of who read, over the event, to the statement that counts: a batch
// is a trace of its own, joined by links to all that it counts.
func TestOneReadingCanBeFollowedFromTheRequestToTheStatement(t *testing.T) {
	cfg := testConfig(t)
	kept, url := collect(t)
	cfg.Trace.OTLP = url
	i := start(t, cfg)
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	i.counted(t, id, 1)
	require.NoError(t, i.stop()) // which exports all

	named := func(name string) func(*trace.Span) bool {
		return func(one *trace.Span) bool { return one.Name == name }
	}
	requests := kept.where(named("GET /articles/pub/:id"))
	require.NotEmpty(t, requests)
	first := slices.MinFunc(requests, func(a, b *trace.Span) int { return int(int64(a.StartTimeUnixNano) - int64(b.StartTimeUnixNano)) })
	produced := kept.under(first, "saramax produce")
	require.Len(t, produced, 1, "the event is part of the request's trace")
	require.Equal(t, trace.Span_SPAN_KIND_PRODUCER, produced[0].Kind)

	consumed := kept.where(func(one *trace.Span) bool {
		return one.Name == "saramax process" && slices.ContainsFunc(one.Links, func(l *trace.Span_Link) bool {
			return bytes.Equal(l.TraceId, produced[0].TraceId) && bytes.Equal(l.SpanId, produced[0].SpanId)
		})
	})
	require.Len(t, consumed, 1, "one batch is linked to it")
	require.Equal(t, trace.Span_SPAN_KIND_CONSUMER, consumed[0].Kind)
	statements := kept.under(consumed[0], "gorm operation")
	require.NotEmpty(t, statements)
	tables := map[string]bool{}
	for _, one := range statements {
		for _, attribute := range one.Attributes {
			if attribute.Key == "table" {
				tables[attribute.Value.GetStringValue()] = true
			}
		}
	}
	require.Contains(t, tables, "interactives", "the statement that counts is part of the batch's trace")
	require.NotEmpty(t, kept.under(consumed[0], "redis pipeline"), "and so is the cache's")
}
