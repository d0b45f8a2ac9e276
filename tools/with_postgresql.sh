#!/usr/bin/env bash
# Runs a command against a throw-away PostgreSQL server on a free port of this machine.
set -euo pipefail

bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
if [ ! -x "$bin/initdb" ]; then
  echo "No PostgreSQL server here. On Debian or Ubuntu: sudo apt install postgresql" >&2
  [ "${CI:-}" = true ] && exit 1
  echo "The tests on PostgreSQL are skipped." >&2
  exit 0
fi

folder=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
as=()
if [ "$(id -u)" = 0 ]; then # the server refuses to run as root
  chown postgres "$folder"
  as=(setpriv --reuid=postgres --regid=postgres --clear-groups env HOME="$folder")
fi
stop() {
  "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
  rm -rf "$folder"
}
trap stop EXIT
cd_to=$PWD
cd "$folder"
"${as[@]}" "$bin/initdb" -D "$folder/data" -U clinic --auth=trust -E UTF8 --locale=C.UTF-8 >"$folder/log" 2>&1 \
  || { cat "$folder/log" >&2; exit 1; }
"${as[@]}" "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/server.log" \
  -o "-p $port -k $folder -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=60" start >/dev/null \
  || { cat "$folder/server.log" >&2; exit 1; }
cd "$cd_to"
OPENKETAMINE_DATABASE_URL="postgresql://clinic@127.0.0.1:$port/postgres" "$@"
