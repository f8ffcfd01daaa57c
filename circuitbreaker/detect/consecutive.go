package detect

import (
	"fmt"
	"time"
)

// Consecutive finds the target ill after n failures in a row, whatever time they
// took to come. With 10 % of calls failing anyway, n = 5 is wrong 9 times in a
// million calls and n = 3 900 times; combine it with [ErrorRate], which needs more
// traffic but is not fooled by one success in between.
func Consecutive(n int) Spec {
	return specFunc(func() (Detector, error) {
		if n < 1 {
			return nil, violation("consecutive", "failures", n, "at least 1")
		}
		return &consecutive{limit: n}, nil
	})
}

type consecutive struct{ limit, run int }

func (d *consecutive) Record(c Call) bool {
	if !c.Failed {
		d.run = 0
		return false
	}
	d.run++
	return d.run >= d.limit
}

func (d *consecutive) Ill(time.Duration) (string, bool) {
	if d.run < d.limit {
		return "", false
	}
	return fmt.Sprintf("%d failures in a row", d.run), true
}
