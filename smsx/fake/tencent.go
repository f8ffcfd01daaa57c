package fake

import (
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// NewTencent returns Tencent Cloud's SendSms of version 2021-01-11: JSON,
// TC3-HMAC-SHA256, at most 200 numbers that are all of the mainland or all of
// elsewhere, a status for each of them.
func NewTencent(cfg Config) *Vendor {
	return newVendor(cfg, protocol{
		read: readTencent, refuse: refuseTencent, answer: answerTencent,
		ok: "Ok", tooSoon: "LimitExceeded.PhoneNumberThirtySecondLimit", down: "ServiceUnavailable",
	})
}

var tencentNumbers = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

func readTencent(cfg Config, r *http.Request, body []byte) (q request, code string) {
	if cfg.Secret != "" {
		if code := signedForTencent(cfg, r, body); code != "" {
			return q, code
		}
	}
	if r.Header.Get("X-TC-Action") != "SendSms" || r.Header.Get("X-TC-Version") != "2021-01-11" {
		return q, "InvalidAction"
	}
	if r.Header.Get("X-TC-Region") == "" {
		return q, "MissingParameter"
	}
	var form struct {
		PhoneNumberSet, TemplateParamSet                  []string
		SmsSdkAppId, TemplateId, SignName, SessionContext string
	}
	if err := json.Unmarshal(body, &form); err != nil {
		return q, "FailedOperation.JsonParseFail"
	}
	q = request{numbers: form.PhoneNumberSet, template: form.TemplateId, sign: form.SignName, ref: form.SessionContext, params: map[string]string{}}
	for i, p := range form.TemplateParamSet {
		q.params[strconv.Itoa(i+1)] = p
	}
	return q, checkTencent(q, form.SmsSdkAppId)
}

func checkTencent(q request, app string) string {
	mainland := 0
	for _, n := range q.numbers {
		if strings.HasPrefix(n, "+86") {
			mainland++
		}
		if !tencentNumbers.MatchString(n) {
			return "InvalidParameterValue.IncorrectPhoneNumber"
		}
	}
	switch {
	case app == "":
		return "InvalidParameterValue.SdkAppIdNotExist"
	case len(q.numbers) == 0:
		return "MissingParameter.EmptyPhoneNumberSet"
	case len(q.numbers) > 200:
		return "LimitExceeded.PhoneNumberCountLimit"
	case mainland != 0 && mainland != len(q.numbers):
		return "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber"
	case q.template == "":
		return "FailedOperation.TemplateIncorrectOrUnapproved"
	case q.sign == "" && mainland > 0:
		return "FailedOperation.SignatureIncorrectOrUnapproved"
	case len(q.ref) > 512:
		return "InvalidParameter"
	}
	return ""
}

// signedForTencent checks the signature, and that it is not over five minutes old.
func signedForTencent(cfg Config, r *http.Request, body []byte) (code string) {
	rest, _ := strings.CutPrefix(r.Header.Get("Authorization"), "TC3-HMAC-SHA256 Credential="+cfg.KeyID+"/")
	scope, rest, _ := strings.Cut(rest, ", SignedHeaders=")
	signed, signature, ok := strings.Cut(rest, ", Signature=")
	stamp := r.Header.Get("X-TC-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil || !strings.Contains(signed, "content-type;host") {
		return "AuthFailure.SignatureFailure"
	}
	if age := time.Since(time.Unix(seconds, 0)); age > 5*time.Minute || age < -5*time.Minute {
		return "AuthFailure.SignatureExpire"
	}
	canonical := r.Method + "\n/\n" + r.URL.RawQuery + "\n" + strings.ToLower(headerLines(r, signed)) + "\n" + signed + "\n" + sha256hex(body)
	date := time.Unix(seconds, 0).UTC().Format(time.DateOnly)
	key := hmac256(hmac256(hmac256([]byte("TC3"+cfg.Secret), date), "sms"), "tc3_request")
	want := hex.EncodeToString(hmac256(key, "TC3-HMAC-SHA256\n"+stamp+"\n"+date+"/sms/tc3_request\n"+sha256hex([]byte(canonical))))
	if scope != date+"/sms/tc3_request" || !hmac.Equal([]byte(want), []byte(signature)) {
		return "AuthFailure.SignatureFailure"
	}
	return ""
}

func refuseTencent(w http.ResponseWriter, code string) {
	writeTencent(w, map[string]any{"Error": map[string]string{"Code": code, "Message": "refused"}, "RequestId": "fake"})
}

func answerTencent(w http.ResponseWriter, q request, results []result) {
	statuses := make([]map[string]any, len(results))
	for i, r := range results {
		fee := 0
		if r.id != "" {
			fee = 1
		}
		statuses[i] = map[string]any{
			"SerialNo": r.id, "PhoneNumber": q.numbers[i], "Fee": fee, "SessionContext": q.ref,
			"Code": r.code, "Message": r.code, "IsoCode": "CN",
		}
	}
	writeTencent(w, map[string]any{"SendStatusSet": statuses, "RequestId": "fake"})
}

// writeTencent answers with 200, as the vendor always does.
func writeTencent(w http.ResponseWriter, response any) {
	writeJSON(w, http.StatusOK, map[string]any{"Response": response})
}
