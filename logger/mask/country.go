package mask

// span is how many digits national numbers have.
type span struct{ min, max uint8 }

// usual is the span of countries whose plan leaves more room than E.164 needs.
var usual = span{6, 12}

// countries holds the calling codes that are assigned to countries, by code.
// Source: ITU-T E.164, the list of assigned country codes.
var countries = [1000]span{
	1: {10, 10}, 7: {10, 10},
	20: {8, 10}, 27: {9, 9}, 211: usual, 212: {9, 9}, 213: {8, 9}, 216: {8, 8}, 218: {8, 10},
	220: usual, 221: usual, 222: usual, 223: usual, 224: usual, 225: usual, 226: usual, 227: usual,
	228: usual, 229: usual, 230: usual, 231: usual, 232: usual, 233: {9, 9}, 234: {8, 10}, 235: usual,
	236: usual, 237: usual, 238: usual, 239: usual, 240: usual, 241: usual, 242: usual, 243: usual,
	244: usual, 245: usual, 246: usual, 247: usual, 248: usual, 249: usual, 250: usual, 251: {9, 9},
	252: usual, 253: usual, 254: {9, 10}, 255: {9, 9}, 256: {9, 9}, 257: usual, 258: usual, 260: usual,
	261: usual, 262: usual, 263: usual, 264: usual, 265: usual, 266: usual, 267: usual, 268: usual,
	269: usual, 290: usual, 291: usual, 297: usual, 298: usual, 299: usual,
	30: {10, 10}, 31: {9, 9}, 32: {8, 9}, 33: {9, 9}, 34: {9, 9}, 36: {8, 9}, 39: {6, 11},
	350: usual, 351: {9, 9}, 352: usual, 353: {7, 9}, 354: {7, 9}, 355: usual, 356: {8, 8}, 357: {8, 8},
	358: usual, 359: {8, 9}, 370: {8, 8}, 371: {8, 8}, 372: {7, 8}, 373: {8, 8}, 374: {8, 8},
	375: {9, 10}, 376: usual, 377: usual, 378: usual, 380: {9, 9}, 381: usual, 382: usual, 383: usual,
	385: {8, 9}, 386: {8, 8}, 387: {8, 9}, 389: {8, 8},
	40: {9, 9}, 41: {9, 9}, 43: {7, 13}, 44: {9, 10}, 45: {8, 8}, 46: {7, 10}, 47: {8, 8}, 48: {9, 9},
	49: {7, 13}, 420: {9, 9}, 421: {9, 9}, 423: {7, 9},
	51: {8, 9}, 52: {10, 11}, 53: {6, 8}, 54: {10, 11}, 55: {10, 11}, 56: {9, 9}, 57: {8, 10}, 58: {10, 10},
	500: usual, 501: usual, 502: {8, 8}, 503: {8, 8}, 504: {8, 8}, 505: {8, 8}, 506: {8, 8}, 507: {7, 8},
	508: usual, 509: {8, 8}, 590: {9, 9}, 591: {8, 8}, 592: usual, 593: {8, 9}, 594: {9, 9}, 595: {8, 9},
	596: {9, 9}, 597: usual, 598: {8, 8}, 599: usual,
	60: {7, 10}, 61: {9, 9}, 62: {7, 12}, 63: {8, 10}, 64: {8, 10}, 65: {8, 8}, 66: {8, 9},
	670: usual, 672: usual, 673: usual, 674: usual, 675: usual, 676: usual, 677: usual, 678: usual,
	679: usual, 680: usual, 681: usual, 682: usual, 683: usual, 685: usual, 686: usual, 687: usual,
	688: usual, 689: usual, 690: usual, 691: usual, 692: usual,
	81: {9, 10}, 82: {8, 11}, 84: {9, 10}, 86: {9, 11}, 850: usual, 852: {8, 8}, 853: {8, 8},
	855: {8, 9}, 856: {8, 10}, 880: {8, 10}, 886: {8, 9},
	90: {10, 10}, 91: {10, 10}, 92: {9, 10}, 93: {9, 9}, 94: {9, 9}, 95: {7, 10}, 98: {10, 10},
	960: usual, 961: {7, 8}, 962: {8, 9}, 963: usual, 964: {8, 10}, 965: {8, 8}, 966: {8, 9}, 967: usual,
	968: {8, 8}, 970: {8, 9}, 971: {8, 9}, 972: {8, 9}, 973: {8, 8}, 974: {8, 8}, 975: usual, 976: {8, 8},
	977: {8, 10}, 979: usual, 992: {9, 9}, 993: {8, 8}, 994: {9, 9}, 995: {9, 9}, 996: {9, 9}, 998: {9, 9},
}

// countryOf returns the length of the country code that n begins with, and what may
// follow it; 0 for none. No code is the beginning of another.
func countryOf(n []byte) (int, span) {
	code := 0
	for i := 0; i < len(n) && i < 3; i++ {
		code = code*10 + int(n[i]-'0')
		if s := countries[code]; s.max > 0 && n[0] != '0' {
			return i + 1, s
		}
	}
	return 0, span{}
}
