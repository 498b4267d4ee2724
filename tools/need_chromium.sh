#!/bin/sh
# Makes sure that a browser is there to open the pages with: Chromium or Chrome, or whatever CHROMIUM names.
# Where one is missing, root installs it with apt; others are told what to do. --only-look installs nothing.
set -eu

has_browser() {
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        if [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 && "$name" --version >/dev/null 2>&1; then return 0; fi
    done
    [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ]
}

has_browser && exit 0
[ "${1:-}" = --only-look ] && exit 1
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "No Chromium here: installing it with apt-get"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core || true
fi
has_browser && exit 0
echo "These checks open the pages in Chromium, and there is none: install it (Debian: apt-get install chromium)," \
    "or name a Chrome or Chromium: CHROMIUM=/path/to/chrome make check-pages" >&2
exit 1
