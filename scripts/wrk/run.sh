#!/bin/sh
# Loads a running webook with each script in turn.
#
#   scripts/wrk/run.sh [URL] [SECONDS] [CONNECTIONS] [SCRIPT...]
#
# The app must be started without its limits, as all load comes from one address:
#
#   WEBOOK_LIMITS_PERADDRESS='[]' WEBOOK_LIMITS_PERUSER='[]' go run ./examples/webook
#
# Script "limited" asks for more than the limits allow, and is for an app that has
# its own:
#
#   scripts/wrk/run.sh http://localhost:8080 10 32 limited
#
# Needs wrk and curl. Fails when any answer is not what the script wants.
set -eu

url=${1:-http://localhost:8080}
seconds=${2:-30}
connections=${3:-64}
[ $# -gt 3 ] && shift 3 || set -- signup login profile

WRK_SCRIPTS=$(dirname "$0")
RUN=load$(date +%s)
EMAIL=$RUN@example.com
PASSWORD='correct#horse7'
AGENT=wrk
export WRK_SCRIPTS RUN EMAIL PASSWORD AGENT

json='Content-Type: application/json'
curl -fsS -o /dev/null -A "$AGENT" -H "$json" "$url/users/signup" \
  -d "{\"email\":\"$EMAIL\",\"password\":\"$PASSWORD\",\"confirmPassword\":\"$PASSWORD\"}"
TOKEN=$(curl -fsS -o /dev/null -D - -A "$AGENT" -H "$json" "$url/users/login" \
  -d "{\"email\":\"$EMAIL\",\"password\":\"$PASSWORD\"}" | tr -d '\r' | sed -n 's/^[Xx]-[Jj]wt-[Tt]oken: //p')
[ -n "$TOKEN" ] || { echo "$0: no token from $url" >&2; exit 1; }
export TOKEN

for script; do
  echo "== $script: $connections connections, $seconds s"
  wrk -t2 -c"$connections" -d"${seconds}s" --timeout 10s -s "$WRK_SCRIPTS/$script.lua" "$url"
done
