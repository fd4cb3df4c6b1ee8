#!/bin/sh
# Fetches the ONNX Runtime library into .codepmp/onnxruntime/, out of the wheel that PyPI has of it. Does nothing when
# it is there, or when ORT_DYLIB_PATH names another. The library itself needs no Python.
set -eu
cd "$(dirname "$0")/.."

version=1.32.0
hash_x86_64=5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d

[ -z "${ORT_DYLIB_PATH:-}" ] || exit 0
place=.codepmp/onnxruntime
[ ! -e "$place/libonnxruntime.so.$version" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

machine=$(uname -m)
line="onnxruntime==$version"
[ "$machine" != x86_64 ] || line="$line --hash=sha256:$hash_x86_64"
echo "$line" >"$work/wanted"

echo "onnxruntime: fetching $version"
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --implementation cp --python-version 3.11 --abi cp311 --platform "manylinux_2_28_$machine" \
    --dest "$work" --requirement "$work/wanted"; then
    echo "onnxruntime: pip could not fetch it; check the network (pip config list), then run again; or install ONNX" >&2
    echo "Runtime another way and name its library in ORT_DYLIB_PATH" >&2
    exit 1
fi
python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile

work = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    for name in wheel.namelist():
        path = pathlib.PurePosixPath(name)
        if path.parent.name == "capi" and path.name.startswith("libonnxruntime"):
            (work / path.name).write_bytes(wheel.read(name))
PYTHON
mkdir -p "$place"
mv "$work"/libonnxruntime* "$place"
