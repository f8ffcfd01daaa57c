package ginx

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"
)

// KeyFunc names the subject of a request: who or what has a budget of its own. It
// returns "" when it can not tell, see [WithEmptyKey]. The keys of this package
// begin with their kind, as in "user:42", so that a user named like an address is
// no address. Where clients choose the key they choose its length: what is longer than
// 256 bytes is replaced by its SHA-256 before a limiter has to remember it.
type KeyFunc func(c *gin.Context) string

// longestKey is in bytes.
const longestKey = 256

// short returns key, or a digest of a long one. Nobody gains by naming a digest: who
// may choose such a key may as well choose the long one.
func short(key string) string {
	if len(key) <= longestKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ByIP keys requests by the client's address. An IPv6 address counts as its /64
// network, which is what one subscriber has; [ByNetwork] for others. An IPv4 address
// counts as such also in the clothes of IPv6, mapped or translated (64:ff9b::/96).
//
// The address is gin's ClientIP, and gin believes the X-Forwarded-For of everybody
// unless told otherwise: call engine.SetTrustedProxies with your own proxies, or
// with nil when there are none, or clients choose their key themselves.
func ByIP() KeyFunc { return ByNetwork(32, 64) }

// ByNetwork is [ByIP] for networks of other sizes: addresses that share their first
// ipv4 or ipv6 bits share a budget. Sizes out of range, 0 to 32 and 0 to 128, are
// brought into it.
func ByNetwork(ipv4, ipv6 int) KeyFunc {
	ipv4, ipv6 = min(max(ipv4, 0), 32), min(max(ipv6, 0), 128)
	return func(c *gin.Context) string {
		ip := clientAddr(c)
		bits := ipv4
		if ip.Is6() {
			bits = ipv6
		}
		switch {
		case !ip.IsValid():
			return ""
		case bits == ip.BitLen():
			return "ip:" + ip.String()
		default:
			return "ip:" + netip.PrefixFrom(ip, bits).Masked().String()
		}
	}
}

// clientAddr is the client's address without what could keep it out of its network;
// invalid when gin knows none, as behind a Unix socket.
func clientAddr(c *gin.Context) netip.Addr {
	ip, err := netip.ParseAddr(c.ClientIP())
	if err != nil {
		return netip.Addr{}
	}
	ip = ip.Unmap().WithZone("")
	if translated.Contains(ip) {
		b := ip.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}

// translated is where RFC 6052 puts the IPv4 clients of a network that has IPv6 only.
// They are many, and one of the usual prefixes would be the same for all.
var translated = netip.MustParsePrefix("64:ff9b::/96")

// ByUser keys requests by the id that [SetUser] stored: put it behind the login.
// Guests have no key.
func ByUser() KeyFunc { return By("user", userOf) }

// ByRoute keys requests by method and route template. All requests that match no
// route share a key.
func ByRoute() KeyFunc { return By("route", routeOf) }

// routeOf takes from a closed set, whatever clients send.
func routeOf(c *gin.Context) string {
	labels := startLabels(c.Request.Method, c.FullPath())
	return labels[0] + " " + labels[1]
}

// By keys requests by what f returns, a tenant or an API key; "" for none. kind
// keeps these keys apart from others: a constant without a colon.
func By(kind string, f func(c *gin.Context) string) KeyFunc {
	if f == nil {
		return nil
	}
	return func(c *gin.Context) string {
		value := f(c)
		if value == "" {
			return ""
		}
		return kind + ":" + value
	}
}

// Join keys requests by several keys together: ByUser and ByRoute give each user a
// budget on each route. Each part is prefixed by its length, so that no value can
// pass for another combination. Without one of the parts there is no key.
func Join(keys ...KeyFunc) KeyFunc {
	if slices.ContainsFunc(keys, isNil) {
		return nil
	}
	return func(c *gin.Context) string {
		var joined []byte
		for _, key := range keys {
			part := key(c)
			if part == "" {
				return ""
			}
			joined = strconv.AppendInt(joined, int64(len(part)), 10)
			joined = append(joined, ':')
			joined = append(joined, part...)
		}
		return string(joined)
	}
}

// isNil lets By, Join and FirstOf pass a mistake on to the middleware, which says it.
func isNil(key KeyFunc) bool { return key == nil }

// FirstOf keys requests by the first key that is known: ByUser and ByIP limit those
// who are logged in by user, and guests by address.
func FirstOf(keys ...KeyFunc) KeyFunc {
	if slices.ContainsFunc(keys, isNil) {
		return nil
	}
	return func(c *gin.Context) string {
		for _, key := range keys {
			if k := key(c); k != "" {
				return k
			}
		}
		return ""
	}
}
