package mask_test

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/logger/mask"
)

// plan says how mobile numbers of a country look: code, beginnings, national length.
type plan struct {
	code   string
	begin  []string
	length int
}

var plans = []plan{
	{"86", []string{"130", "133", "135", "138", "139", "145", "150", "159", "166", "170", "173", "178", "182", "186", "188", "189", "191", "193", "195", "198", "199"}, 11},
	{"1", []string{"212", "415", "650", "917"}, 10}, {"44", []string{"74", "77", "79"}, 10},
	{"49", []string{"151", "160", "171"}, 11}, {"33", []string{"6", "7"}, 9},
	{"81", []string{"70", "80", "90"}, 10}, {"82", []string{"10"}, 10},
	{"91", []string{"6", "7", "8", "9"}, 10}, {"852", []string{"5", "6", "9"}, 8},
	{"853", []string{"66", "68"}, 8}, {"886", []string{"9"}, 9}, {"65", []string{"8", "9"}, 8},
	{"61", []string{"4"}, 9}, {"7", []string{"9"}, 10}, {"55", []string{"119", "219"}, 11},
	{"52", []string{"55", "33"}, 10}, {"34", []string{"6", "7"}, 9}, {"39", []string{"32", "34", "38"}, 10},
	{"60", []string{"12", "17"}, 9}, {"971", []string{"50", "55"}, 9},
}

func (p plan) number(r *rand.Rand) string {
	for {
		n := p.begin[r.IntN(len(p.begin))]
		for len(n) < p.length {
			n += string(rune('0' + r.IntN(10)))
		}
		if p.code != "1" || n[3] >= '2' { // exchanges begin with 2 to 9
			return n
		}
	}
}

// groups parts a number the way people do, with one separator throughout.
func groups(n, sep string) string {
	switch len(n) {
	case 11:
		return n[:3] + sep + n[3:7] + sep + n[7:]
	case 10:
		return n[:3] + sep + n[3:6] + sep + n[6:]
	case 9:
		return n[:3] + sep + n[3:6] + sep + n[6:]
	}
	return n[:4] + sep + n[4:]
}

func fullWidth(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '+' {
			return r - '+' + '＋'
		}
		return r
	}, s)
}

// written are the ways to write a number; those without a country code are for China.
func written(p plan, n string) []string {
	full := "+" + p.code + n
	out := []string{
		full, "+" + p.code + " " + n, "00" + p.code + n, "+" + p.code + "-" + groups(n, "-"),
		"+" + p.code + " " + groups(n, " "), "(+" + p.code + ") " + groups(n, "-"),
		"+" + p.code + " " + groups(n, "."), fullWidth(full), fullWidth("+"+p.code) + "　" + fullWidth(groups(n, "－")),
		"+" + p.code + " (" + n[:3] + ") " + n[3:], "+" + p.code + "\u00a0" + groups(n, "\u2011"),
	}
	if p.code == "86" {
		out = append(out, n, groups(n, " "), groups(n, "-"), groups(n, "."), fullWidth(n), "86"+n, "86 "+n,
			n[:4]+" "+n[4:7]+" "+n[7:], n[:3]+" "+n[3:], "("+n[:3]+") "+n[3:7]+"-"+n[7:], "0086-"+n, "0086 "+groups(n, " "))
	}
	return out
}

type holder struct {
	Contact struct {
		Reach string `json:"reach"`
	} `json:"contact"`
	All map[string][]string
}

// shown is what a line shows of a number in each of the places it can be.
func shown(t *testing.T, number string) []string {
	rec := loggertest.New(t)
	log := logger.New(mask.New(rec))
	h := &holder{All: map[string][]string{"a": {number}}}
	h.Contact.Reach = number
	body, err := json.Marshal(h)
	require.NoError(t, err)
	again, err := json.Marshal(string(body))
	require.NoError(t, err)
	log.Info("sent to "+number+", ok", logger.String("text", "您的号码"+number+"已注册"),
		logger.String("url", "https://example.com/u?to="+url.QueryEscape(number)+"&x=1"),
		logger.String("path", "/users/"+url.PathEscape(number)+"/orders"),
		logger.String("json", string(body)), logger.String("jsonInJSON", string(again)),
		logger.String("lines", "a\n"+number+"\nb"), logger.String("key", "code:login:"+number),
		logger.Err(fmt.Errorf("send %s: %w", number, errors.New("rejected "+number+"."))),
		logger.Any("nested", h), logger.Group("g", logger.String("v", number)))
	r := rec.Records()[0]
	out := []string{r.Message}
	for key, v := range r.Fields {
		out = append(out, key+"="+fmt.Sprint(v))
	}
	return out
}

// plain removes everything but digits and asterisks, encoded bytes first.
func plain(s string) string {
	if u, err := url.QueryUnescape(strings.ReplaceAll(s, "+", "%2B")); err == nil {
		s = u
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '０' && r <= '９':
			return r - '０' + '0'
		case r >= '0' && r <= '9', r == '*':
			return r
		}
		return -1
	}, s)
}

func TestPhonesOfTwentyCountriesAreHiddenEverywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	missed := 0
	for _, p := range plans {
		for i := range 250 {
			n := p.number(r)
			ways := written(p, n)
			number := ways[i%len(ways)]
			for _, text := range shown(t, number) {
				digits := plain(text)
				if strings.Contains(digits, n) || strings.Contains(digits, n[:len(n)-1]) || !strings.Contains(digits, "****") {
					missed++
					t.Logf("shown: %s of %q (+%s)", text, number, p.code)
				}
			}
			if missed > 20 {
				t.FailNow()
			}
		}
	}
	require.Zero(t, missed)
}

// harmless generates what is no phone number, by kind.
func harmless(r *rand.Rand) []func() string {
	at := func() time.Time { return time.Unix(1.5e9+r.Int64N(5e8), r.Int64N(1e9)).UTC() }
	sum := func() []byte { return []byte(fmt.Sprint(r.Int64())) }
	snowflake := func() int64 { return at().UnixMilli()<<22 | r.Int64N(1<<22) }
	return []func() string{
		func() string { return fmt.Sprint(snowflake()) },
		func() string { return at().Format("20060102150405") + fmt.Sprintf("%06d", r.IntN(1e6)) },
		func() string { return "ORD-" + at().Format("20060102") + fmt.Sprintf("-%08d", r.IntN(1e8)) },
		func() string { return fmt.Sprintf("SO%012d", r.Int64N(1e12)) },
		func() string { return fmt.Sprintf("%03d-%07d-%07d", r.IntN(1000), r.IntN(1e7), r.IntN(1e7)) },
		func() string {
			return fmt.Sprintf("%04d-%04d-%04d-%04d", r.IntN(1e4), r.IntN(1e4), r.IntN(1e4), r.IntN(1e4))
		},
		func() string { return fmt.Sprintf("%016d", r.Int64N(1e16)) },
		func() string { return fmt.Sprintf("%010d", r.IntN(1e6)) },
		func() string { return fmt.Sprint(at().Unix()) },
		func() string { return fmt.Sprint(at().UnixMilli()) },
		func() string { return fmt.Sprint(at().UnixMicro()) },
		func() string { return fmt.Sprint(at().UnixNano()) },
		func() string { return at().Format(time.RFC3339Nano) },
		func() string { return at().Format("2006-01-02 15:04:05.000 +0800") },
		func() string { return at().Format(time.RFC1123) },
		func() string { return fmt.Sprintf("%d.%06d", at().Unix(), r.IntN(1e6)) },
		func() string { return fmt.Sprintf("%x", md5.Sum(sum())) },
		func() string { return fmt.Sprintf("%x", sha1.Sum(sum())) },
		func() string { return fmt.Sprintf("%X", sha256.Sum256(sum())) },
		func() string { h := sha256.Sum256(sum()); return base64.StdEncoding.EncodeToString(h[:]) },
		func() string {
			var b [16]byte
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		},
		func() string { return fmt.Sprintf("%d.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256)) },
		func() string { return fmt.Sprintf("%.11f", r.Float64()*100) },
		func() string {
			return fmt.Sprintf("v%d.%d.%d+build.%d", r.IntN(20), r.IntN(100), r.IntN(100), r.IntN(1e5))
		},
		func() string { return fmt.Sprintf("%016x", r.Uint64()) },
	}
}

func TestNumbersThatAreNoPhonesStay(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	wrong, total := map[int]int{}, 0
	for range 100_000 / 25 {
		for i, f := range harmless(r) {
			s := f()
			for _, text := range []string{s, "order " + s + " paid", `{"id":"` + s + `"}`, "订单" + s + "已付", "/orders/" + s + "?x=1"} {
				if got := mask.String(text); got != text {
					if wrong[i]++; wrong[i] < 4 {
						t.Logf("hidden: %s -> %s", text, got)
					}
					break
				}
			}
			total++
		}
	}
	n := 0
	for _, w := range wrong {
		n += w
	}
	require.Equal(t, 100_000, total)
	require.LessOrEqual(t, n, total/1000, "%v", wrong)
	t.Logf("%d of %d hidden", n, total)
}
