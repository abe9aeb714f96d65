#!/usr/bin/env bash
# kill -9 of the daemon under load, again and again, with a ledger kept outside.
#
#     kill.sh [CYCLES]        100 times TOPICFS_SCALE, if not said
#
# Nine writers in three topics (on disk with partitions, flush.sync=os, ack=write), small segments
# and a small journal, so that rolls, turns and checkpoints are among what is interrupted. A set is
# acknowledged by fsync, by close, or by write itself. After each restart tests/kill/verify looks at
# every byte; a reader that was blocked on a stream has seen nothing but what is there afterwards.
# Now and then the daemon is killed while it starts, and stopped cleanly in between.
# The last line is `kill: N cycles, L lost`.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

TESTS=${TOPICFS_TESTS:-$ROOT/build/release/tests}
CYCLES=${1:-$((100 * ${TOPICFS_SCALE:-1}))}
RESULT=$(mktemp "${TMPDIR:-/tmp}/topicfs-kill.XXXXXX") || exit 1

# WRITER TOPIC FILE ACKNOWLEDGED-BY
WRITERS='0 d d/0/publish fsync
1 d d/0/publish fsync
2 d d/publish close
3 d d/publish fsync
4 d d/1/publish close
5 o o/publish fsync
6 o o/0/publish close
7 a a/publish write
8 a a/0/publish write'

declare -A PARTITIONS=([d]=3 [o]=1 [a]=1)
SETTINGS=(--segment-bytes 400000 --set-max-bytes 200000 --message-max-bytes 65536
    --journal-bytes 16777216 --journal-part-bytes 16384 --flush-ms 20)

# Not daemon_start: the dead mount may still answer from the kernel's memory.
start()
{
    : >"$LOG"
    daemon_begin "${SETTINGS[@]}"
    wait_until 20 is_ready && return
    echo "cycle $CYCLE: the daemon does not start"
    return 1
}

is_ready()
{
    grep -q ' ready$' "$LOG"
}

make_topics()
{
    mkdir "$MNT/d" "$MNT/o" "$MNT/a" ledger seen || return
    echo partitions=3 >"$MNT/d/.config" &&
        echo flush.sync=os >"$MNT/o/.config" &&
        echo ack=write >"$MNT/a/.config"
}

# Every topic against its ledger; adds up what is lost.
verify_all()
{
    local topic said rc=0
    for topic in d o a; do
        # shellcheck disable=SC2046 # one word a writer
        said=$("$TESTS/kill/verify" "$MNT/$topic" ledger "state.$topic" "${PARTITIONS[$topic]}" \
            $(awk -v t="$topic" '$2 == t { print $1 }' <<<"$WRITERS")) || rc=1
        [[ $said =~ ([0-9]+)\ acknowledged,\ ([0-9]+)\ lost$ ]] || { echo "$said"; return 1; }
        LOST=$((LOST + BASH_REMATCH[2]))
        ((rc == 0)) || echo "cycle $CYCLE, topic $topic: $said"
    done
    ((rc == 0)) && verify_seen
}

# What the reader of the last cycle saw is where it saw it.
verify_seen()
{
    [[ -e seen/from ]] || return 0
    tail -c "+$(($(<seen/from) + 1))" "$MNT/d/0/0-" | head -c "$(stat -c %s seen/bytes)" |
        cmp - seen/bytes
}

start_load()
{
    local writer topic file how
    PIDS=()
    stat -c %s "$MNT/d/0/0-" >seen/from
    cat "$MNT/d/0/$(<seen/from)+" >seen/bytes 2>/dev/null &
    READER=$!
    while read -r writer topic file how; do
        touch "ledger/$writer"
        "$TESTS/kill/writer" "$MNT/$file" "ledger/$writer" "$writer" "$CYCLE" "$how" &
        PIDS+=("$!")
    done <<<"$WRITERS"
}

acknowledged()
{
    (($(cat ledger/* | wc -l) >= $1))
}

# Kills the daemon once so many more sets are acknowledged; the load ends by itself.
kill_under_load()
{
    local pid rc=0 target
    target=$(($(cat ledger/* 2>/dev/null | wc -l) + 60 + RANDOM % (CYCLE % 20 == 9 ? 6000 : 600)))
    start_load
    wait_until 20 acknowledged "$target" || { echo "cycle $CYCLE: no progress"; rc=1; }
    daemon_kill || rc=1
    for pid in "${PIDS[@]}"; do
        wait "$pid" || rc=1
    done
    wait "$READER"
    return "$rc"
}

kill_while_it_starts()
{
    local i until=$((RANDOM % 8000))
    daemon_begin "${SETTINGS[@]}"
    for ((i = 0; i < until; i++)); do :; done
    daemon_kill
}

# Dead mounts do not pile up below the living one.
mounted_once()
{
    local count
    count=$(grep -cF " $MNT " /proc/self/mounts)
    ((count == 1)) || { echo "cycle $CYCLE: mounted $count times"; return 1; }
}

one_cycle()
{
    if ((CYCLE % 7 == 3)); then
        kill_while_it_starts || return
    fi
    start || return
    mounted_once || return
    ((CYCLE > 0)) || make_topics || return
    ((CYCLE == 0)) || verify_all || return
    if ((CYCLE % 10 == 5)); then
        daemon_stop && start && verify_all || return
    fi
    kill_under_load
}

case_nothing_acknowledged_is_lost()
{
    LOST=0
    for ((CYCLE = 0; CYCLE < CYCLES; CYCLE++)); do
        one_cycle || break
    done
    is "$CYCLE" "$CYCLES" "so many kills under load" || return
    start || return
    ok "all is there, whole, in order, once, where it was" verify_all
    is "$LOST" 0 "messages lost"
    isnt "$(find "$STORE" -name '*.log' | wc -l)" 5 "segments were rolled"
    echo "acknowledged sets: $(cat ledger/* | wc -l), $(du -sh "$STORE" | cut -f1) in the store"
    grep -E '^(checkpoints|journal turns):' "$MNT/.status"
    daemon_stop
    echo "$CYCLE $LOST" >"$RESULT"
}

(run_cases)
failed=$?
read -r cycles lost <"$RESULT" || { cycles=0 lost=unknown; }
rm -f "$RESULT"
echo "kill: $cycles cycles, $lost lost"
exit "$failed"
