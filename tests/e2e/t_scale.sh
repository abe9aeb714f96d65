#!/usr/bin/env bash
# Many topics, many segments, and a poller of names that are not listed. TOPICFS_SCALE makes it larger.
# What takes how long is measured by tests/bench; here it is counted what is listed, open and kept.
# shellcheck disable=SC2010,SC2012 # ls is what is tested
. "$(dirname "$0")/lib.sh"

SCALE=${TOPICFS_SCALE:-1}
TOPICS=$((1000 * SCALE))
SEGMENTS=$((1000 * SCALE))
NAMES=$((100000 * SCALE))

# A line to every tenth topic, all on disk when this returns.
publish_to_a_tenth()
{
    local i
    for ((i = 0; i < TOPICS; i += 10)); do
        printf 'line %d\n' "$i" >>"$MNT/t$i/publish" || return
    done
    sync "$MNT/t0/publish"
}

expect_a_tenth()
{
    is "$(cat "$MNT"/t*0/0/0- | wc -l)" $((TOPICS * $1 / 10)) "every tenth topic has $1 lines"
}

# Of the topics published to each has two files to flush: more than may be open.
case_topics()
{
    ulimit -n 128
    daemon_start || return
    seq 0 $((TOPICS - 1)) | sed "s,^,$MNT/t," | xargs mkdir || return
    is "$(ls "$MNT" | wc -l)" "$TOPICS" "ls lists all topics"
    is "$(compgen -f "$MNT/t1" | wc -l)" "$(seq 0 $((TOPICS - 1)) | grep -c ^1)" "completion of a name"
    is "$(find "$MNT" -mindepth 1 -maxdepth 1 -type d | wc -l)" "$TOPICS" "find finds all topics"
    publish_to_a_tenth || fail "publishing to a tenth of them"
    expect_a_tenth 1
    daemon_stop || fail "a clean stop"
    daemon_start || return
    is "$(ls "$MNT" | wc -l)" "$TOPICS" "all are there after a clean stop"
    publish_to_a_tenth || fail "publishing after it"
    daemon_kill && detach
    daemon_start || return
    is "$(ls "$MNT" | wc -l)" "$TOPICS" "all are there after a kill"
    expect_a_tenth 2
}

open_segments()
{
    sed -n 's/^open segments: //p' "$MNT/.status"
}

old_segments()
{
    seq -f '%020.0f.log' 0 4096 $((4096 * (SEGMENTS - 1)))
}

publish_on()
{
    while echo "a line of a segment that is soon full"; do :; done >>"$MNT/t/publish"
}

# Ends when segments have been added; each listing on the way begins with all of the old ones.
grown()
{
    local names
    names=$(ls "$MNT/t/0") || WRONG="ls failed"
    [[ $names == "$1"$'\n'* ]] || WRONG="ls lost some"
    (($(wc -l <<<"$names") > SEGMENTS + 20))
}

case_segments()
{
    local old writer WRONG=
    old=$(old_segments)
    mkdir "$STORE" && "$TOPICFS_TOOLS/history" "$STORE" t "$SEGMENTS" 4096 2 || return
    daemon_start --scrub-bytes-per-second 0 || return
    is "$(ls "$MNT/t/0" | grep 'log$')" "$old" "ls lists all segments"
    is "$(find "$MNT/t/0" -name '*.log' -printf '%f\n' | sort)" "$old" "find finds them"
    is "$(compgen -f "$MNT/t/0/0000" | wc -l)" "$SEGMENTS" "completion of a name"
    is "$(ls "$MNT/t/sealed" | wc -l)" $((SEGMENTS - 1)) "sealed/ has all but the newest"
    is "$(open_segments)" 0 "no segment was opened for that"
    is "$(ls -l "$MNT/t/0" | grep -c ' 4096 .*log$')" "$SEGMENTS" "ls -l says how long they are"
    is "$(open_segments)" 1 "only the newest was opened for that"
    publish_on & writer=$!
    ok "segments are added meanwhile" wait_until 20 grown "$old"
    is "$WRONG" "" "ls lists all of the old ones while others are added"
    kill "$writer" && wait "$writer"
    ok "only what was published to was opened for that" \
        test "$(open_segments)" -le $(($(ls "$MNT/t/0" | grep -c 'log$') - SEGMENTS + 1))
}

# Anonymous memory of the daemon, in KiB.
anonymous_kib()
{
    awk '$1 == "Anonymous:" { print $2 }' "/proc/$DAEMON_PID/smaps_rollup"
}

# The kernel says when it drops the inode of a name. (Its count of all inodes is the machine's.)
known_below()
{
    (($(sed -n 's/^topicfs_known_names //p' "$MNT/.metrics") < $1))
}

anonymous_below()
{
    (($(anonymous_kib) < $1))
}

# The kernel keeps what it looked up until it is told that nobody uses it.
case_a_poller_leaves_no_memory_behind()
{
    local before last=$((20 * NAMES - 20))
    daemon_start || return
    mkdir "$MNT/t" && seq -f '%019.0f' 1 "$NAMES" >"$MNT/t/publish" || return
    sync "$MNT/t/publish"
    # Once before: what malloc keeps of the most that were known at a time is no leak.
    "$TOPICFS_TOOLS/lookups" "$MNT/t/0" "$last" 20 "$NAMES" || return
    wait_until 30 known_below 1000
    before=$(anonymous_kib)
    ok "$NAMES names are looked up" "$TOPICFS_TOOLS/lookups" "$MNT/t/0" "$last" 20 "$NAMES"
    ok "the kernel keeps no inodes of them" wait_until 30 known_below 1000
    if [[ -n ${TOPICFS_SANITIZER:-} ]]; then
        daemon_stop # its malloc keeps what was freed on purpose; what is lost, it says now
        is $? 0 "no leak"
    else
        ok "the daemon keeps no memory of them" wait_until 30 anonymous_below $((before + NAMES / 20))
    fi
}

run_cases "$@"
