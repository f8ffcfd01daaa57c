# Shared by the scripts here: source it, do not run it.
# shellcheck shell=bash

shopt -s inherit_errexit # or $(command) would swallow failures

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache

say() { printf '%s\n' "$*"; }

# loud prints what nobody should overlook.
loud() {
	printf '\n%s\n' '!!! ----------------------------------------------------------------' >&2
	printf '!!! %s\n' "$@" >&2
	printf '%s\n\n' '!!! ----------------------------------------------------------------' >&2
}

have() { command -v "$1" >/dev/null 2>&1; }

# retry runs a command up to three times: package mirrors have their moments.
retry() {
	local try
	for try in 1 2 3; do
		"$@" && return 0
		[ "$try" = 3 ] || sleep $((try * 5))
	done
	return 1
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -q "$@" </dev/null
}

# install_packages installs Debian packages without starting the daemons that
# come with them. It says no, with the reason, where it cannot.
install_packages() {
	local policy=/usr/sbin/policy-rc.d ours='' status=0
	have apt-get || { say "cannot install $*: this is not a Debian system" >&2; return 1; }
	[ "$(id -u)" = 0 ] || { say "cannot install $*: not root" >&2; return 1; }
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && ours=yes
	fi
	# The lists of a long-lived or bare machine are stale or missing.
	mkdir -p /usr/share/man/man1 # slim images lack it, and Java will not install without
	{ retry apt_get update && retry apt_get install -y --no-install-recommends "$@"; } || status=1
	[ -z "$ours" ] || rm -f "$policy"
	return "$status"
}

# need finds a command, or installs the package that has it.
need() { # command package
	have "$1" || { install_packages "$2" && have "$1"; }
}
