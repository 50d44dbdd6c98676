# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154
# What the scripts here share; to be sourced with $top set to the top of the tree.

if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
    bold=$(printf '\033[1m') red=$(printf '\033[31m') green=$(printf '\033[32m') plain=$(printf '\033[0m')
else
    bold='' red='' green='' plain=''
fi

say() {
    printf '%s%s%s\n' "$bold" "$*" "$plain"
}

# A refusal: what is wrong; what to do.
die() {
    printf '%s: %s%s%s\n' "${0##*/}" "$red" "$*" "$plain" >&2
    exit 1
}

usage_error() {
    printf '%s: %s; --help shows what it takes\n' "${0##*/}" "$*" >&2
    exit 2
}

is_root() {
    [ "$(id -u)" -eq 0 ]
}

# A path for people to copy: quoted when a shell would take it apart.
quoted() {
    case $1 in
    *[!A-Za-z0-9_./:=@%+,-]*) printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf %s "$1" ;;
    esac
}

# run_logged LOG COMMAND...: quiet while it goes well; the end of what it printed when it does not.
run_logged() {
    log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        die "this failed: $* (all of it is in $log)"
    fi
}

# configure PRESET [OPTION...]: once; ninja itself notices changed CMake files.
configure() {
    if [ ! -f "$top/build/$1/build.ninja" ]; then
        (cd "$top" && run_logged "build/$1-configure.log" cmake --preset "$@")
    fi
}

# build PRESET [TARGET...]
build() {
    preset=$1
    shift
    [ $# -eq 0 ] || set -- --target "$@"
    (cd "$top" && run_logged "build/$preset-build.log" cmake --build --preset "$preset" "$@")
}
