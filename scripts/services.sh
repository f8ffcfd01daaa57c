#!/usr/bin/env bash
# Starts and stops the real servers that `make test-real` runs the tests against:
#
#   services.sh up      start Redis, MariaDB, PostgreSQL and Kafka
#   services.sh env     print the exports that point the tests at them
#   services.sh status  tell what runs, and what could not be had; fails where nothing runs
#   services.sh down    stop them and remove all they wrote
#
# Where a Docker engine answers they are containers; elsewhere private instances of
# Debian's packages, and a Kafka that Maven assembles, all on free loopback ports
# with their data in one temporary folder. The daemons of the machine are not touched.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

names='redis mariadb postgres kafka'
state=$cache/services # what is up: dir, mode, env, missing
compose() { docker compose -f "$root/scripts/services/compose.yaml" "$@"; }

main() {
	case "${1:-}" in
	up) up ;;
	env) cat "$state/env" 2>/dev/null || { say 'nothing is up' >&2; return 1; } ;;
	status) status ;;
	down) down ;;
	*) sed -n '2,11p' "${BASH_SOURCE[0]}" | cut -c3- >&2; return 2 ;;
	esac
}

up() {
	if [ -e "$state/mode" ]; then
		if running; then say 'already up'; status; return 0; fi
		say 'what was up has gone; starting again'
		down
	fi
	mkdir -p "$state"
	: >"$state/env"
	: >"$state/missing"
	password=$(head -c 18 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9')
	if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
		up_containers
	else
		up_packages
	fi
	status # fails where nothing at all could be had
}

# running tells whether anything that was started still runs.
running() {
	if [ "$(cat "$state/mode")" = docker ]; then
		[ -n "$(compose --env-file "$state/compose.env" ps -q)" ]
		return
	fi
	dir=$(cat "$state/dir")
	local name
	for name in $names; do
		if ours "$name"; then return 0; fi
	done
	return 1
}

# ours tells whether a server's process is there, and is not someone else's who
# got its id since: ours work inside the folder.
ours() {
	[ -e "$dir/$1.pid" ] || return 1
	case "$(readlink "/proc/$(cat "$dir/$1.pid")/cwd" 2>/dev/null)" in
	"$dir" | "$dir"/*) return 0 ;;
	*) return 1 ;;
	esac
}

# --- Docker ------------------------------------------------------------------

up_containers() {
	say 'a Docker engine answers: starting containers'
	echo docker >"$state/mode"
	local name
	{
		printf 'PASSWORD=%s\n' "$password"
		for name in $names; do printf '%s_PORT=%s\n' "${name^^}" "$(free_port)"; done
	} >"$state/compose.env"
	# One after the other, so that an image that cannot be had costs one service.
	for name in $names; do
		if retry compose --env-file "$state/compose.env" up -d --wait --quiet-pull "$name"; then
			announce "$name" "$(sed -n "s/^${name^^}_PORT=//p" "$state/compose.env")"
		else
			printf '%s: the container did not start\n' "$name" >>"$state/missing"
		fi
	done
}

# --- Packages ----------------------------------------------------------------

up_packages() {
	say 'no Docker engine answers: starting private instances of packages'
	dir=$(mktemp -d "${TMPDIR:-/tmp}/bulwark-services.XXXXXX")
	chmod 755 "$dir"
	echo packages >"$state/mode"
	echo "$dir" >"$state/dir"
	local name port status
	for name in $names; do
		port=$(free_port)
		mkdir -p "$dir/$name"
		say "starting $name on 127.0.0.1:$port"
		set +e # a condition would switch -e off inside, too
		(set -euo pipefail; "start_$name" "$port") >"$dir/$name.out" 2>&1
		status=$?
		set -e
		if [ "$status" = 0 ]; then
			announce "$name" "$port"
		else
			printf '%s: %s\n' "$name" "$(tail -n 1 "$dir/$name.out")" >>"$state/missing"
			say "$name did not start; the end of its log:" >&2
			tail -n 20 "$dir/$name.out" >&2
		fi
	done
}

start_redis() {
	need redis-server redis-server
	# Tests take a logical database each, hence the many.
	daemon redis root redis-server --bind 127.0.0.1 --port "$1" --dir "$dir/redis" \
		--save '' --appendonly no --databases 512
	await redis "$1" redis_answers
}

redis_answers() {
	local reply
	exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'PING\r\n' >&3 && read -r -t 2 reply <&3 && [ "$reply" = $'+PONG\r' ]
}

start_mariadb() {
	need mariadbd mariadb-server-core
	need my_print_defaults mariadb-client-core # mariadb-install-db asks for it
	local user
	user=$(unprivileged mysql)
	cat >"$dir/mariadb.sql" <<-SQL
		CREATE USER 'bulwark'@'127.0.0.1' IDENTIFIED BY '$password';
		GRANT ALL ON *.* TO 'bulwark'@'127.0.0.1';
	SQL
	chown -R "$user" "$dir/mariadb" "$dir/mariadb.sql"
	chmod 600 "$dir/mariadb.sql"
	(as "$user" mariadb-install-db --no-defaults --datadir="$dir/mariadb/data" --skip-test-db \
		--auth-root-authentication-method=normal)
	daemon mariadb "$user" mariadbd --no-defaults --datadir="$dir/mariadb/data" \
		--bind-address=127.0.0.1 --port="$1" --socket="$dir/mariadb/socket" --init-file="$dir/mariadb.sql" \
		--skip-name-resolve --character-set-server=utf8mb4 --max-connections=400 \
		--innodb-flush-log-at-trx-commit=0 --innodb-buffer-pool-size=128M
	await mariadb "$1" logged "ready for connections"
}

start_postgres() {
	local bin user
	bin=$(postgres_bin) || { install_packages postgresql && bin=$(postgres_bin); } || return 1
	user=$(unprivileged postgres)
	printf '%s' "$password" >"$dir/postgres.password"
	chown -R "$user" "$dir/postgres" "$dir/postgres.password"
	chmod 600 "$dir/postgres.password"
	(as "$user" "$bin/initdb" --pgdata="$dir/postgres/data" --username=postgres --auth=scram-sha-256 \
		--pwfile="$dir/postgres.password" --encoding=UTF8 --no-sync --locale=C.UTF-8)
	daemon postgres "$user" "$bin/postgres" -D "$dir/postgres/data" -c listen_addresses=127.0.0.1 -c port="$1" \
		-c unix_socket_directories="$dir/postgres" -c max_connections=400 -c fsync=off
	await postgres "$1" logged "ready to accept connections"
}

# postgres_bin prints the folder of the newest installed server: Debian keeps it out of PATH.
postgres_bin() {
	local bin
	bin=$(find /usr/lib/postgresql/*/bin -name initdb 2>/dev/null | sort -V | tail -n 1)
	[ -n "$bin" ] || bin=$(command -v initdb) || return 1
	dirname "$bin"
}

start_kafka() {
	need java default-jre-headless
	local libs
	libs=$(kafka_libs) || return 1
	cat >"$dir/kafka/server.properties" <<-CONFIG
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$(($1 + 1))
		listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$(($1 + 1))
		advertised.listeners=PLAINTEXT://127.0.0.1:$1
		controller.listener.names=CONTROLLER
		log.dirs=$dir/kafka/data
		auto.create.topics.enable=false
		group.initial.rebalance.delay.ms=0
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=5
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=5
	CONFIG
	local id
	id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c 1-22)
	java -cp "$libs/*" kafka.tools.StorageTool format -t "$id" -c "$dir/kafka/server.properties"
	daemon kafka root java -Xmx512m -cp "$libs/*" kafka.Kafka "$dir/kafka/server.properties"
	await kafka "$1" logged 'Kafka Server started'
}

# kafka_libs prints the folder of the broker's jars, which Maven fetches once.
kafka_libs() {
	local libs pom=$root/scripts/services/kafka.xml
	libs=$cache/kafka-$(cksum <"$pom" | cut -d ' ' -f 1)
	if [ ! -e "$libs/complete" ]; then
		need mvn maven >&2
		retry mvn -B -q -f "$pom" dependency:copy-dependencies -DincludeScope=runtime \
			-DoutputDirectory="$libs" >&2 || { say 'Maven cannot fetch the broker' >&2; return 1; }
		touch "$libs/complete"
	fi
	printf '%s\n' "$libs"
}

# --- Helpers -----------------------------------------------------------------

# free_port prints a port that is free, as is the next; below the range that
# clients' own ports come from.
free_port() {
	local port
	while :; do
		port=$((20000 + (RANDOM % 6000) * 2))
		port_answers "$port" || port_answers $((port + 1)) || break
	done
	printf '%s\n' "$port"
}

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# unprivileged prints the user to run a server as that refuses to be root.
unprivileged() {
	if [ "$(id -u)" != 0 ]; then id -un; elif id "$1" >/dev/null 2>&1; then say "$1"; else say nobody; fi
}

# as becomes a command that runs as a user, without a process in between that
# would take the signals.
as() {
	local user=$1
	shift
	if [ "$(id -u)" = 0 ] && [ "$user" != root ]; then
		set -- setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME="$dir" "$@"
	fi
	cd "$dir" && exec "$@"
}

daemon() { # name user command...
	local name=$1 user=$2
	shift 2
	as "$user" setsid "$@" </dev/null >"$dir/$name.log" 2>&1 &
	echo $! >"$dir/$name.pid"
}

# await waits until a server answers, and says what it logged when it does not.
await() { # name port check [argument]
	local name=$1 port=$2 deadline=$((SECONDS + 120))
	shift 2
	until port_answers "$port" && (name=$name "$1" "${2:-$port}") 2>/dev/null; do
		if ! kill -0 "$(cat "$dir/$name.pid")" 2>/dev/null || [ "$SECONDS" -ge "$deadline" ]; then
			tail -n 20 "$dir/$name.log"
			say "$name does not answer on port $port"
			return 1
		fi
		sleep 0.2
	done
}

logged() { grep -q "$1" "$dir/$name.log"; }

announce() { # name port
	case "$1" in
	redis) export_line BULWARK_TEST_REDIS_ADDR "127.0.0.1:$2" ;;
	mariadb)
		local user=bulwark
		[ "$(cat "$state/mode")" = packages ] || user=root
		export_line BULWARK_TEST_MYSQL_DSN "$user:$password@tcp(127.0.0.1:$2)/"
		;;
	postgres) export_line BULWARK_TEST_POSTGRES_DSN "postgres://postgres:$password@127.0.0.1:$2/postgres?sslmode=disable" ;;
	kafka) export_line BULWARK_TEST_KAFKA_ADDRS "127.0.0.1:$2" ;;
	esac
}

export_line() { (umask 077 && printf "export %s='%s'\n" "$1" "$2" >>"$state/env"); }

status() {
	[ -e "$state/mode" ] && running || { say 'nothing is up'; return 1; }
	say "up ($(cat "$state/mode")):"
	# Without the passwords.
	sed -E "s/^export /  /; s#:[^:@/']+@#:***@#" "$state/env"
	if [ -s "$state/missing" ]; then
		local lines
		mapfile -t lines <"$state/missing"
		loud 'THESE SERVERS COULD NOT BE HAD; the tests that need them real DO NOT RUN:' "${lines[@]}"
	fi
}

down() {
	[ -e "$state/mode" ] || { say 'nothing is up'; return 0; }
	if [ "$(cat "$state/mode")" = docker ]; then
		compose --env-file "$state/compose.env" down --volumes --timeout 10
	else
		dir=$(cat "$state/dir")
		local name
		for name in $names; do stop "$name"; done
		rm -rf "$dir"
	fi
	rm -rf "$state"
	say 'all down'
}

stop() {
	local pid signal=TERM deadline=$((SECONDS + 20))
	ours "$1" || return 0
	pid=$(cat "$dir/$1.pid")
	[ "$1" != postgres ] || signal=INT # TERM would wait for the clients to leave
	kill -s "$signal" "$pid" 2>/dev/null || return 0
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ]; then kill -KILL "$pid" 2>/dev/null || true; fi
		sleep 0.1
	done
}

main "$@"
