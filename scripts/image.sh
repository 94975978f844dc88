#!/usr/bin/env bash
# Build the CPU image by Debian's buildah, on a base of Debian's own packages, and let it answer.
# usage: image.sh      (as root: apt-get install buildah debootstrap; 3 minutes, 2 GB; IMAGE_ARGS: more for `buildah bud`)
#
# The Dockerfile names Docker's python image; where no registry can be reached, this makes one of that name.
set -euo pipefail

for program in buildah debootstrap; do
    command -v "$program" >/dev/null || { echo "not run: $program is not here; apt-get install $program" >&2; exit 6; }
done
root=$(cd "$(dirname "$0")/.." && pwd)
base=$(sed -n 's/^FROM \(python:.*\) AS cpu$/docker.io\/library\/\1/p' "$root/Dockerfile")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot} STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    mirror=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -1)
    debootstrap --variant=minbase --include=ca-certificates,python-is-python3,python3-dev,python3-venv \
        bookworm "$work/base" ${mirror:+"$mirror"} >"$work/debootstrap.log"
    cp -r /etc/apt/sources.list* "$work/base/etc/apt/"
    container=$(buildah from scratch)
    buildah copy -q "$container" "$work/base" / >/dev/null
    buildah config --cmd bash "$container"
    buildah commit -q --rm "$container" "$base" >/dev/null
fi
git clone --quiet "$root" "$work/context"
# shellcheck disable=SC2086
buildah bud --pull-never --target cpu -t trtnemo ${IMAGE_ARGS:-} "$work/context"
container=$(buildah from --pull-never localhost/trtnemo)
trap 'buildah rm "$container" >/dev/null; rm -rf "$work"' EXIT
buildah run "$container" -- trtnemo run tiny "What is the capital of Japan?" --no-thinking
