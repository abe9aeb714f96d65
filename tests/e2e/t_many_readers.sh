#!/usr/bin/env bash
# Ten thousand readers blocked at one stream: they cost little, and one message wakes them all.
. "$(dirname "$0")/lib.sh"

READERS=10000
[[ -z ${TOPICFS_SANITIZER:-} ]] || READERS=5000 # ThreadSanitizer has room for 8128 threads
FDS=1000 # opens, of READERS / FDS readers each

status_of()
{
    sed -n "s/^$1: *//p" "$MNT/.status"
}

waiting()
{
    [[ $(status_of 'waiting readers') == "$1" ]]
}

waiting_or_ended()
{
    waiting "$1" || ended "$PID"
}

threads()
{
    awk '/^Threads/ { print $2 }' "/proc/$DAEMON_PID/status"
}

private_kib()
{
    awk '/^Private/ { kib += $2 } END { print kib }' "/proc/$DAEMON_PID/smaps_rollup"
}

blocked_at_the_end()
{
    "$TOPICFS_TOOLS/manyreaders" "$MNT/t/0/$1" "$READERS" "$FDS" >"woke.$1" &
    PID=$!
    wait_until 20 waiting_or_ended "$READERS"
    ok "$READERS readers wait at $1" waiting "$READERS"
    echo "with $READERS waiting at $1: $(threads) threads, $(private_kib) KiB private"
}

case_one_message_wakes_all()
{
    daemon_start && mkdir "$MNT/t" || return
    publish t first
    echo "with none: $(threads) threads, $(private_kib) KiB private"
    blocked_at_the_end 6+
    ok "few threads do for them" test "$(threads)" -le 24
    [[ -n ${TOPICFS_SANITIZER:-} ]] || ok "and little memory" test "$(private_kib)" -le 40960
    ok "stat of the mount meanwhile" within 2 stat -t "$MNT/t/0/0-"
    is "$(within 2 cat "$MNT/t/0/0-")" first "reading meanwhile"
    publish t second
    ok "all end" wait_until 20 ended "$PID"
    wait "$PID"
    is "$?" 0 "no read failed"
    is "$(<woke.6+)" "$READERS woke, $READERS of them with second" "all woke with the message"
    ok "none is left" wait_until 10 waiting 0
    echo "after it: $(threads) threads, $(private_kib) KiB private"
}

case_killed_readers_are_gone()
{
    daemon_start && mkdir "$MNT/t" || return
    publish t first
    blocked_at_the_end 6+
    kill -KILL "$PID"
    ok "the killed process ends" wait_until 20 ended "$PID"
    ok "none of them waits any more" wait_until 20 waiting 0
    publish t second
    is "$(within 5 head -n 1 "$MNT/t/0/6+")" second "who comes later reads"
}

case_a_stop_ends_them_all()
{
    daemon_start && mkdir "$MNT/t" || return
    publish t first
    blocked_at_the_end 6+
    daemon_stop
    is $? 0 "the daemon stops"
    ok "they all end" wait_until 20 ended "$PID"
    wait "$PID"
    is "$?" 1 "with an error: it is not the end of the stream"
}

run_cases "$@"
