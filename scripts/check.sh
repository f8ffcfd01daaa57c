#!/usr/bin/env bash
# Everything that `make check` looks at, short of running tests. All of it runs;
# what failed, and what could not run, is named at the end.
set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root" || exit 1

# Without it every check below would pass on nothing.
git ls-files --error-unmatch go.mod >/dev/null || { loud 'this is not a git work tree that git will read'; exit 1; }

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
failed=() unable=()

files() { git ls-files -z --cached --others --exclude-standard -- "$@"; }

modules() { files 'go.mod' '*/go.mod' | xargs -0 -n 1 dirname; }

# step runs a check and remembers its failure.
step() {
	local name=$1
	shift
	say "== $name"
	"$@" || failed+=("$name")
}

# each runs a command in every module, with the workspace off: a workspace hides
# requirements that a module lacks.
each() {
	local module status=0
	while read -r module; do
		(cd "$module" && GOWORK=off "$@") || { say "   in $module" >&2; status=1; }
	done < <(modules)
	return "$status"
}

# tool builds a command once and prints where it is.
tool() {
	local dir=$cache/tools/${1##*/}
	[ -x "$dir/$(basename "${1%@*}")" ] || GOWORK=off GOFLAGS= GOBIN="$dir" retry go install "$1" >&2 || return 1
	say "$dir/$(basename "${1%@*}")"
}

formatted() {
	local bad
	bad=$(files '*.go' | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh | xargs -0 gofmt -l) || return 1
	[ -z "$bad" ] || { printf 'not formatted:\n%s\n' "$bad" >&2; return 1; }
}

lint() {
	local bin
	bin=$(tool "$staticcheck") || return 1
	each "$bin" ./...
}

# vulnerable is a check where the database of vulnerabilities can be reached.
vulnerable() {
	local bin out status=0 module
	bin=$(tool "$govulncheck") || return 1
	while read -r module; do
		out=$(cd "$module" && GOWORK=off "$bin" ./... 2>&1)
		case $? in
		0) ;;
		3) printf '%s\n   in %s\n' "$out" "$module" >&2; status=1 ;;
		*)
			if grep -qiE 'fetching vulnerabilities|dial tcp|no such host' <<<"$out"; then
				unable+=("known vulnerabilities (govulncheck): its database cannot be reached: $(tail -n 1 <<<"$out")")
				return 0
			fi
			printf '%s\n   in %s\n' "$out" "$module" >&2
			status=1
			;;
		esac
	done < <(modules)
	return "$status"
}

# secrets looks for what must never be in a repository: private keys, and tokens
# that their issuers made recognisable. A made-up one in a test is put together
# from parts there.
secrets() {
	local patterns=(
		'-----BEGIN ([A-Z]+ )*PRIVATE KEY( BLOCK)?-----'
		'(AKIA|ASIA)[0-9A-Z]{16}'                   # AWS
		'LTAI[0-9A-Za-z]{16,}'                      # Alibaba Cloud
		'AKID[0-9A-Za-z]{32}'                       # Tencent Cloud
		'AIza[0-9A-Za-z_-]{35}'                     # Google
		'gh[pousr]_[0-9A-Za-z]{36}'                 # GitHub
		'glpat-[0-9A-Za-z_-]{20}'                   # GitLab
		'xox[abposr]-[0-9A-Za-z-]{10,}'             # Slack
		'sk_live_[0-9A-Za-z]{16,}'                  # Stripe
		'eyJ[0-9A-Za-z_-]{16,}\.eyJ[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}' # a signed JWT
		'[a-z]+://[^/[:space:]:@"$%{}*]+:[^/[:space:]:@"$%{}*]{8,}@[a-z0-9.-]+\.[a-z]{2,}' # a password in a URL
	)
	local joined hits
	joined=$(IFS='|'; printf '%s' "${patterns[*]}")
	hits=$(files . ':!go.sum' ':!*/go.sum' | xargs -0 grep -InE -- "$joined" /dev/null 2>/dev/null | cut -d : -f 1,2)
	[ -z "$hits" ] || { printf 'looks like a secret:\n%s\n' "$hits" >&2; return 1; }
}

mutants() {
	compgen -G 'testdata/mutants/*.patch' >/dev/null || { say 'no mutants yet' >&2; return 0; }
	go run ./scripts/mutants -check
}

shells() {
	local file status=0
	while IFS= read -r -d '' file; do bash -n "$file" || status=1; done < <(files 'scripts/*.sh' '.ci/run')
	return "$status"
}

# What .gitignore names was left by a run, and does not belong to the tree.
leftovers() {
	local kept
	kept=$(git ls-files --cached --ignored --exclude-standard)
	[ -z "$kept" ] || { printf '%s\n' "$kept"; return 1; }
}

step 'gofmt' formatted
step 'go vet, each module by itself' each go vet ./...
step 'go mod tidy, each module by itself' each go mod tidy -diff
step 'staticcheck' lint
step 'known vulnerabilities' vulnerable
step 'secrets' secrets
step 'leftovers' leftovers
step 'shell syntax' shells
step 'mutants apply' mutants

[ ${#unable[@]} = 0 ] || loud 'COULD NOT RUN:' "${unable[@]}"
[ ${#failed[@]} = 0 ] || { loud 'FAILED:' "${failed[@]}"; exit 1; }
say 'all checks passed'
