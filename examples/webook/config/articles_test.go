package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/examples/webook/config"
	"github.com/bulwark-go/bulwark/logger"
)

func TestEachBadSettingOfArticlesIsNamed(t *testing.T) {
	real := config.DB{Driver: "mysql", DSN: logger.NewSecret("u@tcp(h)/db")}
	for key, spoil := range map[string]func(c *config.Config){
		"articles.storage":         func(c *config.Config) { c.Articles.Storage = "tape" },
		"articles.publish":         func(c *config.Config) { c.Articles.Publish = "" },
		"articles.titleMax":        func(c *config.Config) { c.Articles.TitleMax = 1025 },
		"articles.contentMax":      func(c *config.Config) { c.Articles.ContentMax = int(c.HTTP.BodyLimit) },
		"articles.partTimeout":     func(c *config.Config) { c.Articles.PartTimeout = c.HTTP.Timeout },
		"articles.cache.firstPage": func(c *config.Config) { c.Articles.Cache.FirstPage = 0 },
		"articles.cache.draft":     func(c *config.Config) { c.Articles.Cache.Draft = 25 * time.Hour },
		"articles.cache.published": func(c *config.Config) { c.Articles.Cache.Published = -1 },
		"articles.cache.timeout":   func(c *config.Config) { c.Articles.Cache.Timeout = time.Minute },
		"articles.cache.passMax":   func(c *config.Config) { c.Articles.Cache.PassMax = 0 },
		"articles.s3.bucket":       func(c *config.Config) { c.Articles.Storage, c.Articles.S3.Bucket = config.StorageS3, "No" },
		"articles.s3.region":       func(c *config.Config) { c.Articles.Storage, c.Articles.S3.Region = config.StorageS3, "" },
		"articles.s3.endpoint":     func(c *config.Config) { c.Articles.Storage, c.DB = config.StorageS3, real },
		"articles.s3.keyID": func(c *config.Config) {
			c.Articles.Storage, c.Articles.S3.Endpoint = config.StorageS3, "http://localhost:9000"
		},
		"articles.mongo.uri": func(c *config.Config) { c.Articles.Storage = config.StorageMongo },
		"articles.mongo.node": func(c *config.Config) {
			c.Articles.Storage = config.StorageMongo
			c.Articles.Mongo = config.Mongo{URI: logger.NewSecret("mongodb://h"), Database: "d", Node: 32}
		},
	} {
		t.Run(key, func(t *testing.T) {
			cfg := config.Default()
			spoil(&cfg)
			require.ErrorContains(t, cfg.Validate(), key)
		})
	}
	mongo := config.Default()
	mongo.Articles.Storage, mongo.Articles.Mongo.URI = config.StorageMongo, logger.NewSecret("mongodb://h")
	require.NoError(t, mongo.Validate())
}
