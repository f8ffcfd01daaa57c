package redislimit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// longest is how long a key may be and still be stored as it is.
const longest = 64

// keyspace builds Redis keys: "<prefix>:{<length>:<key>}", where the length keeps
// any two keys apart whatever they hold, and the braces make Redis Cluster look at
// what is between them only. A key that is long, or holds a brace itself, or has
// to be hidden, is replaced: "<prefix>:{#:<hash>}".
type keyspace struct {
	prefix string
	secret []byte
}

func (k keyspace) key(subject string) string {
	if k.secret != nil || len(subject) > longest || strings.ContainsAny(subject, "{}") {
		return k.prefix + ":{#:" + k.hash(subject) + "}"
	}
	return k.prefix + ":{" + strconv.Itoa(len(subject)) + ":" + subject + "}"
}

// hash shortens to 144 bits, which nobody finds two keys for.
func (k keyspace) hash(subject string) string {
	var sum []byte
	if k.secret != nil {
		mac := hmac.New(sha256.New, k.secret)
		mac.Write([]byte(subject))
		sum = mac.Sum(nil)
	} else {
		all := sha256.Sum256([]byte(subject))
		sum = all[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}
