package fake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// NewAliyun returns Alibaba Cloud's SendSms of version 2017-05-25: a form in the
// body, ACS3-HMAC-SHA256, at most 1000 numbers, one status for all of them, no memory
// of requests. QuerySendDetails tells what was sent to a number on a day, whatever the
// fault: the records are another part of the vendor.
func NewAliyun(cfg Config) *Vendor {
	return newVendor(cfg, protocol{
		query: queryAliyun,
		read:  readAliyun, refuse: refuseAliyun, answer: answerAliyun, uniform: true,
		ok: "OK", tooSoon: "isv.BUSINESS_LIMIT_CONTROL", down: "ServiceUnavailable",
	})
}

// aliyunNumbers are 11 digits with or without China's code, and other countries'
// numbers with theirs, of which none begins with 0.
var aliyunNumbers = regexp.MustCompile(`^(?:(?:\+86|0086|86)?(1\d{10})|([1-9]\d{6,14}))$`)

func readAliyun(cfg Config, r *http.Request, body []byte) (q request, code string) {
	if cfg.Secret != "" && !signedForAliyun(cfg, r, body) {
		return q, "SignatureDoesNotMatch"
	}
	if r.Header.Get("x-acs-action") != "SendSms" || r.Header.Get("x-acs-version") != "2017-05-25" {
		return q, "InvalidAction.NotFound"
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return q, "isv.INVALID_PARAMETERS"
	}
	q = request{template: form.Get("TemplateCode"), sign: form.Get("SignName"), ref: form.Get("OutId")}
	if q.template == "" {
		return q, "isv.SMS_TEMPLATE_ILLEGAL"
	}
	if q.sign == "" {
		return q, "isv.SMS_SIGNATURE_ILLEGAL"
	}
	if err := json.Unmarshal([]byte(form.Get("TemplateParam")), &q.params); err != nil {
		return q, "isv.INVALID_JSON_PARAM"
	}
	for _, n := range strings.Split(form.Get("PhoneNumbers"), ",") {
		match := aliyunNumbers.FindStringSubmatch(n)
		if match == nil {
			return q, "isv.MOBILE_NUMBER_ILLEGAL"
		}
		e164 := "+" + match[2]
		if match[1] != "" {
			e164 = "+86" + match[1]
		}
		q.numbers = append(q.numbers, e164)
	}
	if len(q.numbers) > 1000 {
		return q, "isv.MOBILE_COUNT_OVER_LIMIT"
	}
	return q, ""
}

// queryAliyun answers QuerySendDetails.
func queryAliyun(v *Vendor, w http.ResponseWriter, r *http.Request, body []byte) bool {
	if r.Header.Get("x-acs-action") != "QuerySendDetails" {
		return false
	}
	form, err := url.ParseQuery(string(body))
	size, _ := strconv.Atoi(form.Get("PageSize"))
	page, _ := strconv.Atoi(form.Get("CurrentPage"))
	match := aliyunNumbers.FindStringSubmatch(form.Get("PhoneNumber"))
	switch {
	case v.cfg.Secret != "" && !signedForAliyun(v.cfg, r, body):
		refuseAliyun(w, "SignatureDoesNotMatch")
		return true
	case err != nil, match == nil, size < 1 || size > 50, page < 1, len(form.Get("SendDate")) != 8:
		refuseAliyun(w, "isv.INVALID_PARAMETERS")
		return true
	}
	number := "+" + match[2]
	if match[1] != "" {
		number = "+86" + match[1]
	}
	records := []map[string]any{}
	for _, s := range v.Sent() {
		if s.Number == number && s.At.In(time.FixedZone("UTC+8", 8*60*60)).Format("20060102") == form.Get("SendDate") {
			records = append(records, map[string]any{"OutId": s.Ref, "SendStatus": 3, "TemplateCode": s.Template})
		}
	}
	total := len(records)
	records = records[min((page-1)*size, total):min(page*size, total)]
	writeJSON(w, http.StatusOK, map[string]any{
		"Code": "OK", "Message": "OK", "RequestId": "fake", "TotalCount": strconv.Itoa(total),
		"SmsSendDetailDTOs": map[string]any{"SmsSendDetailDTO": records},
	})
	return true
}

// signedForAliyun checks the signature over the headers that it names.
func signedForAliyun(cfg Config, r *http.Request, body []byte) bool {
	values, ok := strings.CutPrefix(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256 ")
	if !ok {
		return false
	}
	auth := map[string]string{}
	for _, pair := range strings.Split(values, ",") {
		name, value, _ := strings.Cut(pair, "=")
		auth[name] = value
	}
	sum := sha256hex(body)
	canonical := r.Method + "\n/\n" + r.URL.RawQuery + "\n" + headerLines(r, auth["SignedHeaders"]) + "\n" + auth["SignedHeaders"] + "\n" + sum
	want := hex.EncodeToString(hmac256([]byte(cfg.Secret), "ACS3-HMAC-SHA256\n"+sha256hex([]byte(canonical))))
	return auth["Credential"] == cfg.KeyID && r.Header.Get("x-acs-content-sha256") == sum &&
		strings.Contains(auth["SignedHeaders"], "x-acs-signature-nonce") && strings.Contains(auth["SignedHeaders"], "x-acs-date") &&
		hmac.Equal([]byte(want), []byte(auth["Signature"]))
}

// headerLines are the canonical lines of the headers in a list.
func headerLines(r *http.Request, list string) string {
	var lines strings.Builder
	for _, name := range strings.Split(list, ";") {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		lines.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	return lines.String()
}

func sha256hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func hmac256(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func refuseAliyun(w http.ResponseWriter, code string) {
	status := http.StatusOK // business codes come with 200, those of the gateway do not
	switch {
	case code == "ServiceUnavailable":
		status = http.StatusServiceUnavailable
	case !strings.HasPrefix(code, "isv.") && !strings.HasPrefix(code, "isp."):
		status = http.StatusBadRequest
	}
	writeJSON(w, status, map[string]string{"Code": code, "Message": "refused", "RequestId": "fake"})
}

func answerAliyun(w http.ResponseWriter, _ request, results []result) {
	answer := map[string]string{"Code": results[0].code, "Message": results[0].code, "RequestId": "fake"}
	if results[0].id != "" {
		answer["BizId"] = results[0].id
	}
	writeJSON(w, http.StatusOK, answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
