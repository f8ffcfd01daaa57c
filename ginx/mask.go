package ginx

import "strings"

func maskText(s string) string { return s }
func maskValue(key, value string) string {
	if secretKey(key) {
		return hiddenValue
	}
	return value
}
func secretKey(key string) bool {
	return strings.Contains(strings.ToLower(key), "password") || strings.EqualFold(key, "authorization")
}
func maskID(id string) string { return id[:1] + "***" }
