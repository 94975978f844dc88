#!/usr/bin/env bash
# Build the embedded model, serve it on a free port, ask it over the OpenAI API, print what it says, stop.
set -euo pipefail

work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server"; } || true
    rm -rf "$work"
}
trap cleanup EXIT

echo "== trtnemo build --recipe tiny"
trtnemo build --recipe tiny --output "$work/engine"

echo "== trtnemo serve --engine ... --port 0"
trtnemo serve --engine "$work/engine" --port 0 >"$work/server.log" 2>&1 &
server=$!
until url=$(sed -n 's/^Serving .* at //p' "$work/server.log") && [ -n "$url" ]; do
    kill -0 "$server" 2>/dev/null || { cat "$work/server.log" >&2; exit 1; }
    sleep 0.1
done
echo "serving at $url"

echo "== trtnemo chat 'What is the capital of Japan?'   (thinking, then the answer)"
trtnemo chat "What is the capital of Japan?" --url "$url" --temperature 0 2>&1

echo "== the same, thinking off"
answer=$(trtnemo chat "What is the capital of Japan?" --url "$url" --temperature 0 --no-thinking)
echo "$answer"
[ "$answer" = "The capital of Japan is Tokyo." ] || { echo "the answer is wrong" >&2; exit 1; }
