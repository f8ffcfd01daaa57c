package tencent

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signed are the headers that the signature covers.
const signed = "content-type;host;x-tc-action"

// Sign sets the headers of TC3-HMAC-SHA256 on a POST request to a service, which has
// its Content-Type and X-TC-Action already. body is what req will send, at is now.
func Sign(req *http.Request, body []byte, service, id, key string, at time.Time) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	date := at.UTC().Format(time.DateOnly)
	scope := date + "/" + service + "/tc3_request"
	headers := "content-type:" + strings.ToLower(req.Header.Get("Content-Type")) + "\nhost:" + strings.ToLower(req.URL.Host) +
		"\nx-tc-action:" + strings.ToLower(req.Header.Get("X-TC-Action")) + "\n"
	canonical := strings.Join([]string{req.Method, "/", "", headers, signed, hash(body)}, "\n")
	secret := mac(mac(mac([]byte("TC3"+key), date), service), "tc3_request")
	signature := hex.EncodeToString(mac(secret, strings.Join([]string{"TC3-HMAC-SHA256", stamp, scope, hash([]byte(canonical))}, "\n")))
	req.Header.Set("X-TC-Timestamp", stamp)
	req.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+id+"/"+scope+", SignedHeaders="+signed+", Signature="+signature)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
