package aliyun

import (
	"strings"

	"github.com/bulwark-go/bulwark/smsx"
)

// codes are the vendor's documented codes.
var codes = map[string]smsx.Reason{
	"OK": smsx.ReasonAccepted,

	"isv.MOBILE_NUMBER_ILLEGAL":         smsx.ReasonNumber,
	"isv.BLACK_KEY_CONTROL_LIMIT":       smsx.ReasonNumber, // on a list of those who want no messages
	"isv.CUSTOMER_REFUSED":              smsx.ReasonNumber,
	"isv.BUSINESS_LIMIT_CONTROL":        smsx.ReasonNumberLimit,
	"isv.MOBILE_COUNT_OVER_LIMIT":       smsx.ReasonTemplate,
	"isv.DOMESTIC_NUMBER_NOT_SUPPORTED": smsx.ReasonTemplate, // a template for abroad

	"isv.DAYU_TEMPLATE_SIGN_NOT_MATCH":       smsx.ReasonTemplate,
	"isv.EXTEND_CODE_ERROR":                  smsx.ReasonTemplate,
	"isv.INVALID_JSON_PARAM":                 smsx.ReasonTemplate,
	"isv.INVALID_PARAMETERS":                 smsx.ReasonTemplate,
	"isv.PARAM_LENGTH_LIMIT":                 smsx.ReasonTemplate,
	"isv.PARAM_NOT_SUPPORT_URL":              smsx.ReasonTemplate,
	"isv.SIGN_STATE_ILLEGAL":                 smsx.ReasonTemplate,
	"isv.SMS_CONTENT_ILLEGAL":                smsx.ReasonTemplate,
	"isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE": smsx.ReasonTemplate,
	"isv.SMS_SIGNATURE_ILLEGAL":              smsx.ReasonTemplate,
	"isv.SMS_SIGNATURE_SCENE_ILLEGAL":        smsx.ReasonTemplate,
	"isv.SMS_SIGN_ILLEGAL":                   smsx.ReasonTemplate,
	"isv.SMS_TEMPLATE_ILLEGAL":               smsx.ReasonTemplate,
	"isv.SMS_TEST_NUMBER_LIMIT":              smsx.ReasonTemplate,
	"isv.SMS_TEST_SIGN_TEMPLATE_LIMIT":       smsx.ReasonTemplate,
	"isv.TEMPLATE_MISSING_PARAMETERS":        smsx.ReasonTemplate,
	"isv.TEMPLATE_PARAMS_ILLEGAL":            smsx.ReasonTemplate,
	"isv.UNSUPPORTED_CONTENT":                smsx.ReasonTemplate,

	"isv.DAY_LIMIT_CONTROL":   smsx.ReasonAccountLimit,
	"isv.MONTH_LIMIT_CONTROL": smsx.ReasonAccountLimit,
	"Throttling":              smsx.ReasonAccountLimit, // and all that begin with it
	"isv.AMOUNT_NOT_ENOUGH":   smsx.ReasonBalance,
	"isv.OUT_OF_SERVICE":      smsx.ReasonBalance,

	"isp.RAM_PERMISSION_DENY":     smsx.ReasonAuth,
	"isv.ACCOUNT_ABNORMAL":        smsx.ReasonAuth,
	"isv.ACCOUNT_NOT_EXISTS":      smsx.ReasonAuth,
	"isv.DENY_IP_RANGE":           smsx.ReasonAuth,
	"isv.PRODUCT_UNSUBSCRIBE":     smsx.ReasonAuth,
	"isv.PRODUCT_UN_SUBSCRIPT":    smsx.ReasonAuth,
	"isv.SECURITY_FROZEN_ACCOUNT": smsx.ReasonAuth,
	"InvalidAccessKeyId.NotFound": smsx.ReasonAuth,
	"InvalidTimeStamp.Expired":    smsx.ReasonAuth,
	"SignatureDoesNotMatch":       smsx.ReasonAuth,
	"SignatureNonceUsed":          smsx.ReasonAuth,

	"InternalError":      smsx.ReasonDown,
	"ServiceUnavailable": smsx.ReasonDown,
	"isp.GATEWAY_ERROR":  smsx.ReasonDown,
	"isp.SYSTEM_ERROR":   smsx.ReasonDown,
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
