#!/bin/sh
# Fetches the packages of fixtures/demo-packages.txt that are not in corpus/ yet. Only wheels: to download a source
# archive pip would run its build.
set -eu
cd "$(dirname "$0")/.."

list=fixtures/demo-packages.txt
wanted=$(mktemp)
trap 'rm -f "$wanted"' EXIT
trap 'exit 130' INT TERM

mkdir -p corpus
while read -r line; do
    case $line in '' | '#'*) continue ;; esac
    name=${line%%==*}
    version=${line#*==}
    version=${version%% *}
    file=$(echo "$name" | tr '.-' '__')-$version-py3-none-any.whl
    [ -n "$(find corpus -maxdepth 1 -iname "$file")" ] || echo "$line" >>"$wanted"
done <"$list"
[ -s "$wanted" ] || exit 0

echo "corpus: fetching $(wc -l <"$wanted") packages"
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
    --only-binary :all: --implementation py --abi none --platform any --python-version 3.12 \
    --dest corpus --requirement "$wanted"; then
    echo "corpus: pip could not fetch them; check the network (pip config list), then run again: what is there stays" >&2
    exit 1
fi
