package mask_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger/mask"
)

func TestPhone(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "1": "*", "12345": "*****", "1234567": "******7", "13800138000": "138****8000",
		"+8613800138000": "+86138****8000", "+86 138-0013-8000": "+86 138-****-8000",
		"008613800138000": "***********8000", "+14155552671": "+1******2671",
		"+3545551234": "+354******4", "１３８００１３８０００": "１３８****８０００",
		"张三": "**", "abc": "***", "\xff\xfe": "**", "+": "+", "+999": "+***",
		strings.Repeat("1", 40): strings.Repeat("*", 36) + "1111",
	} {
		require.Equal(t, want, mask.Phone(in), "%q", in)
	}
}

func TestEmail(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "***", "@": "***@", "a@b.c": "***@b.c", "alice@example.com": "a***@example.com",
		"世界@example.com": "世***@example.com", "\xff@x": "***@x",
	} {
		require.Equal(t, want, mask.Email(in), "%q", in)
	}
}

func TestString(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "",
		"nothing to hide":                    "nothing to hide",
		"call 13800138000 now":               "call 138****8000 now",
		"13800138000":                        "138****8000",
		"13800138000,13900139000":            "138****8000,139****9000",
		"13800138000 13900139000":            "138****8000 139****9000",
		"tel:+8613800138000":                 "tel:+86138****8000",
		"tel:+86-138-0013-8000":              "tel:+86-138-****-8000",
		"to=%2B8613800138000&a=b":            "to=%2B86138****8000&a=b",
		"to=%252B8613800138000":              "to=%252B86138****8000",
		"to=138%200013%208000":               "to=138%20****%208000",
		"phone%3D13800138000":                "phone%3D138****8000",
		`"a\n13800138000\n"`:                 `"a\n138****8000\n"`,
		`{\"p\":\"13800138000\"}`:            `{\"p\":\"138****8000\"}`,
		"+44 (0)20 7946 0958":                "+44 (*)** **** 0958",
		"a13800138000":                       "a13800138000",
		"13800138000b":                       "13800138000b",
		"0.13800138000":                      "0.13800138000",
		"13800138000.5":                      "13800138000.5",
		"13800138000.":                       "138****8000.",
		"138001380001":                       "138001380001",
		"14000138000":                        "14000138000",
		"2026-138-0013-8000-1":               "2026-138-0013-8000-1",
		"mail alice@example.com.":            "mail a***@example.com.",
		"alice%40example.com":                "a***%40example.com",
		"13800138000@qq.com":                 "138****8000@qq.com",
		"user@localhost":                     "user@localhost",
		"@handle and a@ b":                   "@handle and a@ b",
		"postgres://app:pa55@db/x":           "postgres://app:[masked]@db/x",
		"redis://:pa55@cache:6379":           "redis://:[masked]@cache:6379",
		"app:pa55@tcp(db:3306)/x":            "app:[masked]@tcp(db:3306)/x",
		"https://a:b@example.com":            "https://a:" + "[masked]@example.com",
		"password=hunter2&x=1":               "password=[masked]&x=1",
		"password = hunter2;":                "password = [masked];",
		"password%3Dhunter2":                 "password%3D[masked]",
		"user_password:hunter2 x":            "user_password:[masked] x",
		`{"password":"hunter2"}`:             `{"password":"[masked]"}`,
		`{"password": "h\"2", "a":1}`:        `{"password": "[masked]", "a":1}`,
		`{"otp":123456,"n":1}`:               `{"otp":"[masked]","n":1}`,
		`{\"password\":\"hunter2\",\"a\":1}`: `{\"password\":\"[masked]\",\"a\":1}`,
		`{"token":null,"secret":true}`:       `{"token":null,"secret":true}`,
		"Authorization: Bearer abc.def":      "Authorization: [masked]",
		"Authorization: Basic dXNlcjpwYXNz":  "Authorization: [masked]",
		"authorization=Basic dXNlcjpwYXNz x": "authorization=Basic [masked] x",
		"Cookie: ssid=1; a=b\r\nHost: x":     "Cookie: [masked]\r\nHost: x",
		"bearer 0123456789abcdef":            "bearer [masked]",
		"Bearer%200123456789abcdef":          "Bearer%20[masked]",
		"bearer authentication failed":       "bearer authentication failed",
		"invalid token: it has expired":      "invalid token: it has expired",
		"token_bucket=5":                     "token_bucket=5",
		"at 15:11:59 http://x/y?z=1":         "at 15:11:59 http://x/y?z=1",
		"monkeyJungleAdventuresInTheWild":    "monkeyJungleAdventuresInTheWild",
		"手机号13800138000，邮箱alice@example.com": "手机号138****8000，邮***@example.com",
		"\xff13800138000\xff":                "\xff138****8000\xff",
		"%":                                  "%", "%4": "%4", "+": "+", "\\": "\\", "=": "=", "@": "@", "password=": "password=",
	} {
		require.Equal(t, want, mask.String(in), "%q", in)
	}
}

func signed(t testing.TB) string {
	key := []byte(strings.Repeat("k", 32))
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"uid": 42}).SignedString(key)
	require.NoError(t, err)
	return token
}

func TestTokensNeverShow(t *testing.T) {
	token := signed(t)
	parts := strings.Split(token, ".")
	for _, text := range []string{
		token, "got " + token + ".", "Bearer " + token, "bearer: " + token, `{"a":"` + token + `"}`, "/cb?x=" + token + "&y=1",
		"x-jwt-token: " + token, `{\"access\":\"` + token + `\"}`, "token=" + token[:40], parts[0] + "." + parts[1],
		"令牌" + token, "Authorization%3A%20Bearer%20" + token,
	} {
		got := mask.String(text)
		for _, part := range parts {
			require.NotContains(t, got, part, text)
		}
		require.Contains(t, got, mask.Text)
	}
}

// Texts that make each sign look far ahead must not take more than linear time.
func TestHostileTextsTakeLinearTime(t *testing.T) {
	const n = 1 << 18
	for _, part := range []string{"eyJ", "a@", "token=\"", "token=\\\"", "token='", "bearer ", "%25", "1 ", "+1", "138-", "://:", "\\", "=", "Cookie: "} {
		mask.String("a" + strings.Repeat(part, n)) // a quadratic walk takes minutes
	}
}

func TestKey(t *testing.T) {
	for key, want := range map[string]bool{
		"password": true, "Password": true, "userPassword": true, "PASSWORD_HASH": true, "db.password": true,
		"X-Api-Key": true, "apikey": true, "refresh_token": true, "x-jwt-token": true, "JWTToken": true,
		"Authorization": true, "Set-Cookie": true, "phone": true, "userPhone": true, "手机号": true, "email": true,
		"sms_code": true, "HTTPCookie": true,
		"": false, "a": false, "user": false, "tokens_used": false, "token_bucket": false, "passage": false,
		"keyboard": false, "status": false, "emailed": false, "author": false, strings.Repeat("password", 20): false,
		"a_b_c_d_e_f_g_h_i_j_k": false,
	} {
		require.Equal(t, want, mask.Key(key), key)
	}
}

func TestValue(t *testing.T) {
	require.Equal(t, mask.Text, mask.Value("password", "x"))
	require.Equal(t, "", mask.Value("password", ""))
	require.Equal(t, "138****8000", mask.Value("mobile", "13800138000"))
	require.Equal(t, "a***@b.c", mask.Value("email", "al@b.c"))
	require.Equal(t, "to 138****8000", mask.Value("note", "to 13800138000"))
}

const text = "GET /api/v1/articles/8421?page=3&size=20 HTTP/1.1 200 5120 bytes in 1.73ms; " +
	"order 202611231511590042 at 2026-11-23T15:11:59.123Z trace=4bf92f3577b34da6a3ce929d0e0e4736 \"ok\" "

func FuzzString(f *testing.F) {
	for _, s := range []string{
		text, "+86 138-0013-8000", "１３８００１３８０００", `{"password":"x\"","a":[1]}`, "redis://:p@h", "a%2B86", "%25%25",
		"Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "\\\\\\\"token\\\\\\\":", "a@b.cc", "Cookie: \\", "password='",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := mask.String(s)
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("%q became %q, which is not UTF-8", s, got)
		}
		mask.Phone(s)
		mask.Email(s)
		mask.Key(s)
		mask.Value(s, s)
	})
}
