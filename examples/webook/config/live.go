package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/bulwark-go/bulwark/logger"
)

// settle is how long the file must stay the same before it is taken over: editors
// and Kubernetes write in several steps.
const settle = 100 * time.Millisecond

// Live is the configuration in force. It is safe for concurrent use.
type Live struct {
	current atomic.Pointer[Config]
}

// NewLive returns a Live that holds cfg, which must be valid.
func NewLive(cfg Config) *Live {
	l := &Live{}
	l.current.Store(&cfg)
	return l
}

// Get returns the configuration in force. It costs one atomic load. Do not change
// what it points to.
func (l *Live) Get() *Config { return l.current.Load() }

// Watch follows the file at path until ctx ends. A valid change comes into force
// at once and is handed to changed; a bad one is logged and the old values stay.
// Of the sections only those marked live are taken over: for the others the line
// in the log says that they wait for a restart.
func (l *Live) Watch(ctx context.Context, path string, log logger.Logger, changed func(Config)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("config: watch: %w", err)
	}
	defer w.Close()
	// The folder, not the file: a file that is replaced is another file.
	if err := w.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("config: watch %s: %w", path, err)
	}
	seen := read(path)
	if next, err := Load(path); err != nil || waiting(*l.Get(), l.merge(next)) != "none" {
		l.reload(path, log, changed) // it changed since the start
	}
	last, armed := seen, false
	look := time.NewTimer(settle)
	look.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.Events:
			// Not pushed back by each event: a busy neighbour in the folder must
			// not put the reload off for ever.
			if !armed {
				armed = true
				look.Reset(settle)
			}
		case err := <-w.Errors:
			log.Warn("configuration watch", logger.String("file", path), logger.Err(err))
		case <-look.C:
			now := read(path)
			if armed = now != last; armed {
				last = now
				look.Reset(settle)
			} else if now != seen {
				seen = now
				l.reload(path, log, changed)
			}
		}
	}
}

// read returns the file's content, or the reason why there is none: either is
// compared with what was there before.
func read(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func (l *Live) reload(path string, log logger.Logger, changed func(Config)) {
	next, err := Load(path)
	if err != nil {
		log.Error("configuration refused, the old one stays", logger.Err(err))
		return
	}
	merged := l.merge(next)
	l.current.Store(&merged)
	changed(merged)
	if next.Data == "" {
		next.Data = merged.Data // from the command line: no file says otherwise
	}
	log.Info("configuration taken over", logger.String("file", path),
		logger.String("waits_for_restart", waiting(merged, next)))
}

// merge returns what is in force with the live keys of next.
func (l *Live) merge(next Config) Config {
	merged := *l.Get()
	cost := merged.Users.BcryptCost
	merged.Users, merged.Limits, merged.Log.Level = next.Users, next.Limits, next.Log.Level
	merged.Users.BcryptCost = cost
	reads := merged.Interactive.Reads
	merged.Interactive = next.Interactive
	merged.Interactive.Reads = reads
	merged.Articles.Cache = next.Articles.Cache
	return merged
}
