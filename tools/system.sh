#!/usr/bin/env bash
# Sees to it that programs from outside Python are there: pango (PDF), chromium and postgresql (tests).
# Installs them where it may (root on Debian or Ubuntu); elsewhere says what to install.
# With CI=true something missing is an error; otherwise a warning.
set -euo pipefail

have() {
  case $1 in
    pango) python3 -c 'import ctypes.util as u, sys; sys.exit(not (u.find_library("pango-1.0") and u.find_library("pangoft2-1.0")))' ;;
    chromium) [ -n "$(find_chromium)" ] ;;
    postgresql) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
  esac
}

find_chromium() {
  for name in chromium-headless-shell chromium chromium-browser google-chrome; do
    command -v "$name" && return
  done
  # What `playwright install chromium` leaves behind.
  .venv/bin/python - 2>/dev/null <<'PY' || true
from pathlib import Path
from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    path = Path(p.chromium.executable_path)
    print(path if path.exists() else "")
PY
}

packages() {
  case $1 in
    pango) echo libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 ;;
    *) echo "$1" ;;
  esac
}

install() {
  if [ "$1" = chromium ] && ! command -v apt-get >/dev/null && [ -x .venv/bin/playwright ]; then
    .venv/bin/playwright install chromium
    return
  fi
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "Installing $1 …"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null || return 1
  # The browser without its windows draws the same pages in two thirds of the time, where it exists.
  if [ "$1" = chromium ] && apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null 2>&1; then
    return
  fi
  # shellcheck disable=SC2046
  apt-get install -y -qq --no-install-recommends $(packages "$1") >/dev/null
}

status=0
for item in "$@"; do
  have "$item" && continue
  install "$item" && have "$item" && continue
  echo "Missing: $item. On Debian or Ubuntu: sudo apt install $(packages "$item")" >&2
  if [ "$item" = chromium ]; then
    echo "  or: .venv/bin/playwright install chromium" >&2
  fi
  if [ "$item" = pango ]; then
    echo "  Without it everything works but the PDF documents." >&2
  fi
  [ "${CI:-}" = true ] && status=1
done
exit $status
