package redisquota_test

import (
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/smsx/redisquota"
)

func ExampleNew() {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379"})
	defer func() { _ = rdb.Close() }()
	_, err = redisquota.New(rdb, redisquota.WithZone(shanghai), redisquota.WithPrefix("sms"))
	fmt.Println(err)
	// Output: <nil>
}
