// Package browsertest drives a headless Chromium in tests, over the DevTools
// protocol and a pipe: no port, no driver, no dependency. Where there is no Chromium
// the test is skipped with that reason; scripts/install.sh browser installs one.
package browsertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// patience bounds each wait, on a slow machine too.
	patience = 60 * time.Second
	// EnvScreenshots names the folder where screenshots are kept, for people to look
	// at; without it they are only taken.
	EnvScreenshots = "BULWARK_TEST_SCREENSHOTS"
)

// Browser is a running Chromium. It ends with the test.
type Browser struct {
	in io.Writer

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	errors  []string // that pages reported
	lost    error
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *protocolError  `json:"error,omitempty"`
}

type protocolError struct {
	Message string `json:"message"`
}

type reply struct {
	result json.RawMessage
	err    error
}

// Start starts Chromium.
func Start(t *testing.T) *Browser {
	t.Helper()
	program := find(t)
	profile, err := os.MkdirTemp("", "browsertest-")
	require.NoError(t, err)
	toBrowser, in, err := os.Pipe()
	require.NoError(t, err)
	out, fromBrowser, err := os.Pipe()
	require.NoError(t, err)

	args := []string{
		"--headless", "--remote-debugging-pipe", "--user-data-dir=" + profile, "--no-first-run", "--disable-gpu",
		"--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-dev-shm-usage", "--hide-scrollbars", "--password-store=basic", "about:blank",
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...) // which root cannot have
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 5 * time.Second // helpers of Chromium may keep standard error open
	require.NoError(t, cmd.Start())
	_, _ = toBrowser.Close(), fromBrowser.Close()

	b := &Browser{in: in, waiting: map[int]chan reply{}}
	read := make(chan struct{})
	go func() { defer close(read); b.read(out) }()
	t.Cleanup(func() {
		_, _ = b.send("", "Browser.close", nil, 5*time.Second)
		_ = in.Close()
		time.AfterFunc(5*time.Second, cancel)
		_ = cmd.Wait() // killed or not, its exit code says nothing
		cancel()
		_ = out.Close()
		<-read
		_ = os.RemoveAll(profile)
		if t.Failed() {
			t.Logf("chromium said: %s", said.String())
		}
	})
	return b
}

func find(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("needs Chromium: scripts/install.sh browser")
	return ""
}

// read hands answers to who waits for them, and keeps what pages complain about.
func (b *Browser) read(out io.Reader) {
	r := bufio.NewReader(out)
	for {
		raw, err := r.ReadBytes(0)
		if err != nil {
			b.end(fmt.Errorf("browsertest: the browser is gone: %w", err))
			return
		}
		var m struct {
			message
			Params json.RawMessage `json:"params"`
		}
		if err := json.Unmarshal(bytes.TrimRight(raw, "\x00"), &m); err != nil {
			b.end(fmt.Errorf("browsertest: %w", err))
			return
		}
		b.mu.Lock()
		switch {
		case m.ID != 0:
			if waiter := b.waiting[m.ID]; waiter != nil {
				delete(b.waiting, m.ID)
				answer := reply{result: m.Result}
				if m.Error != nil {
					answer.err = errors.New(m.Error.Message)
				}
				waiter <- answer
			}
		case complains(m.Method, m.Params):
			b.errors = append(b.errors, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// complains tells whether an event is an exception or what a page's policy forbade.
// An answer with an error status is neither.
func complains(method string, params []byte) bool {
	return method == "Runtime.exceptionThrown" || method == "Log.entryAdded" &&
		bytes.Contains(params, []byte(`"level":"error"`)) && !bytes.Contains(params, []byte(`"source":"network"`))
}

func (b *Browser) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lost = err
	for id, waiter := range b.waiting {
		delete(b.waiting, id)
		waiter <- reply{err: err}
	}
}

func (b *Browser) send(session, method string, params any, wait time.Duration) (json.RawMessage, error) {
	waiter := make(chan reply, 1)
	b.mu.Lock()
	if b.lost != nil {
		defer b.mu.Unlock()
		return nil, b.lost
	}
	b.last++
	id := b.last
	b.waiting[id] = waiter
	text, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: params})
	if err == nil {
		_, err = b.in.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case r := <-waiter:
		return r.result, r.err
	case <-time.After(wait):
		return nil, fmt.Errorf("browsertest: no answer to %s", method)
	}
}

// Errors are what pages reported so far: exceptions, and what their policy forbade.
func (b *Browser) Errors() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.errors, "\n")
}

// Page is a tab. Its methods fail the test.
type Page struct {
	t       *testing.T
	b       *Browser
	session string
}

// Page opens a tab.
func (b *Browser) Page(t *testing.T) *Page {
	t.Helper()
	p := &Page{t: t, b: b}
	var target struct{ TargetID string }
	p.call(&target, "Target.createTarget", map[string]any{"url": "about:blank"})
	var attached struct{ SessionID string }
	p.call(&attached, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true})
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.call(nil, domain+".enable", nil)
	}
	return p
}

func (p *Page) call(result any, method string, params any) {
	p.t.Helper()
	raw, err := p.b.send(p.session, method, params, patience)
	require.NoError(p.t, err, method)
	if result != nil {
		require.NoError(p.t, json.Unmarshal(raw, result), method)
	}
}

// Open goes to an address and waits until it has loaded.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.call(nil, "Page.navigate", map[string]any{"url": url})
	p.Wait("location.href === " + quote(url) + " && document.readyState === 'complete'")
}

// Size sets the viewport; below 600 it is a phone's.
func (p *Page) Size(width, height int) {
	p.t.Helper()
	p.call(nil, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
	})
}

// Dark chooses the colours that the visitor prefers.
func (p *Page) Dark(dark bool) {
	p.t.Helper()
	value := map[bool]string{true: "dark", false: "light"}[dark]
	p.call(nil, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": value}},
	})
}

// Eval evaluates an expression of JavaScript into result, unless that is nil.
func (p *Page) Eval(result any, expression string) {
	p.t.Helper()
	raw, err := p.eval(expression)
	require.NoError(p.t, err)
	if result != nil {
		require.NoError(p.t, json.Unmarshal(raw, result), "%s", raw)
	}
}

func (p *Page) eval(expression string) (json.RawMessage, error) {
	raw, err := p.b.send(p.session, "Runtime.evaluate", map[string]any{
		"expression": expression, "returnByValue": true, "awaitPromise": true,
	}, patience)
	if err != nil {
		return nil, err
	}
	var done struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	if err := json.Unmarshal(raw, &done); err != nil {
		return nil, err
	}
	if done.ExceptionDetails != nil {
		return nil, fmt.Errorf("%s: %s", expression, done.ExceptionDetails)
	}
	return done.Result.Value, nil
}

// Wait waits until an expression is true. A page that is on its way to another may
// fail to say.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		raw, err := p.eval("Boolean(" + expression + ")")
		if err == nil && string(raw) == "true" {
			return
		}
		if time.Now().After(deadline) {
			var page string
			p.Eval(&page, "location.href + '\\n' + document.body.innerText")
			require.Fail(p.t, "never true: "+expression, "%v\n%s\n%s", err, page, p.b.Errors())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Click waits for an element and clicks it.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Wait("document.querySelector(" + quote(selector) + ")")
	p.Eval(nil, "document.querySelector("+quote(selector)+").click()")
}

// Fill waits for a field and sets its value.
func (p *Page) Fill(selector, value string) {
	p.t.Helper()
	p.Wait("document.querySelector(" + quote(selector) + ")")
	p.Eval(nil, "document.querySelector("+quote(selector)+").value = "+quote(value))
}

// Text is what an element shows; "" without such an element.
func (p *Page) Text(selector string) (text string) {
	p.t.Helper()
	p.Eval(&text, "document.querySelector("+quote(selector)+")?.innerText ?? ''")
	return text
}

// Screenshot takes a picture of all of the page, and keeps it where people asked for.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	var shot struct{ Data string }
	p.call(&shot, "Page.captureScreenshot", map[string]any{"captureBeyondViewport": true})
	picture, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(p.t, err)
	require.NotEmpty(p.t, picture)
	if dir := os.Getenv(EnvScreenshots); dir != "" {
		require.NoError(p.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
	}
}

func quote(s string) string {
	text, _ := json.Marshal(s) // a text always can be written
	return string(text)
}
