package tencent

import (
	"strings"

	"github.com/bulwark-go/bulwark/smsx"
)

// codes are the vendor's documented codes, of the service and of its gateway.
var codes = map[string]smsx.Reason{
	"Ok": smsx.ReasonAccepted,

	"FailedOperation.PhoneNumberInBlacklist":     smsx.ReasonNumber,
	"FailedOperation.PhoneNumberParseFail":       smsx.ReasonNumber,
	"InvalidParameterValue.IncorrectPhoneNumber": smsx.ReasonNumber,

	"LimitExceeded.DeliveryFrequencyLimit":           smsx.ReasonNumberLimit,
	"LimitExceeded.PhoneNumberDailyLimit":            smsx.ReasonNumberLimit,
	"LimitExceeded.PhoneNumberOneHourLimit":          smsx.ReasonNumberLimit,
	"LimitExceeded.PhoneNumberSameContentDailyLimit": smsx.ReasonNumberLimit,
	"LimitExceeded.PhoneNumberThirtySecondLimit":     smsx.ReasonNumberLimit,

	"LimitExceeded.AppCountryOrRegionDailyLimit": smsx.ReasonAccountLimit,
	"LimitExceeded.AppDailyLimit":                smsx.ReasonAccountLimit,
	"LimitExceeded.AppGlobalDailyLimit":          smsx.ReasonAccountLimit,
	"LimitExceeded.AppMainlandChinaDailyLimit":   smsx.ReasonAccountLimit,
	"LimitExceeded.DailyLimit":                   smsx.ReasonAccountLimit,
	"RequestLimitExceeded":                       smsx.ReasonAccountLimit, // and all that begin with it

	"FailedOperation.ContainSensitiveWord":                            smsx.ReasonTemplate,
	"FailedOperation.FailResolvePacket":                               smsx.ReasonTemplate,
	"FailedOperation.JsonParseFail":                                   smsx.ReasonTemplate,
	"FailedOperation.MarketingSendTimeConstraint":                     smsx.ReasonTemplate,
	"FailedOperation.MissingSignature":                                smsx.ReasonTemplate,
	"FailedOperation.SignatureIncorrectOrUnapproved":                  smsx.ReasonTemplate,
	"FailedOperation.TemplateIdNotExist":                              smsx.ReasonTemplate,
	"FailedOperation.TemplateIncorrectOrUnapproved":                   smsx.ReasonTemplate,
	"FailedOperation.TemplateParamSetNotMatchApprovedTemplate":        smsx.ReasonTemplate,
	"FailedOperation.TemplateUnapprovedOrNotExist":                    smsx.ReasonTemplate,
	"InternalError.JsonParseFail":                                     smsx.ReasonTemplate,
	"InvalidParameter":                                                smsx.ReasonTemplate,
	"InvalidParameter.DirtyWordFound":                                 smsx.ReasonTemplate,
	"InvalidParameter.InvalidParameters":                              smsx.ReasonTemplate,
	"InvalidParameterValue.ContentLengthLimit":                        smsx.ReasonTemplate,
	"InvalidParameterValue.ProhibitedUseUrlInTemplateParameter":       smsx.ReasonTemplate,
	"InvalidParameterValue.TemplateParameterFormatError":              smsx.ReasonTemplate,
	"InvalidParameterValue.TemplateParameterLengthLimit":              smsx.ReasonTemplate,
	"LimitExceeded.AppCountryOrRegionInBlacklist":                     smsx.ReasonTemplate,
	"LimitExceeded.PhoneNumberCountLimit":                             smsx.ReasonTemplate,
	"MissingParameter.EmptyPhoneNumberSet":                            smsx.ReasonTemplate,
	"UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber": smsx.ReasonTemplate,

	"FailedOperation.InsufficientBalanceInSmsPackage":  smsx.ReasonBalance,
	"UnauthorizedOperation.SerivceSuspendDueToArrears": smsx.ReasonBalance, // the vendor spells it both ways
	"UnauthorizedOperation.ServiceSuspendDueToArrears": smsx.ReasonBalance,

	"AuthFailure.SecretIdNotFound":                                   smsx.ReasonAuth,
	"AuthFailure.SignatureExpire":                                    smsx.ReasonAuth,
	"AuthFailure.SignatureFailure":                                   smsx.ReasonAuth,
	"AuthFailure.UnauthorizedOperation":                              smsx.ReasonAuth,
	"InternalError.RequestTimeException":                             smsx.ReasonAuth,
	"InternalError.SigFieldMissing":                                  smsx.ReasonAuth,
	"InternalError.SigVerificationFail":                              smsx.ReasonAuth,
	"InvalidParameter.AppidAndBizId":                                 smsx.ReasonAuth,
	"InvalidParameterValue.SdkAppIdNotExist":                         smsx.ReasonAuth,
	"UnauthorizedOperation.IndividualUserMarketingSmsPermissionDeny": smsx.ReasonAuth,
	"UnauthorizedOperation.RequestIpNotInWhitelist":                  smsx.ReasonAuth,
	"UnauthorizedOperation.RequestPermissionDeny":                    smsx.ReasonAuth,
	"UnauthorizedOperation.SdkAppIdIsDisabled":                       smsx.ReasonAuth,
	"UnauthorizedOperation.SmsSdkAppIdVerifyFail":                    smsx.ReasonAuth,

	"InternalError":                          smsx.ReasonDown,
	"InternalError.OtherError":               smsx.ReasonDown,
	"InternalError.ParseBackendResponseFail": smsx.ReasonDown,
	"InternalError.SendAndRecvFail":          smsx.ReasonDown,
	"InternalError.Timeout":                  smsx.ReasonDown,
	"InternalError.UnknownError":             smsx.ReasonDown,
	"ServiceUnavailable":                     smsx.ReasonDown,
}

// Classify gives a code's reason, and what it means for the message: an error
// inside the vendor leaves the outcome unknown, as does a code that we don't know.
func Classify(code string) (smsx.Reason, smsx.Outcome) {
	reason := codes[code]
	if reason == smsx.ReasonUnknown && strings.HasPrefix(code, "RequestLimitExceeded.") {
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
