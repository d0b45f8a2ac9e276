#!/usr/bin/env bash
# Every check and every test: on SQLite, then what touches the database again on PostgreSQL.
# Arguments go to pytest, and then only the SQLite run is made.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

if [ $# -gt 0 ]; then
  exec pytest "$@"
fi
tools/check.sh
tools/audit.sh
pytest -n auto --dist loadgroup -q -m "not journey"
# Journeys in processes of their own: the browser's event loop runs on in the thread of the tests.
pytest -n auto --dist loadgroup -q -m journey tests/journeys
tools/with_postgresql.sh pytest -n auto --dist loadgroup -q \
  -m "not journey and not own_clinic and not words" tests/clinic tests/exchange tests/site
