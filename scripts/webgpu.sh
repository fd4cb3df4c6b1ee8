#!/bin/sh
# Trains and scores on another execution provider than the processor's: the WebGPU plugin, on SwiftShader, a Vulkan driver
# that needs no graphics card. Its losses and rewards must be those of the processor. Debian on x86-64; downloads 33 MB.
set -eu
cd "$(dirname "$0")/.."

place=.codepmp/webgpu
driver=$place/usr/lib/chromium/vk_swiftshader_icd.json
plugin=$place/onnxruntime_ep_webgpu/libonnxruntime_providers_webgpu.so
if [ ! -e "$plugin" ] || [ ! -e "$driver" ]; then
    mkdir -p "$place"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$place" onnxruntime-ep-webgpu==0.4.0
    (cd "$place" && apt-get download chromium-common libvulkan1)
    for package in "$place"/*.deb; do
        dpkg-deb -x "$package" "$place"
        rm "$package"
    done
    python3 -m zipfile -e "$place"/onnxruntime_ep_webgpu-*.whl "$place"
    rm "$place"/onnxruntime_ep_webgpu-*.whl
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
codepmp=${CODEPMP:-${CARGO_TARGET_DIR:-target}/release/codepmp}

on_webgpu() {
    env VK_ICD_FILENAMES="$PWD/$driver" LD_LIBRARY_PATH="$PWD/$place/usr/lib/$(uname -m)-linux-gnu" \
        ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 CODEPMP_ORT_PLUGINS="$PWD/$plugin" "$codepmp" "$@"
}

python3 fixtures/interop/compare.py pairs fixtures/python "$work/pairs.jsonl"
"$codepmp" init --preset tiny --vocab 512 --corpus fixtures/python --out "$work/fresh"
head -n 4 "$work/pairs.jsonl" >"$work/few.jsonl"
train="train pmp --data $work/few.jsonl --model $work/fresh --lr 1e-3 --batch 2 --micro-tokens 128 --max-length 64
    --epochs 2 --set truncation=cut_answer --held-out 0 --no-db --json --set export_onnx=false"
# shellcheck disable=SC2086
"$codepmp" $train --out "$work/cpu" >"$work/cpu.jsonl"
# shellcheck disable=SC2086
on_webgpu $train --out "$work/webgpu" --device webgpu:0 >"$work/webgpu.jsonl"
"$codepmp" score --max-length 512 --model "$work/cpu" --input "$work/few.jsonl" --output "$work/cpu.scored"
on_webgpu score --max-length 512 --model "$work/cpu" --input "$work/few.jsonl" --output "$work/webgpu.scored" --device webgpu
python3 - "$work" <<'PYTHON'
import json, pathlib, sys

work = pathlib.Path(sys.argv[1])
lines = lambda name: [json.loads(line) for line in (work / name).read_text().splitlines()]
steps = lambda name: [line for line in lines(name) if line["event"] == "step"]
failed = False
for what in ("loss", "gradient_norm"):
    pairs = [(a[what], b[what]) for a, b in zip(steps("webgpu.jsonl"), steps("cpu.jsonl"), strict=True)]
    worst = max(abs(a - b) / abs(b) for a, b in pairs)
    print(f"{what} of {len(pairs)} steps: {pairs[0][1]:.4f} to {pairs[-1][1]:.4f}, webgpu differs by {worst:.1e} at most")
    failed |= not worst < 1e-3 or len(pairs) < 4
scored = [lines(f"{name}.scored") for name in ("webgpu", "cpu")]
pairs = [(a[k], b[k]) for a, b in zip(*scored, strict=True) for k in b if k.startswith("reward_")]
worst = max(abs(a - b) for a, b in pairs) / max(abs(b) for _, b in pairs)
print(f"{len(pairs)} rewards: webgpu differs by {worst:.1e} of the largest at most")
sys.exit(failed or not worst < 1e-3)
PYTHON
