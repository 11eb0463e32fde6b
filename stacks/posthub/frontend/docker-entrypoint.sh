#!/bin/sh
# Puts the values of this environment into env.js, from an untouched copy, so that a restart with other values works as well.
set -eu

html=/usr/share/nginx/html

# value <text>: safe inside a JavaScript string and in the replacement of sed's s|||.
value() { printf '%s' "$1" | tr -d '\n\r' | sed -e 's/[\\"]/\\&/g' -e 's/</\\x3c/g' -e 's/[\\&|]/\\&/g'; }

sed -e "s|\${STRIPE_PUBLIC_KEY}|$(value "${STRIPE_PUBLIC_KEY:-}")|" \
    -e "s|\${SENTRY_DSN}|$(value "${SENTRY_DSN:-}")|" \
    -e "s|\${VERSION}|$(value "${VERSION:-dev}")|" \
    /env.js.template >"$html/env.js"

exec "$@"
