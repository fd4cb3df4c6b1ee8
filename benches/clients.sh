#!/bin/sh
# Makes a virtual environment for each client, as they want different versions of `openai`, and runs benches/clients.py.
set -eu
cd "$(dirname "$0")/.."

place=$PWD/.codepmp/clients
mkdir -p "$place"
[ -x "$place/uv/bin/uv" ] || { python3 -m venv "$place/uv" && "$place/uv/bin/python" -m pip install --quiet uv==0.13.9; }
install() { # uv: pip takes many minutes to find versions that fit curator
    [ -x "$place/$1/bin/python" ] || "$place/uv/bin/uv" venv --quiet "$place/$1"
    name=$1
    shift
    "$place/uv/bin/uv" pip install --quiet --system-certs --only-binary :all: --python "$place/$name/bin/python" "$@"
}
install openai "openai[aiohttp]==3.51.0"
install curator bespokelabs-curator==0.1.31
install distilabel "distilabel[openai]==1.5.3" requests # it imports requests without asking for it

server=$(cargo bench --locked --no-run --bench answers --message-format json-render-diagnostics |
    sed -n 's/.*"name":"answers".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
cargo build --release --locked
exec python3 benches/clients.py --codepmp "$(realpath "${CARGO_TARGET_DIR:-target}/release/codepmp")" \
    --server "$server" --venvs "$place" "$@"
