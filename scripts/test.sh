#!/bin/sh
# Runs every test, then waits for the test cluster to be gone: it stops when the last test process has ended, and a
# caller may look for processes that were left behind.
set -u

cargo test --locked "$@"
status=$?

data="${TMPDIR:-/tmp}/codepmp-test-$(id -u)/postgres/data"
tries=0
while [ -e "$data" ] || ls "$data".*.tmp >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
        echo "test: a postgres still runs in $data; other test processes may be using it" >&2
        break
    fi
    sleep 0.1
done
exit "$status"
