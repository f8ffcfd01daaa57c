// Command testreport runs go test with the arguments it is given and tells what
// did not run: beside the failures it lists every skipped test with its reason,
// so that nothing is left out in silence.
//
//	go run ./scripts/testreport -race work
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	cmd := exec.Command("go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	r := newReport(os.Stdout)
	readErr := read(events, r)
	runErr := cmd.Wait()
	r.summary()
	for _, err := range []error{readErr, runErr} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "testreport: go test:", err)
			os.Exit(1)
		}
	}
}

// read feeds a go test -json stream to the report. Lines that are no events are
// printed as they are.
func read(stream io.Reader, r *report) error {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				r.add(e)
			} else {
				r.print(string(line))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
