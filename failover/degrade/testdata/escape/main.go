// Command escape does not compile: a result that may be a stand-in is no value.
package main

import "github.com/bulwark-go/bulwark/failover/degrade"

func keep(string) {}

func main() {
	var page degrade.Result[string]
	keep(page)
	keep(page.value)
}
