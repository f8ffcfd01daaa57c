// Command webook is the reference app: a small content community that shows every
// package of Bulwark at work. Without flags it starts everything it needs inside
// this process:
//
//	go run ./examples/webook
//	go run ./examples/webook -data ./webook-data          # keep what people wrote
//	go run ./examples/webook -config examples/webook/deploy/real.yaml
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"

	"github.com/bulwark-go/bulwark/examples/webook/app"
	"github.com/bulwark-go/bulwark/examples/webook/config"
)

// The exit codes.
const (
	exitOK = iota
	exitFailed
	exitUsage
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errOut io.Writer) int {
	begin := time.Now()
	// What these two write by themselves, our log says better.
	gin.SetMode(gin.ReleaseMode)
	redis.SetLogger(quiet{})

	cfg, path, err := configure(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return fail(errOut, exitUsage, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// From the first signal on the second one ends the process at once.
	context.AfterFunc(ctx, stop)

	webook, err := app.New(ctx, cfg, app.WithLog(errOut), app.WithConfigFile(path))
	if err != nil {
		return fail(errOut, exitFailed, err)
	}
	welcome(out, webook, time.Since(begin))
	if err := webook.Run(ctx); err != nil {
		return fail(errOut, exitFailed, err)
	}
	return exitOK
}

func configure(args []string, errOut io.Writer) (config.Config, string, error) {
	flags := flag.NewFlagSet("webook", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	path := flags.String("config", "", "YAML `file`; without one everything runs embedded")
	data := flags.String("data", "", "`folder` of the embedded servers; without one a temporary one that is removed at exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(errOut)
		flags.Usage()
		return config.Config{}, "", err
	} else if err != nil {
		return config.Config{}, "", err
	}
	if flags.NArg() > 0 {
		return config.Config{}, "", fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	cfg, err := config.Load(*path)
	if *data != "" {
		cfg.Data = *data
	}
	return cfg, *path, err
}

func welcome(out io.Writer, webook *app.App, took time.Duration) {
	fmt.Fprintf(out, "webook is ready after %v\n\n", took.Round(time.Millisecond))
	fmt.Fprintf(out, "  app      %s/hello\n", webook.URL())
	fmt.Fprintf(out, "  console  %s/console\n", webook.URL())
	if token := webook.ConsoleToken(); token != "" {
		fmt.Fprintf(out, "  token    %s  (for changes on the console)\n", token)
	}
	fmt.Fprintf(out, "  metrics  %s/metrics\n", webook.MetricsURL())
	if demo := webook.Demo(); demo.Password != "" {
		fmt.Fprintf(out, "  login    %s  %s\n", demo.Email, demo.Password)
		fmt.Fprintf(out, "  phones   %s/console/messages  (codes for logins by phone arrive here)\n", webook.URL())
	}
	fmt.Fprint(out, "\nCtrl-C stops it in good order, twice at once.\n\n")
}

// fail says in one line what is wrong.
func fail(errOut io.Writer, code int, err error) int {
	fmt.Fprintln(errOut, "webook:", strings.Join(strings.Fields(err.Error()), " "))
	return code
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
