// Package ferrettest runs the suite of a store in MongoDB on FerretDB, which speaks
// its protocol and lives in this process. It is a module of its own: FerretDB brings
// an SQLite driver by the same name as the app's, and two of a name are a panic.
//
// FerretDB's first generation has no transactions, and two that change one document at
// a time may lose a change. Where BULWARK_TEST_MONGO_URI names a real MongoDB, that is
// used, and held to the whole contract.
package ferrettest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/FerretDB/FerretDB/ferretdb"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// EnvURI names a real MongoDB.
const EnvURI = "BULWARK_TEST_MONGO_URI"

// Start returns an empty database of its own, which goes with the test.
func Start(t testing.TB) *mongo.Database {
	t.Helper()
	uri := os.Getenv(EnvURI)
	if uri == "" {
		uri = embedded(t)
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database("test_" + strings.ToLower(rand.Text()[:10]))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := db.Drop(ctx); err != nil {
			t.Error(err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	return db
}

// embedded runs a FerretDB until the test ends.
func embedded(t testing.TB) string {
	t.Helper()
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:  "sqlite", SQLiteURL: "file:" + t.TempDir() + "/",
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server.MongoDBURI()
}
