package mask

import "strings"

// minJWT is shorter than any header that names an algorithm.
const minJWT = 16

// jwt hides a JSON web token, or the beginning of one: base64 of `{"`. It returns
// where to go on, beyond the three letters.
func (x *scan) jwt(i int) int {
	if i < x.done || !strings.HasPrefix(x.s[i:], "eyJ") || i < x.plain && !x.bounded(i) {
		return i + 3
	}
	end, dots := i, 0
	for end < len(x.s) && kinds[x.s[end]]&isToken != 0 {
		if x.s[end] == '.' {
			dots++
		}
		end++
	}
	if end-i < minJWT || dots < 2 && !x.bounded(i) {
		x.plain = end // a long word must not be read again for each eyJ in it
		return i + 3
	}
	x.replace(i, end, Text)
	return end
}

// bearer hides what follows the word of an Authorization header.
func (x *scan) bearer(i int) int {
	const word = "bearer"
	if len(x.s)-i <= len(word) || !strings.EqualFold(x.s[i:i+len(word)], word) || !x.bounded(i) {
		return i + 1
	}
	start := i + len(word)
	for start < len(x.s) && (x.s[start] == ' ' || x.s[start] == ':' || strings.HasPrefix(x.s[start:], "%20")) {
		if x.s[start] == '%' {
			start += 2
		}
		start++
	}
	end := start
	telling := false // prose ("bearer authentication failed") has no digits
	for end < len(x.s) && kinds[x.s[end]]&isToken != 0 {
		telling = telling || kinds[x.s[end]]&isDigit != 0
		end++
	}
	if start == i+len(word) || end-start < 8 || !telling && end-start < 20 {
		return start
	}
	x.replace(start, end, Text)
	return end
}

// assigned hides the value after "key=" and "key:", whose sign spans s[i:next],
// where the key says so.
func (x *scan) assigned(i, next int) int {
	end, quote := x.keyEnd(i)
	begin := end
	for begin > x.done && end-begin <= maxKey && (kinds[x.s[begin-1]]&isAlnum != 0 ||
		x.s[begin-1] == '_' || x.s[begin-1] == '-' || x.s[begin-1] == '.' || x.s[begin-1] >= 0x80) {
		begin--
	}
	if end-begin < 3 {
		return next
	}
	key := x.s[begin:end]
	if x.m.classify(key) != secret {
		return next
	}
	start := next
	for start < len(x.s) && x.s[start] == ' ' {
		start++
	}
	if start > next && quote == "" {
		if x.s[i] == ':' {
			return x.header(key, start)
		}
		if end == i { // "a= b" is the padding of base64 rather than an assignment
			return next
		}
	}
	return x.secretAt(start, quote)
}

// keyEnd returns where the key before i ends, and the quote around it with its
// escapes: `"`, `\"` or the like; empty for a key without quotes.
func (x *scan) keyEnd(i int) (end int, quote string) {
	end = i
	for end > x.done && x.s[end-1] == ' ' {
		end--
	}
	if end == x.done || x.s[end-1] != '"' && x.s[end-1] != '\'' {
		return end, ""
	}
	after := end
	end--
	for end > x.done && x.s[end-1] == '\\' {
		end--
	}
	return end, x.s[end:after]
}

// header hides the rest of the line after "Authorization: " and its kin. After other
// keys a colon with a space is prose: "invalid token: it has expired".
func (x *scan) header(key string, start int) int {
	for _, name := range [...]string{"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"} {
		if !strings.EqualFold(key, name) {
			continue
		}
		end := start
		for end < len(x.s) && strings.IndexByte("\r\n\"\\", x.s[end]) < 0 {
			end++
		}
		if end > start {
			x.replace(start, end, Text)
		}
		return max(end, start)
	}
	return start
}

// secretAt hides the value that begins at start: to the closing quote, or to the
// end of the word. quote is the key's; a value without quotes under a quoted key is
// JSON's, and gets them.
func (x *scan) secretAt(start int, quote string) int {
	open := start
	for open < len(x.s) && x.s[open] == '\\' {
		open++
	}
	if open < len(x.s) && (x.s[open] == '"' || x.s[open] == '\'') {
		end := closing(x.s, open+1, x.s[start:open+1])
		if end == len(x.s) && quote == "" { // rather the end of base64 in quotes
			return open + 1
		}
		if end > open+1 {
			x.replace(open+1, end, Text)
		}
		return max(end, open+1)
	}
	end := start
	for end < len(x.s) && strings.IndexByte(" \t\r\n,;&\"'\\<>)]}{[|", x.s[end]) < 0 {
		end++
	}
	switch word := x.s[start:end]; {
	case word == "" || word == "null" || word == "true" || word == "false":
		return max(start, end)
	case isScheme(word) && end+1 < len(x.s) && x.s[end] == ' ':
		return x.secretAt(end+1, "")
	}
	x.replace(start, end, quote+Text+quote)
	return end
}

func isScheme(word string) bool {
	return strings.EqualFold(word, "bearer") || strings.EqualFold(word, "basic") || strings.EqualFold(word, "digest")
}

// closing finds the quote that ends what quote began, one with as many backslashes;
// the end of the text where it was cut.
func closing(s string, from int, quote string) int {
	mark, escapes := quote[len(quote)-1], len(quote)-1
	run := 0
	for i := from; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			run++
			continue
		case s[i] == mark && run <= escapes:
			return i - run
		}
		run = 0
	}
	return len(s)
}
