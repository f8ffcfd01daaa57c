package smsx

import "unicode/utf16"

// gsm7 are the characters of GSM 03.38's default alphabet, one septet each;
// gsm7Extension those behind the escape sign, two each.
const (
	gsm7 = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Extension = "\f^{}\\[~]|€"
)

// septets tells how many septets a character takes; others are not in GSM-7.
var septets = func() map[rune]int {
	m := map[rune]int{}
	for _, r := range gsm7 {
		m[r] = 1
	}
	for _, r := range gsm7Extension {
		m[r] = 2
	}
	return m
}()

// Segments returns how many messages text is billed as: 160 septets make one
// message in GSM-7 and 153 one part of several; where a character is not in GSM-7,
// 70 and 67 UTF-16 units do. A character of two units or septets is never split
// between parts. An empty text is one message.
func Segments(text string) int {
	single, part, size := 160, 153, septetsOf
	for _, r := range text {
		if septets[r] == 0 {
			single, part, size = 70, 67, units
			break
		}
	}
	total, parts, used := 0, 1, 0
	for _, r := range text {
		n := size(r)
		total += n
		if used+n > part {
			parts, used = parts+1, 0
		}
		used += n
	}
	if total <= single {
		return 1
	}
	return parts
}

func septetsOf(r rune) int { return septets[r] }

func units(r rune) int { return max(1, utf16.RuneLen(r)) }
