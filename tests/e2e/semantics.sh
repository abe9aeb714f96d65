# shellcheck shell=bash disable=SC2034 # its variables are the tests'
# What the tests of docs/filesystem-semantics.md share: t_semantics_*.sh source this.
#
# The name of every assertion begins with the numbers of the sentences it is the test of,
#     is "$(cat x)" y "P3 P4: what it shows"
# and scripts/check-semantics finds them there. Python's check() and errno_of() print such lines
# as well: many system calls in one program (calls <<'END').
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# start_t [ARGUMENT...]: a daemon with a topic t; P is its publish file, T its directory.
start_t()
{
    daemon_start "$@" || return
    mkdir "$MNT/t" || return
    T=$MNT/t P=$MNT/t/publish
}

# Segments of 20 lines of 400 bytes. Topics made from now on: SMALL as arguments of start_t.
SMALL=(--message-max-bytes 1000 --set-max-bytes 4000 --segment-bytes 8192)

# lines FROM TO: numbered, 400 bytes each.
lines()
{
    seq "$1" "$2" | awk '{ printf "%0399d\n", $1 }'
}

# publish_lines FROM TO: each set takes up to 10 of them.
publish_lines()
{
    lines "$1" "$2" | cat >>"$P" && sync "$P"
}

# list DIR: the names in it, sorted, each with a blank behind it.
list()
{
    find "$1" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' '
}

# as_user [SETPRIV ARGUMENT...] COMMAND...: as a user without any rights; open_to_others lets it reach DIR.
as_user()
{
    setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

open_to_others()
{
    local at=$DIR
    while [[ -n $at && -O $at && $at != /tmp ]]; do
        chmod a+x "$at"
        at=${at%/*}
    done
}

# calls <<'END' ... END: Python in the mount, with what tests/e2e/calls.py defines.
calls()
{
    (cd "$MNT" && PYTHONPATH=$ROOT/tests/e2e DIR=$DIR exec python3 -B -c \
        "from calls import *; exec(compile(sys.stdin.read(), 'calls', 'exec'))") ||
        fail "the calls come to their end"
}
