#!/usr/bin/env bash
# README.md: the tour's commands as they stand there, and what they print.
. "$(dirname "$0")/lib.sh"

case_the_two_minutes()
{
    local pid
    STORE=$DIR/data
    mkdir -p build/bin && ln -s "$TOPICFS_BIN" build/bin/topicfs
    daemon_start || return
    python3 -B "$ROOT/tests/e2e/transcript.py" "$ROOT/README.md" "$DIR"
    read -r pid _ <"$STORE/.lock"
    daemon_adopt "$pid"
    daemon_stop
}

case_its_first_lines()
{
    mkdir mnt 2>/dev/null
    daemon_start || return
    awk '/^```/ { n++; next } n == 1' "$ROOT/README.md" >typed
    is "$(wc -l <typed)" 5 "five commands"
    sed -i 's/^tail -f/timeout 1 tail -f/' typed
    is "$(bash typed 2>&1)" '{"page":"/"}
mnt/clicks/0/00000000000000000000.log:{"page":"/"}' "do as they say"
}

case_what_it_names_is_there()
{
    local file
    for file in $(grep -oE '\]\([^)]*\)' "$ROOT/README.md" | tr -d '()]') scripts/run scripts/check; do
        ok "$file" test -e "$ROOT/$file"
    done
}

run_cases "$@"
