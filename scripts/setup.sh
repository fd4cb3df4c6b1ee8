#!/bin/sh
# Installs what is missing: Postgres' programs, a C compiler, pip, and what answers' code is run with (bubblewrap, the
# system's Python). As root or with a sudo that asks no password; else it prints the command and fails. Says nothing
# when everything is there.
set -eu

minimum=15

# The major version of the server programs in folder $1; nothing if they are not all there.
major_in() {
    [ -x "$1/initdb" ] && [ -x "$1/postgres" ] && [ -x "$1/pg_ctl" ] || return 0
    "$1/postgres" --version | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p'
}

# The places where codepmp looks.
has_postgres() {
    if [ -n "${CODEPMP_POSTGRES_BIN:-}" ]; then
        folders=$CODEPMP_POSTGRES_BIN
    else
        folders="$(pg_config --bindir 2>/dev/null || true) $(echo /usr/lib/postgresql/*/bin)"
        on_path=$(command -v postgres || true)
        [ -z "$on_path" ] || folders="$folders $(dirname "$(readlink -f "$on_path")")"
    fi
    for folder in $folders; do
        major=$(major_in "$folder")
        [ "${major:-0}" -lt "$minimum" ] || return 0
    done
    return 1
}

has_pip() {
    python3 -m pip --version >/dev/null 2>&1
}

missing=
want() {
    missing="$missing $*"
}

if ! command -v cargo >/dev/null; then
    echo "setup: no cargo: install a Rust toolchain first (rustup)" >&2
    exit 1
fi
has_postgres || want postgresql
command -v cc >/dev/null || want gcc libc6-dev
has_pip || want python3-pip
command -v bwrap >/dev/null || want bubblewrap
[ -x /usr/bin/python3 ] || want python3
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: missing (by their Debian names):$missing; install them with this system's package manager" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=sudo
else
    echo "setup: missing:$missing; run this, then the same command again:" >&2
    echo "    sudo apt-get update && sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

# Debian's package would create and start a cluster of the whole system's. We want the programs only.
no_cluster=/etc/postgresql-common/createcluster.d/codepmp.conf
restore() {
    $as_root rm -f "$no_cluster"
    $as_root rmdir --ignore-fail-on-non-empty "$(dirname "$no_cluster")"
}
trap restore EXIT
trap 'exit 130' INT TERM
$as_root mkdir -p "$(dirname "$no_cluster")"
echo "create_main_cluster = false" | $as_root tee "$no_cluster" >/dev/null

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # lists of words
{
    $as_root apt-get update -qq
    $as_root ${as_root:+env DEBIAN_FRONTEND=noninteractive} apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

if ! has_postgres; then
    echo "setup: this system's postgresql is older than $minimum: install a newer one, and name its folder of" >&2
    echo "programs in CODEPMP_POSTGRES_BIN if it is not found" >&2
    exit 1
fi
