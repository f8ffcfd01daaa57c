#!/usr/bin/env bash
# Installs what the tests need beyond Go, where it is missing:
#
#   install.sh race      a C compiler, for go test -race
#   install.sh promtool  promtool, for the alert rules' tests
#   install.sh browser   Chromium, for the console's tests
#   install.sh wrk       wrk, for make load
#
# Several may be named. The real servers are the business of services.sh.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -gt 0 ] || { sed -n '2,9p' "${BASH_SOURCE[0]}" | cut -c3- >&2; exit 2; }
failed=0
for what; do
	case "$what" in
	race)
		# The C library's headers are only recommended by the compiler's package.
		if ! have gcc || ! printf '#include <stdlib.h>\n' | gcc -E - >/dev/null 2>&1; then
			install_packages gcc libc6-dev || failed=1
		fi
		;;
	promtool) need promtool prometheus || failed=1 ;;
	browser) have chromium || have chromium-browser || have google-chrome || need chromium chromium || failed=1 ;;
	wrk) need wrk wrk || failed=1 ;;
	*)
		say "install.sh: unknown: $what" >&2
		exit 2
		;;
	esac
done
exit "$failed"
