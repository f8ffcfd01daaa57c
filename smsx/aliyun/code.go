package aliyun

import (
	"strings"

	"github.com/bulwark-go/bulwark/smsx"
)

// codes are the vendor's documented codes.
var codes = map[string]smsx.Reason{
	"OK":                               smsx.ReasonAccepted,
	"isv.MOBILE_NUMBER_ILLEGAL":        smsx.ReasonNumber,
	"isv.MOBILE_COUNT_OVER_LIMIT":      smsx.ReasonTemplate,
	"isv.BLACK_KEY_CONTROL_LIMIT":      smsx.ReasonTemplate,
	"isv.BUSINESS_LIMIT_CONTROL":       smsx.ReasonNumberLimit,
	"isv.DAY_LIMIT_CONTROL":            smsx.ReasonAccountLimit,
	"isv.DAYU_TEMPLATE_SIGN_NOT_MATCH": smsx.ReasonTemplate,
	"isv.INVALID_PARAMETERS":           smsx.ReasonTemplate,
	"isv.INVALID_JSON_PARAM":           smsx.ReasonTemplate,
	"isv.PARAM_LENGTH_LIMIT":           smsx.ReasonTemplate,
	"isv.PARAM_NOT_SUPPORT_URL":        smsx.ReasonTemplate,
	"isv.SMS_TEMPLATE_ILLEGAL":         smsx.ReasonTemplate,
	"isv.SMS_SIGNATURE_ILLEGAL":        smsx.ReasonTemplate,
	"isv.SMS_SIGNATURE_SCENE_ILLEGAL":  smsx.ReasonTemplate,
	"isv.TEMPLATE_MISSING_PARAMETERS":  smsx.ReasonTemplate,
	"isv.TEMPLATE_PARAMS_ILLEGAL":      smsx.ReasonTemplate,
	"isv.AMOUNT_NOT_ENOUGH":            smsx.ReasonBalance,
	"isv.OUT_OF_SERVICE":               smsx.ReasonBalance,
	"isv.ACCOUNT_NOT_EXISTS":           smsx.ReasonAuth,
	"isv.ACCOUNT_ABNORMAL":             smsx.ReasonAuth,
	"isv.PRODUCT_UN_SUBSCRIPT":         smsx.ReasonAuth,
	"isv.PRODUCT_UNSUBSCRIBE":          smsx.ReasonAuth,
	"isp.RAM_PERMISSION_DENY":          smsx.ReasonAuth,
	"SignatureDoesNotMatch":            smsx.ReasonAuth,
	"SignatureNonceUsed":               smsx.ReasonAuth,
	"InvalidAccessKeyId.NotFound":      smsx.ReasonAuth,
	"InvalidTimeStamp.Expired":         smsx.ReasonAuth,
	"isp.SYSTEM_ERROR":                 smsx.ReasonDown,
	"ServiceUnavailable":               smsx.ReasonDown,
	"InternalError":                    smsx.ReasonDown,
	"Throttling":                       smsx.ReasonAccountLimit,
	"Throttling.User":                  smsx.ReasonAccountLimit,
}

// Classify gives a code's reason, and what it means for the message: an error
// inside the vendor leaves the outcome unknown, as does a code that we don't know.
func Classify(code string) (smsx.Reason, smsx.Outcome) {
	reason := codes[code]
	if reason == smsx.ReasonUnknown && strings.HasPrefix(code, "Throttling.") {
		reason = smsx.ReasonAccountLimit
	}
	switch {
	case reason == smsx.ReasonAccepted:
		return reason, smsx.Accepted
	case reason == smsx.ReasonUnknown, reason == smsx.ReasonDown && code != "ServiceUnavailable":
		return reason, smsx.Unknown
	}
	return reason, smsx.Rejected
}
