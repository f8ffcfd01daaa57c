package ginx_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingOfAnApplicationIsImported(t *testing.T) {
	const module = "github.com/bulwark-go/bulwark/"
	allowed := map[string]bool{
		module + "observe": true, module + "logger": true, module + "logger/mask": true,
		module + "ratelimit": true, module + "ratelimit/rules": true,
		module + "ratelimit/concurrency": true, module + "circuitbreaker": true,
		"github.com/gin-gonic/gin": true, "github.com/gin-gonic/gin/binding": true,
		"github.com/gin-gonic/gin/codec/json": true, "github.com/gin-contrib/cors": true,
		"github.com/go-playground/validator/v10": true, "golang.org/x/net/publicsuffix": true,
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if strings.Contains(path, ".") {
				require.True(t, allowed[path], "%s imports %s", name, path)
			}
		}
	}
}
