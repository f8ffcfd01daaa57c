package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/examples/webook/internal/browsertest"
	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

const consoleToken = "a-token-for-the-tests"

// An operator opens the console, unlocks it, makes a rule tight, sees it bite, and
// takes it back: all with the mouse.
func TestAnOperatorChangesARuleInABrowserAndRollsItBack(t *testing.T) {
	browser := browsertest.Start(t)
	cfg := testConfig(t)
	cfg.Limits.Timeout = time.Second // the browser keeps the machine busy
	cfg.Console.Token = logger.NewSecret(consoleToken)
	cfg.Limits.PerAddress = []rules.Rule{
		{Name: "login", Match: rules.Match{Method: "POST /users/login"}, Per: []rules.Field{rules.IP}, Rate: ratelimit.PerMinute(20), Burst: 10},
		perIP("address", ratelimit.PerSecond(100), 200),
	}
	cfg.Limits.PerUser = []rules.Rule{{Name: "user", Per: []rules.Field{rules.User}, Rate: ratelimit.PerSecond(50)}}
	i := start(t, cfg)
	hello := func() int { return i.call(t, http.MethodGet, "/hello", "", "").status }
	require.Equal(t, http.StatusOK, hello())

	p := browser.Page(t)
	p.Size(1200, 900)
	p.Open(i.URL() + "/console")
	p.Wait(`document.querySelector("[data-rule=address]").innerText.includes("100 per second, burst 200")`)
	require.Contains(t, p.Text(".access"), "read only")
	p.Screenshot("console")

	p.Click("#unlock")
	p.Fill("[name=name]", "kim")
	p.Fill("[name=token]", consoleToken)
	p.Screenshot("unlock")
	p.Click("button.primary")
	p.Wait(`document.querySelector(".access").innerText.includes("kim")`)

	p.Click("#edit-address-address")
	p.Fill("#text", `{"name": "address", "per": ["ip"], "rate": {"count": 0, "per": "1h"}}`)
	p.Click("#review-it")
	p.Wait(`document.querySelector("#problem")?.innerText.includes("rate.count")`)
	p.Screenshot("refused")
	p.Fill("#text", `{"name": "address", "per": ["ip"], "rate": {"count": 1, "per": "1h"}, "burst": 1}`)
	p.Fill("#note", "somebody crawls us")
	p.Click("#review-it")
	p.Wait(`document.querySelector("#review")?.innerText.includes("1 per hour, burst 1")`)
	p.Screenshot("review")
	require.Equal(t, http.StatusOK, hello(), "a review changes nothing")
	p.Click("#save")
	p.Wait(`document.querySelector("#saved")`)
	eventually(t, func() bool { return hello() == http.StatusTooManyRequests }, "the new limit bites")

	p.Wait(`parseInt(document.querySelector("[data-rule=address] [data-label=limited]").innerText) > 0`)
	p.Wait(`document.querySelector("[data-instance] .ok")?.innerText === "2"`)
	p.Wait(`document.querySelector("[data-number='2']").innerText.includes("somebody crawls us")`)
	p.Screenshot("set")
	p.Dark(true)
	p.Screenshot("set-dark")
	p.Dark(false)

	// While kim writes, somebody else saves.
	p.Click("#edit-address-address")
	p.Fill("#text", `{"name": "address", "per": ["ip"], "rate": {"count": 5, "per": "1m"}}`)
	require.EqualValues(t, 3, i.save(t, 2, `[{"name": "address", "blocked": true}]`, "1h"))
	p.Click("#review-it")
	p.Wait(`document.querySelector("#problem")?.dataset.code === "stale"`)
	p.Wait(`document.querySelector("#newer").innerText.includes('"blocked": true')`)
	p.Wait(`document.querySelector("#text").value.includes('"count": 5')`)
	p.Screenshot("conflict")
	p.Size(390, 844)
	p.Screenshot("conflict-phone")
	p.Size(1200, 900)

	p.Open(i.URL() + "/console/rules/address")
	p.Screenshot("temporary")
	p.Click("#rollback-1")
	p.Wait(`document.querySelector("[data-revision='4']")`)
	eventually(t, func() bool { return hello() == http.StatusOK }, "the old limit is back")

	p.Size(390, 844)
	p.Screenshot("set-phone")
	p.Open(i.URL() + "/console")
	p.Screenshot("console-phone")
	p.Dark(true)
	p.Screenshot("console-phone-dark")
	var wide bool
	p.Eval(&wide, "document.documentElement.scrollWidth > innerWidth")
	require.False(t, wide, "nothing to scroll sideways for on a phone")
	require.Empty(t, browser.Errors(), "no exception, and nothing that the policy forbids")
}

// An operator makes the vendors ill with the buttons, sees messages wait, makes them
// well, and sees the messages arrive.
func TestAnOperatorMakesVendorsIllAndWatchesMessagesWait(t *testing.T) {
	browser := browsertest.Start(t)
	cfg := testConfig(t)
	cfg.DB = config.DB{} // the demo, with vendors that can be made ill
	cfg.Console.Token = logger.NewSecret(consoleToken)
	cfg.SMS.Backoff, cfg.SMS.Out = 100*time.Millisecond, 500*time.Millisecond
	i := start(t, cfg)

	p := browser.Page(t)
	p.Size(1200, 900)
	p.Open(i.URL() + "/console/unlock?next=/console/messages")
	p.Fill("[name=name]", "kim")
	p.Fill("[name=token]", consoleToken)
	p.Click("button.primary")
	for _, vendor := range []string{"aliyun", "tencent"} {
		p.Wait(`document.querySelector("#fault-` + vendor + `-down") !== null`)
		p.Click("#fault-" + vendor + "-down")
		p.Wait(`document.querySelector("#done")?.innerText.includes("` + vendor + ` is down")`)
	}
	phone := somePhone()
	a := i.askCode(t, phone)
	require.Zero(t, a.Code, a.raw)
	require.Contains(t, a.Msg, "accepted for later")
	p.Wait(`document.querySelector("[data-waiting]").innerText === "1"`)
	p.Wait(`document.querySelector("table.queue [data-label=state]").innerText.match(/queued|leased|submitted/)`)
	p.Screenshot("messages-wait")

	p.Click("#fault-tencent-healthy")
	p.Wait(`document.querySelector("[data-phone='` + phone + `']") !== null`)
	p.Wait(`document.querySelector("[data-waiting]").innerText === "0"`)
	p.Wait(`document.querySelector("[data-state=delivered]").innerText === "1"`)
	p.Screenshot("messages")
	require.Zero(t, i.loginByCode(t, phone, p.Text("[data-phone='"+phone+"'] strong")).Code)
	p.Open(i.URL() + "/console")
	p.Wait(`document.querySelector("[data-provider=tencent]") !== null`)
	p.Size(390, 844)
	p.Open(i.URL() + "/console/messages")
	p.Screenshot("messages-phone")
	p.Dark(true)
	p.Screenshot("messages-phone-dark")
	var wide bool
	p.Eval(&wide, "document.documentElement.scrollWidth > innerWidth")
	require.False(t, wide, "nothing to scroll sideways for on a phone")
	require.Empty(t, browser.Errors(), "no exception, and nothing that the policy forbids")
}

func TestFaultsAndQueueNeedTheToken(t *testing.T) {
	cfg := testConfig(t)
	cfg.DB = config.DB{}
	cfg.Console.Token = logger.NewSecret(consoleToken)
	i := start(t, cfg)
	post := func(path, form, token string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL()+path, strings.NewReader(form))
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
	for path, form := range map[string]string{
		"/console/messages/fault": "vendor=aliyun&fault=down", "/console/messages/mode": "provider=aliyun&mode=drained",
		"/console/messages/queue": "do=pause",
	} {
		require.Equal(t, http.StatusForbidden, post(path, form, ""), path)
		require.Equal(t, http.StatusForbidden, post(path, form, "a-guess-of-the-token"), path)
	}
	_, page := get(t, i.URL()+"/console/messages")
	require.NotContains(t, page, "drained")
	require.NotContains(t, page, "paused")
	require.NotContains(t, page, "fault-aliyun-down", "no buttons for who may not press them")
	for path, form := range map[string]string{
		"/console/messages/fault": "vendor=nobody&fault=down", "/console/messages/mode": "provider=nobody&mode=drained",
		"/console/messages/queue": "do=explode",
	} {
		require.Equal(t, http.StatusBadRequest, post(path, form, consoleToken), path)
	}
	require.Equal(t, http.StatusOK, post("/console/messages/mode", "provider=aliyun&mode=drained", consoleToken))
	require.Equal(t, http.StatusOK, post("/console/messages/queue", "do=pause", consoleToken))
	_, page = get(t, i.URL()+"/console/messages")
	require.Contains(t, page, "drained")
	require.Contains(t, page, "paused")
}
