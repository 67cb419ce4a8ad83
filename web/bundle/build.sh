#!/bin/sh
# Rebuild what web/static/ serves (widgets/ and mathjax/) from the locked packages: web/bundle/build.sh
# Needs node 20 or later with npm; run it after changing src/ or package.json, and commit the result.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund
node build.mjs
