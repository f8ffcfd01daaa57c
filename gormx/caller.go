package gormx

import (
	"runtime"
	"strconv"
	"strings"
)

// notCallers begin the names of functions that are not the caller: ours, gorm's and
// those of the SQLite dialector that lives outside gorm.io.
var notCallers = [...]string{"github.com/bulwark-go/bulwark/gormx.", "gorm.io/", "github.com/glebarez/sqlite."}

// maxFrames bounds the walk up the stack: associations and hooks of gorm nest, but
// not as deep as this.
const maxFrames = 48

// caller returns "dir/file.go:line" of the code that called gorm, empty when it is
// out of reach.
func caller() string {
	var pcs [maxFrames]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.Function != "" && !isOurs(frame.Function) {
			return lastTwo(frame.File) + ":" + strconv.Itoa(frame.Line)
		}
		if !more {
			return ""
		}
	}
}

// lastTwo shortens a path to its file and directory.
func lastTwo(path string) string {
	slash := strings.LastIndexByte(path, '/')
	if slash <= 0 {
		return path
	}
	return path[strings.LastIndexByte(path[:slash], '/')+1:]
}

func isOurs(function string) bool {
	for _, prefix := range notCallers {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
