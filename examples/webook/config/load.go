package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/ratelimit/rules"
)

// Load returns the configuration: defaults, overlaid by the YAML file at path
// (none when path is empty), overlaid by the environment. The error is one line
// that names each key that is unknown, of the wrong type or out of range.
func Load(path string) (Config, error) {
	var content []byte
	if path != "" {
		var err error
		if content, err = os.ReadFile(path); err != nil {
			return Config{}, fmt.Errorf("config: %w", err)
		}
	}
	cfg, err := parse(content)
	if err != nil && path != "" {
		return Config{}, fmt.Errorf("config: %s: %w", path, err)
	}
	if err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	return cfg, nil
}

var decode = mapstructure.ComposeDecodeHookFunc(
	ruleList,
	mapstructure.StringToTimeDurationHookFunc(),
	mapstructure.StringToSliceHookFunc(","),
	quoted,
	mapstructure.TextUnmarshallerHookFunc(),
)

// quoted refuses secrets that YAML took for a number: digits would be lost.
func quoted(from, to reflect.Type, value any) (any, error) {
	if to == reflect.TypeFor[logger.Secret]() && from.Kind() != reflect.String {
		return nil, errors.New("must be text in quotes")
	}
	return value, nil
}

// ruleList reads rules as package rules does, so that a typo is named.
func ruleList(from, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[[]rules.Rule]() || from == to {
		return value, nil
	}
	text, isText := value.(string)
	if !isText {
		asJSON, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		text = string(asJSON)
	}
	return rules.Parse([]byte(text))
}

func parse(content []byte) (Config, error) {
	v := withDefaults()
	if err := overlay(v, content); err != nil {
		return Config{}, err
	}
	v.SetEnvPrefix("WEBOOK")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	v.AutomaticEnv()

	var cfg Config
	if err := v.Unmarshal(&cfg, viper.DecodeHook(decode)); err != nil {
		return Config{}, fmt.Errorf("%s", oneLine(err.Error()))
	}
	return cfg, cfg.Validate()
}

// withDefaults returns a viper that knows every key, because one that has no
// default could not be set from the environment and would be taken for a typo.
func withDefaults() *viper.Viper {
	v := viper.New()
	each("", reflect.ValueOf(Default()), func(key string, value reflect.Value) {
		if _, ok := value.Interface().(logger.Secret); ok {
			v.SetDefault(key, "")
			return
		}
		v.SetDefault(key, value.Interface())
	})
	return v
}

func overlay(v *viper.Viper, content []byte) error {
	file := viper.New()
	file.SetConfigType("yaml")
	if err := file.ReadConfig(bytes.NewReader(content)); err != nil {
		return fmt.Errorf("%s", oneLine(err.Error()))
	}
	if err := checkKeys(v.AllKeys(), file.AllKeys()); err != nil {
		return err
	}
	return v.MergeConfigMap(file.AllSettings())
}

// checkKeys refuses keys that nobody reads: most of them are typos, and a typo in
// a limit is found at the worst time.
func checkKeys(known, given []string) error {
	var wrong []string
	slices.Sort(given)
	for _, key := range given {
		if slices.Contains(known, key) {
			continue
		}
		section := slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, key+".") })
		if section {
			wrong = append(wrong, key+" must be a section with keys")
			continue
		}
		wrong = append(wrong, "unknown key "+key)
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(wrong, "; "))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
