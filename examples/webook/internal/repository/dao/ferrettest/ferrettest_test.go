package ferrettest_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/daotest"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/ferrettest"
	"github.com/bulwark-go/bulwark/examples/webook/internal/repository/dao/mongodao"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestArticlesInMongoDB(t *testing.T) { daotest.ArticlesOneByOne(t, open) }

func TestArticlesInMongoDBAtOnce(t *testing.T) {
	if os.Getenv(ferrettest.EnvURI) == "" {
		t.Skipf("needs a real MongoDB in %s: FerretDB looks a document up and changes it in two steps, where MongoDB's are atomic", ferrettest.EnvURI)
	}
	daotest.ArticlesAtOnce(t, open)
}

func open(t *testing.T) dao.ArticleStore {
	db := ferrettest.Start(t)
	store, err := mongodao.New(db, 1)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, store.Migrate(t.Context()), "a second start must find the indexes as it wants them")
	}
	return store
}
