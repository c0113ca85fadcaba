#!/usr/bin/env bash
# Builds the images: deploy/images.sh [cpu] [serve] [lambda] [gpu]   (cpu, serve and lambda unless told)
#
# Takes docker or podman where one answers, else buildah, which needs neither a daemon nor rights of its own kernel.
#   TOOL=buildah           take this one
#   BASE=image             build upon this instead of the Dockerfiles' slim Python; "debootstrap": make a Debian with
#                          Python here, from the packages that apt is set to, as localhost/scene-batch-base
#   PLATFORM=linux/arm64   for another processor (needs qemu's binfmt)
#   BUILD_OPTIONS="..."    more options of the tool, such as --volume of certificates, where packages come through a proxy
set -euo pipefail
cd "$(dirname "$0")/.."

answers() { case $1 in buildah) command -v buildah ;; *) "$1" info ;; esac >/dev/null 2>&1; }
if [ -z "${TOOL:-}" ]; then
    for TOOL in docker podman buildah none; do answers "$TOOL" && break; done
fi
if [ "$TOOL" = none ]; then
    echo "no docker or podman answers, and there is no buildah: apt-get install buildah" >&2
    exit 1
fi
[ "$TOOL" != buildah ] || export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}

make_base() {
    local suite=${SUITE:-bookworm} root container mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $suite" | sort -u | head -1)
    root=$(mktemp -d)
    debootstrap --variant=minbase \
        --include=ca-certificates,python3,python3-venv,python3-pip,python-is-python3 "$suite" "$root" "$mirror" >&2
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$root" / >&2
    rm -rf "$root"
    buildah commit --quiet --rm "$container" localhost/scene-batch-base >&2
}
if [ "${BASE:-}" = debootstrap ]; then
    BASE=localhost/scene-batch-base
    buildah inspect --type image "$BASE" >/dev/null 2>&1 || make_base
fi

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' runner/scene_batch/__init__.py)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
options=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision")
[ -z "${BASE:-}" ] || options+=(--build-arg "BASE=$BASE")
[ -z "${PLATFORM:-}" ] || options+=(--platform "$PLATFORM")
# shellcheck disable=SC2206 # words are meant
options+=(${BUILD_OPTIONS:-})

for image in "${@:-cpu serve lambda}"; do
    for name in $image; do
        case $name in
        cpu) what=(-f Dockerfile.cpu --target run) ;;
        serve | lambda) what=(-f Dockerfile.cpu --target "$name") ;;
        gpu) what=(-f Dockerfile.gpu) ;;
        *) echo "no image $name: take cpu, serve, lambda, gpu" >&2 && exit 2 ;;
        esac
        "$TOOL" build "${options[@]}" "${what[@]}" -t "scene-batch:$name" .
        echo "scene-batch:$name is built" >&2
    done
done
