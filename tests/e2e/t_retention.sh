#!/usr/bin/env bash
# Retention and deleted topics under load, over kills and restarts; what the store looks like.
. "$(dirname "$0")/lib.sh"

SMALL=(--message-max-bytes 1000 --set-max-bytes 4000 --segment-bytes 8192 --retention-check-ms 5)

# numbers FROM TO: lines of 100 bytes.
numbers()
{
    seq "$1" "$2" | awk '{ printf "%099d\n", $1 }'
}

# consecutive: the lines of standard input are numbers that follow one another; first and last.
consecutive()
{
    awk '{ n = $1 + 0 } NR == 1 { first = n } NR > 1 && n != last + 1 { print "gap at " last; exit 1 }
        { last = n } END { if (NR) print first, last; else print "0 0" }'
}

first_rises() { (($(cut -d' ' -f2 "$MNT/t/.offsets" 2>/dev/null || echo 0) > $1)); }

# sealed_is_right: sealed/ of the store is links to the sealed segments, no more and no less.
sealed_is_right()
{
    local want got
    want=$(find "$STORE/t/0" -name '*.log' -printf '%f %i\n' | sort | head -n -1 | sed 's/^/0-/')
    got=$(find "$STORE/t/sealed" -type f -printf '%f %i\n' | sort)
    is "$got" "$want" "$1: sealed/ has the sealed segments"
}

# Twelve times killed while segments come and go: what is left is a run of lines without a hole,
# and ends with all that was acknowledged.
case_killed_while_segments_go()
{
    local next=1 cycle writer last had=0 span
    for cycle in {1..12}; do
        daemon_start "${SMALL[@]}" --retention-bytes 20000 --journal-part-bytes $((cycle % 2 ? 262144 : 1)) ||
            return
        [[ -d $MNT/t ]] || mkdir "$MNT/t"
        span=$(cat "$MNT"/t/0/*.log | consecutive) || fail "cycle $cycle: no hole" "$span"
        last=${span#* }
        ((last >= had)) || fail "cycle $cycle: nothing acknowledged is lost" "$span, and $had was"
        sealed_is_right "cycle $cycle"
        next=$((last + 1))
        : >acked
        # Sets of 30 lines, each acknowledged; noted outside of the mount.
        (
            for ((n = next; ; n += 30)); do
                numbers "$n" $((n + 29)) >>"$MNT/t/publish" || exit
                sync "$MNT/t/publish" || exit
                echo $((n + 29)) >>acked
            done
        ) 2>/dev/null &
        writer=$!
        ok "cycle $cycle: segments go" wait_until 10 first_rises "$(cut -d' ' -f2 "$MNT/t/.offsets")"
        daemon_kill
        wait "$writer"
        had=$(tail -n 1 acked)
        had=${had:-$last}
        detach
    done
    daemon_start "${SMALL[@]}" && daemon_stop
    ok "the store is whole" "$TOPICFS_BIN" check "$STORE"
}

# The same with idle partitions that are rolled away by their age.
case_killed_while_idle_partitions_go()
{
    local cycle end=0
    for cycle in {1..6}; do
        daemon_start "${SMALL[@]}" --partitions 20 --retention-ms 1 || return
        [[ -d $MNT/t ]] || mkdir "$MNT/t"
        is "$(cut -d' ' -f4 "$MNT/t/.offsets" | sort -u)" "$end" "cycle $cycle: all end where they did"
        for p in {0..19}; do
            numbers 1 10 >>"$MNT/t/$p/publish"
        done
        end=$((end + 1000))
        sync "$MNT/t/publish"
        ok "cycle $cycle: they go" wait_until 10 some_are_empty "$end"
        daemon_kill
        detach
    done
    daemon_start "${SMALL[@]}" || return
    ok "all are empty" wait_until 10 all_are_empty "$end"
    echo retention.ms=off >"$MNT/t/.config"
    publish t new
    is "$(cat "$MNT"/t/*/earliest-)" new "and go on"
    daemon_stop
    ok "the store is whole" "$TOPICFS_BIN" check "$STORE"
}

some_are_empty() { cut -d' ' -f2 "$MNT/t/.offsets" | grep -qx "$1"; }
all_are_empty() { [[ $(cut -d' ' -f2 "$MNT/t/.offsets" | sort -u) == "$1" ]]; }

# What retention.bytes=20000 leaves: without its oldest segment the partition would have less.
settled()
{
    local oldest
    oldest=$(find "$STORE/t/0" -name '*.idx' -printf '%f\n' | sort | head -n 1)
    (($(find "$STORE/t/0" -type f ! -name "${oldest%.idx}*" -printf '%s\n' |
        awk '{ n += $1 } END { print n + 0 }') < 20000))
}

case_a_clean_restart_goes_on_with_retention()
{
    daemon_start "${SMALL[@]}" || return
    mkdir "$MNT/t"
    numbers 1 500 | cat >>"$MNT/t/publish" && sync "$MNT/t/publish"
    daemon_stop
    ok ".clean is there" test -f "$STORE/.clean"
    daemon_start "${SMALL[@]}" || return
    is "$(cut -d' ' -f2 "$MNT/t/.offsets")" 0 "nothing goes in a week"
    echo retention.bytes=20000 >"$MNT/t/.config"
    ok "it is set, and segments go" wait_until 10 first_rises 0
    ok "until there are as many as shall be kept" wait_until 10 settled
    is "$(cat "$MNT"/t/0/*.log | consecutive | cut -d' ' -f2)" 500 "what is kept ends as before"
    sealed_is_right "then"
    is "$(grep -c 'removed by retention: [1-9]' "$MNT/.status")" 1 "it is counted"
}

# A topic goes while it is written and read; the daemon is killed at once.
case_killed_while_a_topic_goes()
{
    local cycle id reader writer
    daemon_start "${SMALL[@]}" || return
    mkdir "$MNT/other" && publish other stays
    for cycle in {1..8}; do
        mkdir "$MNT/t" || fail "cycle $cycle: the name is free"
        numbers 1 2000 | cat >>"$MNT/t/publish" && sync "$MNT/t/publish"
        id=$(sed -n 's/^id=//p' "$MNT/t/.config")
        within 30 cat "$MNT/t/0/0+" >got 2>said &
        reader=$!
        # shellcheck disable=SC2016 # it is the inner shell's
        within 30 bash -c 'while echo more; do :; done >>"$1"' bash "$MNT/t/publish" 2>/dev/null &
        writer=$!
        ok "cycle $cycle: there is a reader" wait_until 10 test -s got
        ok "cycle $cycle: it is deleted" bash -c "echo delete=$id >$MNT/t/.config"
        if ((cycle % 2)); then
            daemon_kill
            wait "$reader" "$writer"
            detach
            daemon_start "${SMALL[@]}" || return
        else
            wait "$reader" "$writer"
            like "$(<said)" "Stale file handle$" "cycle $cycle: the reader is told"
        fi
        ok "cycle $cycle: it is gone" test ! -e "$MNT/t"
        ok "cycle $cycle: and its files" wait_until 10 no_files
        is "$(cat "$MNT/other/0/0-")" stays "cycle $cycle: the other topic stays"
    done
    daemon_stop
    ok "the store is whole" "$TOPICFS_BIN" check "$STORE"
}

no_files() { ! compgen -G "$STORE/.del.*" >/dev/null && [[ ! -e $STORE/t ]]; }

run_cases "$@"
