#!/usr/bin/env bash
# The static checks: style, types, import contract, settings, migrations.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
OPENKETAMINE_HOME=$(mktemp -d)
export OPENKETAMINE_HOME DJANGO_SETTINGS_MODULE=openketamine.site.settings
trap 'rm -rf "$OPENKETAMINE_HOME"' EXIT

ruff check .
ruff format --check .
mypy
lint-imports
openketamine manage check
openketamine manage makemigrations --check --dry-run
