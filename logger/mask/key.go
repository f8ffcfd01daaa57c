package mask

import "maps"

// class is what a key says about its value.
type class uint8

const (
	open class = iota
	secret
	phone
	email
)

// Key tells whether key, by its words, stands for something private by default: a
// password, token, cookie, one-time code, card or identity number, phone number or
// e-mail address. Case and separators do not matter: "X-Api-Key", "userPassword",
// "refresh_token" and "手机号" do, "token_bucket" and "tokens_used" do not.
func Key(key string) bool { return defaults.classify(key) != open }

// defaultTerms are sequences of words, written without separators. A term of class
// open takes back what a shorter one says, for exactly that key.
var defaultTerms = map[string]class{
	"password": secret, "passwords": secret, "passwd": secret, "passphrase": secret, "pwd": secret,
	"secret": secret, "secrets": secret, "credential": secret, "credentials": secret,
	"token": secret, "jwt": secret, "bearer": secret, "authorization": secret,
	"cookie": secret, "cookies": secret, "sessionid": secret, "ssid": secret,
	"apikey": secret, "accesskey": secret, "secretkey": secret, "privatekey": secret,
	"signingkey": secret, "encryptionkey": secret,
	"csrf": secret, "xsrf": secret, "otp": secret, "captcha": secret,
	"verifycode": secret, "verificationcode": secret, "smscode": secret,
	"cvv": secret, "cvc": secret, "cardnumber": secret, "bankcard": secret,
	"idcard": secret, "ssn": secret, "passport": secret,
	"密码": secret, "口令": secret, "令牌": secret, "身份证": secret, "身份证号": secret,
	"验证码": secret, "银行卡": secret, "银行卡号": secret,

	"phone": phone, "phones": phone, "phonenumber": phone, "telephone": phone, "tel": phone,
	"mobile": phone, "mobiles": phone, "cellphone": phone, "msisdn": phone,
	"手机": phone, "手机号": phone, "手机号码": phone, "电话": phone, "电话号码": phone,

	"email": email, "emails": email, "mail": email, "邮箱": email, "邮件地址": email,

	"tokenbucket": open, "tokentype": open, "tokencount": open, "tokenlimit": open,
	"cookiename": open, "cookiepath": open, "cookiedomain": open,
	"phonemodel": open, "phonetype": open, "emailtype": open,
}

func (m *masker) setTerms(keys []string, c class) {
	if !m.own {
		m.terms, m.own = maps.Clone(m.terms), true
	}
	for _, key := range keys {
		var w words
		w.split(key)
		m.terms[string(w.buf[:w.ends[w.n]])] = c
	}
}

// heads tells which two bytes terms begin with: most words of most keys are told to
// be none by them.
type heads [1024]bool

func (h *heads) add(term string) {
	if len(term) > 1 {
		h[headOf(term[0], term[1])] = true
	}
}

func headOf(a, b byte) int { return (int(a)*37 + int(b)) & 1023 }

// classify looks the whole key up first, then each sequence of its words.
func (m *masker) classify(key string) class {
	if len(key) < 3 || len(key) > maxKey {
		return open
	}
	var w words
	w.split(key)
	if !m.heads[headOf(w.buf[0], w.buf[1])] && w.n == 1 {
		return open
	}
	if c, ok := m.terms[string(w.buf[:w.ends[w.n]])]; ok || w.n == 1 {
		return c
	}
	for i := range w.n {
		if !m.heads[headOf(w.buf[w.ends[i]], w.buf[w.ends[i]+1])] {
			continue
		}
		for j := i + 1; j <= w.n; j++ {
			if c := m.terms[string(w.buf[w.ends[i]:w.ends[j]])]; c != open {
				return c
			}
		}
	}
	return open
}

// maxKey bounds the work for one key: longer ones are not written by people.
const maxKey = 64

// words is a key in lower case without separators; word i is buf[ends[i]:ends[i+1]].
type words struct {
	buf  [maxKey + 1]byte
	ends [maxWords + 1]uint8
	n    int
}

const maxWords = 8

// split cuts key at everything that is neither letter nor digit, and where capitals
// begin. What goes beyond maxWords becomes part of the last word.
func (w *words) split(key string) {
	size, start := uint8(0), uint8(0)
	for i := 0; i < len(key) && size < maxKey; i++ {
		c := key[i]
		kind := kinds[c]
		if kind&isAlnum == 0 && c < 0x80 {
			start = w.end(start, size)
			continue
		}
		if kind&isUpper != 0 {
			if i > 0 && (kinds[key[i-1]]&(isUpper|isAlnum) == isAlnum ||
				i+1 < len(key) && kinds[key[i+1]]&isLower != 0) {
				start = w.end(start, size)
			}
			c |= 0x20
		}
		w.buf[size] = c
		size++
	}
	if size > start && w.n == maxWords {
		w.ends[w.n] = size
		return
	}
	w.end(start, size)
}

// end ends a word of buf[start:size] if there is one, and returns where the next
// one starts.
func (w *words) end(start, size uint8) uint8 {
	if size == start || w.n == maxWords {
		return start
	}
	w.n++
	w.ends[w.n] = size
	return size
}
