#!/usr/bin/env bash
# Runs all tests against real servers: starts them unless they are up, and stops
# again what it started. Arguments replace the packages, and may hold flags of go
# test. What did not run, for want of a server too, is listed at the end.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

if ! scripts/services.sh status >/dev/null 2>&1; then
	trap 'scripts/services.sh down' EXIT
	trap 'exit 130' INT TERM
	scripts/services.sh up
fi
eval "$(scripts/services.sh env)"
status=0
# Packages one after the other: they share the servers, and timing tests the machine.
[ $# -gt 0 ] || set -- work
go run ./scripts/testreport -count=1 -p 1 "$@" || status=$?
scripts/services.sh status # once more, so that a missing server is not scrolled away
exit "$status"
