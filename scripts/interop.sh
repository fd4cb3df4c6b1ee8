#!/bin/sh
# Trains a small model, then compares its rewards as codepmp, transformers and onnxruntime compute them.
# CODEPMP_INTEROP_PYTHON: an interpreter that has fixtures/interop/requirements.txt, to spare the download of 3 GB.
set -eu
cd "$(dirname "$0")/.."

python=${CODEPMP_INTEROP_PYTHON:-}
if [ -z "$python" ]; then
    place=.codepmp/interop
    python=$place/bin/python
    [ -x "$python" ] || python3 -m venv "$place"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement fixtures/interop/requirements.txt
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
codepmp="${CARGO_TARGET_DIR:-target}/release/codepmp"

"$python" fixtures/interop/compare.py pairs fixtures/python "$work/pairs.jsonl"
"$codepmp" init --preset tiny --corpus fixtures/python --out "$work/fresh"
# Once with the weights inside score.onnx, once with them beside it.
for inside in 1879048192 0; do
    "$codepmp" train pmp --data "$work/pairs.jsonl" --model "$work/fresh" --out "$work/model-$inside" --lr 1e-3 \
        --max-length 256 --epochs 20 --no-db --set "onnx_single_file_bytes=$inside"
    "$codepmp" score --model "$work/model-$inside" --input "$work/pairs.jsonl" --output "$work/scored.jsonl"
    "$python" fixtures/interop/compare.py rewards "$work/model-$inside" "$work/scored.jsonl"
done
[ -e "$work/model-0/score.onnx.data" ]
