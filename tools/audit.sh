#!/usr/bin/env bash
# Known weaknesses of what is installed, and its licences. Says so where the advisories cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

python tools/licences.py

report=$(mktemp)
trap 'rm -f "$report"' EXIT
if timeout 120 pip-audit --disable-pip --require-hashes -r requirements/base.txt --progress-spinner off >"$report" 2>&1; then
  echo "No known weakness in requirements/base.txt."
elif grep -qiE 'found [0-9]+ known' "$report"; then
  cat "$report" >&2
  exit 1
else
  echo "The advisory service cannot be reached; known weaknesses were NOT checked." >&2
  tail -n 2 "$report" >&2
  [ "${OPENKETAMINE_AUDIT:-}" = required ] && exit 1
  exit 0
fi
