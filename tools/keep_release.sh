#!/usr/bin/env bash
# Keeps a small synthetic clinic of a release, so that every later version is tested to upgrade it:
#   tools/keep_release.sh COMMIT NAME   writes tests/operations/releases/NAME.sql.gz
set -euo pipefail
cd "$(dirname "$0")/.."
commit=$1 name=$2
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
git archive "$commit" src tests | tar -x -C "$tree"
export OPENKETAMINE_HOME="$tree/home" PYTHONPATH="$tree/src:$tree"
unset OPENKETAMINE_DATABASE_URL OPENKETAMINE_DEMO
here=$PWD
cd "$tree"
"$here/.venv/bin/python" -m tests.clinic.seed 1
"$here/.venv/bin/python" - "$here/tests/operations/releases/$name.sql.gz" <<'PY'
import gzip, os, sqlite3, sys
with sqlite3.connect(os.environ["OPENKETAMINE_HOME"] + "/openketamine.sqlite3") as raw:
    text = "\n".join(raw.iterdump())
with open(sys.argv[1], "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
    packed.write(text.encode())
PY
ls -l "$here/tests/operations/releases/$name.sql.gz"
