package config

import (
	"reflect"
	"strings"

	"github.com/bulwark-go/bulwark/logger"
)

// waiting names the keys in which wanted differs from what is in force.
func waiting(inForce, wanted Config) string {
	values := map[string]any{}
	each("", reflect.ValueOf(inForce), func(key string, v reflect.Value) { values[key] = plain(v) })
	var keys []string
	each("", reflect.ValueOf(wanted), func(key string, v reflect.Value) {
		if !reflect.DeepEqual(values[key], plain(v)) {
			keys = append(keys, key)
		}
	})
	if len(keys) == 0 {
		return "none"
	}
	return strings.Join(keys, " ")
}

// plain reveals secrets, which never equal each other as they are.
func plain(v reflect.Value) any {
	if secret, ok := v.Interface().(logger.Secret); ok {
		return secret.Reveal()
	}
	return v.Interface()
}

// each calls f for every key with its value.
func each(prefix string, section reflect.Value, f func(key string, value reflect.Value)) {
	for i := range section.NumField() {
		key, value := prefix+section.Type().Field(i).Tag.Get("mapstructure"), section.Field(i)
		if _, secret := value.Interface().(logger.Secret); !secret && value.Kind() == reflect.Struct {
			each(key+".", value, f)
			continue
		}
		f(key, value)
	}
}
