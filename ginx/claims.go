package ginx

import "github.com/gin-gonic/gin"

// claimsKey has one key per type of claims: no allocation and no clash.
type claimsKey[C any] struct{}

type userKey struct{}

// SetClaims stores who is logged in, for the Wrap…Claims handlers behind. It is
// what a login middleware calls. Claims are found by their exact type: what was
// set as C is not found as *C.
func SetClaims[C any](c *gin.Context, claims C) { c.Set(claimsKey[C]{}, claims) }

// ClaimsOf returns the claims of type C that [SetClaims] stored, and whether
// there are any.
func ClaimsOf[C any](c *gin.Context) (C, bool) {
	v, _ := c.Get(claimsKey[C]{})
	claims, ok := v.(C)
	return claims, ok
}

// SetUser names the user for the access log, where the id appears masked.
func SetUser(c *gin.Context, id string) { c.Set(userKey{}, id) }

func userOf(c *gin.Context) string {
	v, _ := c.Get(userKey{})
	id, _ := v.(string)
	return id
}
