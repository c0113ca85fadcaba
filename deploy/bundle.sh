#!/usr/bin/env bash
# Makes one archive that installs scene-batch on a Linux machine without a network: deploy/bundle.sh [x86_64|aarch64]
#   PYTHON=3.11         the Python of that machine
#   MODEL=mine.onnx     a model of your own beside the embedded one
#   OUT=dist            where it goes: dist/scene-batch-VERSION-linux-PROCESSOR-pyVERSION.tar
# In it: wheels, their hashes, install.sh. docs/edge.md
set -euo pipefail
cd "$(dirname "$0")/.."
processor=${1:-$(uname -m)} python=${PYTHON:-3.11} out=${OUT:-dist}
case $processor in x86_64 | aarch64) ;; *) echo "no processor $processor: take x86_64 or aarch64" >&2 && exit 2 ;; esac

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' runner/scene_batch/__init__.py)
name=scene-batch-$version-linux-$processor-py$python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/wheels" "$out"

# The lock's markers are of that machine's Python, not of the one that runs here.
python3 - "$python" "$processor" >"$work/$name/requirements.txt" <<'FILTER'
import re
import sys
from pathlib import Path

from packaging.markers import Marker

python, processor = sys.argv[1:]
there = {
    "python_version": python, "python_full_version": f"{python}.99", "implementation_name": "cpython",
    "platform_python_implementation": "CPython", "platform_machine": processor, "platform_system": "Linux",
    "sys_platform": "linux", "os_name": "posix",
}
lock = re.sub("^ *#.*\n", "", Path("requirements/cpu.txt").read_text(), flags=re.MULTILINE)
for found in re.finditer(r"^(\S+?)(?: ; (.+?))? \\\n((?: +--hash.*\n?)+)", lock, re.MULTILINE):
    if found[2] is None or Marker(found[2]).evaluate(there):
        print(f"{found[1]} \\\n{found[3].rstrip()}")
FILTER

platforms=()
for glibc in 17 24 26 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_$processor"); done
python3 -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
    "${platforms[@]}" --platform "manylinux2014_$processor" --python-version "$python" --implementation cp \
    --requirement "$work/$name/requirements.txt" --dest "$work/$name/wheels"
python3 -m hatchling build --target wheel --directory "$work/$name/wheels" >/dev/null

wheel=$(cd "$work/$name/wheels" && echo scene_batch-*.whl)
printf 'scene-batch==%s --hash=sha256:%s\n' "$version" "$(sha256sum "$work/$name/wheels/$wheel" | cut -d' ' -f1)" \
    >>"$work/$name/requirements.txt"
[ -z "${MODEL:-}" ] || cp "$MODEL" "$work/$name/"
cat >"$work/$name/install.sh" <<'INSTALL'
#!/bin/sh
# sh install.sh [FOLDER]: installs scene-batch into FOLDER (/opt/scene-batch), without a network, and tries it.
set -eu
here=$(cd "$(dirname "$0")" && pwd) folder=${1:-/opt/scene-batch}
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-index --find-links "$here/wheels" --require-hashes \
    --requirement "$here/requirements.txt"
for model in "$here"/*.onnx; do
    [ ! -e "$model" ] || cp "$model" "$folder/"
done
"$folder/bin/scene-batch" doctor --folder "${TMPDIR:-/tmp}"
for model in "$folder"/*.onnx; do
    [ ! -e "$model" ] || "$folder/bin/scene-batch" verify "$model"
done
echo "installed: $folder/bin/scene-batch"
INSTALL
# The same inputs give the same archive.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-1580601600}" --mode=u+w,go-w \
    -C "$work" -cf "$out/$name.tar" "$name"
ls -l "$out/$name.tar" | awk '{print $9 ": " int($5 / 1000000) " MB"}' >&2
