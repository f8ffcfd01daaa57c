package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/internal/events"
	"github.com/bulwark-go/bulwark/logger"
)

// steerConsumer sends a button of the first page, and returns the status.
func (i *instance) steerConsumer(t *testing.T, token, group, do string) int {
	t.Helper()
	form := url.Values{"group": {group}, "do": {do}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL()+"/console/consumers", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

var figure = regexp.MustCompile(`data-(lag|dead)>(\d+)<`)

// figures are what the first page tells of the consumer of read events.
func (i *instance) figures(t *testing.T) (state, lag, dead string) {
	t.Helper()
	status, page := get(t, i.URL()+"/console")
	require.Equal(t, http.StatusOK, status)
	_, card, found := strings.Cut(page, "data-consumer=")
	require.True(t, found)
	card, _, _ = strings.Cut(card, "</li>")
	for _, m := range figure.FindAllStringSubmatch(card, -1) {
		if m[1] == "lag" {
			lag = m[2]
		} else {
			dead = m[2]
		}
	}
	_, state, _ = strings.Cut(card, `class="state">`)
	state, _, _ = strings.Cut(state, "<")
	return state, lag, dead
}

// The page shows how far the counting of readings is behind and what was put aside;
// who has the token pauses it.
func TestTheConsoleShowsAndPausesTheConsumer(t *testing.T) {
	cfg := testConfig(t)
	cfg.Console.Token = logger.NewSecret(consoleToken)
	cfg.Interactive.Reads.LagInterval = 100 * time.Millisecond
	k := onBrokers(t, &cfg)
	i := start(t, cfg)
	group := k.names.Of(events.GroupInteractive)
	is := func(state, lag, dead string) {
		t.Helper()
		var seen string
		eventually(t, func() bool {
			s, l, d := i.figures(t)
			seen = fmt.Sprint(s, ", lag ", l, ", put aside ", d)
			return s == state && l == lag && d == dead
		}, "the page should say "+fmt.Sprint(state, ", lag ", lag, ", put aside ", dead)+"; "+seen)
	}
	is("consumes", "0", "0")
	k.produce(t, events.TopicRead, "a", `{`)
	is("consumes", "0", "1")

	require.Equal(t, http.StatusForbidden, i.steerConsumer(t, "", group, "pause"))
	require.NotEqual(t, http.StatusOK, i.steerConsumer(t, consoleToken, "nobody's", "pause"))
	require.Equal(t, http.StatusOK, i.steerConsumer(t, consoleToken, group, "pause"))
	ann := i.login(t, "ann@example.com").access()
	id := i.publish(t, ann, 0, "Title", "<p>text</p>").id(t)
	for range 3 {
		i.read(t, ann, id)
	}
	is("paused", "3", "1")
	require.EqualValues(t, 0, i.read(t, "", id).article(t).ReadCnt)

	require.Equal(t, http.StatusOK, i.steerConsumer(t, consoleToken, group, "resume"))
	is("consumes", "0", "1")
	require.EqualValues(t, 4, i.counted(t, id, 4))
}
