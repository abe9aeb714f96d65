#!/usr/bin/env bash
# Inode numbers: tail -F prints a whole log again when the number of its file changes, and the kernel
# forgets names that are idle, and all of them under pressure.
. "$(dirname "$0")/semantics.sh"

NAMES=(0/0- 0/0+ 0/0-400 0/400- 0/00000000000000000000.log 0/00000000000000008000.log publish 0
    sealed/0-00000000000000000000.log 0/latest- latest+ .)

start_with_names()
{
    start_t "${SMALL[@]}" && publish_lines 1 30
}

inodes()
{
    (cd "$T" && stat -c '%i %n' "${NAMES[@]}")
}

# Look-ups of a name that reached the daemon: strace sees them in what it reads from /dev/fuse. FUSE's
# header has the operation in its second word: 1 is LOOKUP, 2 FORGET, 42 BATCH_FORGET.
watch_requests()
{
    strace -f -qq -xx -s 64 -e trace=read,readv -o "$DIR/requests" -p "$DAEMON_PID" 2>/dev/null &
    TRACER=$!
    wait_until 10 traced
}

requests()
{
    grep -cE "\"(\\\\x[0-9a-f]{2}){4}\\\\x$1\\\\x00\\\\x00\\\\x00" "$DIR/requests"
}

more_requests_than()
{
    (($(requests "$1") > $2))
}

drop_caches()
{
    echo 2 >/proc/sys/vm/drop_caches
}

case_forgotten_names()
{
    local before i
    start_with_names || return
    before=$(inodes)
    watch_requests || return
    for i in 1 2 3; do
        drop_caches
        is "$(inodes)" "$before" "round $i: the same numbers"
    done
    ok "the kernel did forget them" wait_until 10 forgot
    uninject
}

forgot()
{
    (($(requests 02) + $(requests 2a) > 0))
}

case_forgotten_while_open()
{
    start_with_names || return
    exec {a}<"$T/0/0-" {b}<"$T/0/00000000000000000000.log"
    drop_caches
    is "$(stat -L -c %i "/proc/self/fd/$a")" "$(stat -c %i "$T/0/0-")" "START- by name and by descriptor"
    is "$(stat -L -c %i "/proc/self/fd/$b")" "$(stat -c %i "$T/0/00000000000000000000.log")" \
        "so with a segment"
    is "$(cat <&"$a" | wc -l)" 30 "it is read on"
    exec {a}<&- {b}<&-
}

case_restarts()
{
    local before
    start_with_names || return
    before=$(inodes)
    daemon_stop && daemon_start || return
    is "$(inodes)" "$before" "after a clean stop"
    daemon_kill
    detach
    daemon_start || return
    is "$(inodes)" "$before" "after a kill"
    publish_lines 31 60
    is "$(inodes)" "$before" "after more messages"
}

case_other_topics_have_other_numbers()
{
    start_t || return
    publish t a
    is "$(rmdir "$T" 2>&1 | grep -c 'not empty')" 1 "a topic with messages stays"
    mkdir "$MNT/u"
    before=$(stat -c %i "$MNT/u" "$MNT/u/0" "$MNT/u/publish")
    rmdir "$MNT/u" && mkdir "$MNT/u"
    is "$(comm -12 <(sort <<<"$before") <(stat -c %i "$MNT/u" "$MNT/u/0" "$MNT/u/publish" | sort))" "" \
        "none is used again for a topic of the same name"
}

# tail -F without news: it looks at its file every second, and opens the name again now and then. After
# 10 s the daemon has the kernel drop names that nobody uses; tail's are in use, and keep their numbers.
case_idle_tails()
{
    local polls
    start_with_names || return
    tail -n +1 -F "$T/0/11600-" "$T/0/0-" >out 2>err &
    becomes "$(lines 30 30)" "tail has read" sed -n 2p out
    watch_requests || return
    polls=$(requests 03) # GETATTR
    ok "tail looks at its two files for more than 10 s" \
        wait_until 40 more_requests_than 03 $((polls + 24))
    drop_caches
    polls=$(requests 03)
    ok "and goes on after a FORGET" wait_until 20 more_requests_than 03 $((polls + 4))
    uninject
    publish_lines 31 31
    becomes 2 "the new line comes, once in each" grep -c "$(lines 31 31)" out
    is "$(grep -c "$(lines 30 30)" out)" 2 "no line came twice"
    is "$(cat err)" "" "tail has nothing to say"
}

run_cases "$@"
