#!/usr/bin/env bash
# topicfs check: what it says of a real store, of one that was killed, of damaged files, while a
# daemon runs; its exit status; and that it changes nothing.
. "$(dirname "$0")/lib.sh"

SEGMENT=00000000000000000000

# A store with two topics that was stopped cleanly.
left_cleanly()
{
    daemon_start || return
    mkdir "$MNT/t" "$MNT/u"
    publish t a bb ccc && publish u one && publish t dddd
    daemon_stop
}

# flip FILE AT: another byte stands there.
flip()
{
    local byte
    byte=$(od -An -tu1 -j"$2" -N1 "$STORE/$1")
    # shellcheck disable=SC2059 # the byte itself
    printf "\\x$(printf %x $((byte ^ 64)))" |
        dd of="$STORE/$1" bs=1 seek="$2" conv=notrunc status=none
}

# The store's names, sizes and bytes.
fingerprint()
{
    (cd "$STORE" && find . -type f ! -name .lock -exec sha256sum {} + | sort -k 2; find . | sort)
}

# check STATUS [OPTION...]: runs it; its report is in REPORT.
check()
{
    local want=$1 rc
    shift
    REPORT=$(within 60 "$TOPICFS_BIN" check "$@" "$STORE" 2>"$DIR/check.err")
    rc=$?
    is "$rc" "$want" "exit status $want" || printf '%s\n' "$REPORT" "$(<"$DIR/check.err")"
}

case_a_clean_store_is_clean()
{
    left_cleanly || return
    check 0
    is "$REPORT" "$STORE: 2 topics, 2 partitions, 2 segments; 5 messages of 18 bytes verified, \
0 damaged: nothing is wrong" "the report is one line"
    is "$(<"$DIR/check.err")" "" "nothing is said where no terminal is"
}

case_a_killed_store_is_judged_as_after_its_recovery()
{
    local before
    daemon_start || return
    mkdir "$MNT/t" && publish t a bb ccc
    daemon_kill && detach
    : >"$STORE/t/0/$SEGMENT.log" # as a power cut may: the journal has the bytes
    before=$(fingerprint)
    check 1
    like "$REPORT" "not stopped cleanly" "says so"
    like "$REPORT" "3 messages of 9 bytes verified, 0 damaged" "counts what stands in the journal"
    is "$(fingerprint)" "$before" "changed nothing"
    daemon_start || return
    is "$(cat "$MNT/t/0/0-")" $'a\nbb\nccc' "a start finds the same"
}

case_a_torn_tail_is_no_damage()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a bb ccc
    daemon_kill && detach
    printf 'half a li' >>"$STORE/t/0/$SEGMENT.log"
    check 1
    like "$REPORT" "t/0: cut a torn tail at 9: 9 bytes" "says where and how much"
}

case_a_changed_byte_is_damage()
{
    local before
    left_cleanly || return
    flip "t/0/$SEGMENT.log" 3
    before=$(fingerprint)
    check 3
    like "$REPORT" "t/0/$SEGMENT.log: damaged: 1 message, number 1 and on, from 2 to 5: " \
        "names the file, the message, the offsets"
    like "$REPORT" "4 messages of 15 bytes verified, 1 damaged: damaged" "sums up"
    is "$(fingerprint)" "$before" "changed nothing"
}

case_a_changed_index_is_damage()
{
    left_cleanly || return
    flip "t/0/$SEGMENT.idx" $((4096 + 16 + 4))
    check 3
    like "$REPORT" "1 message, number 1 and on, from 2 to 5" "names the message"
}

case_a_lost_index_is_damage()
{
    left_cleanly || return
    rm "$STORE/t/0/$SEGMENT.idx"
    check 3
    like "$REPORT" "t/0.*$SEGMENT.log has no valid .idx" "names the file"
}

case_a_topic_whose_config_is_broken()
{
    left_cleanly || return
    cp "$STORE/t/.config" "$DIR/config"
    sed -i 's/^values=lines$/values=words/' "$STORE/t/.config"
    check 3
    like "$REPORT" "t/.config line 4: values=words: must be lines or any; the topic is left out" "names the line"
    truncate -s 30 "$STORE/t/.config"
    check 3
    like "$REPORT" "t/.config: .*; the topic is left out: its messages are untouched" "says so"
    daemon_start || return
    is "$(cat "$MNT/u/0/0-")" one "the other topic is there"
    fails "its name is not given again" mkdir "$MNT/t"
    daemon_stop
    cp "$DIR/config" "$STORE/t/.config"
    check 1
    like "$REPORT" "2 topics, 2 partitions, 2 segments; 5 messages of 18 bytes verified" "it is back"
}

case_a_repair_notes_a_changed_byte()
{
    local before
    left_cleanly || return
    flip "t/0/$SEGMENT.log" 3
    check 4 --repair
    like "$REPORT" "$SEGMENT.damaged: written: repaired: readers of messages skip" "says what it did"
    is "$(head -n 1 "$STORE/t/0/$SEGMENT.damaged")" "1 2 3 1" "number, offset, bytes, messages"
    before=$(fingerprint)
    check 0
    like "$REPORT" "1 message from 2 to 5: a repair noted it" "known from then on"
    check 0 --repair
    is "$(fingerprint)" "$before" "a second repair changes nothing"
    daemon_start || return
    is "$(within 20 head -n 3 "$MNT/t/earliest+" 2>/dev/null)" $'a\nccc\ndddd' "readers of messages skip it"
    is "$(tail -c +3 "$MNT/t/0/0-" | head -c 3 | tr -d '\n' | wc -c)" 2 "raw readers see the bytes"
    like "$(<"$MNT/.status")" "partition t/0: damaged: 1 message in 1 run" "the status tells"
    publish t e
    is "$(tail -n 1 "$MNT/t/0/0-")" e "it takes messages"
}

case_a_repair_makes_a_lost_index()
{
    left_cleanly || return
    rm "$STORE/t/0/$SEGMENT.idx"
    check 4 --repair
    like "$REPORT" "$SEGMENT.idx: made anew, from the lines of .log, for 4 messages" "says so"
    check 0
    daemon_start || return
    is "$(cat "$MNT/t/0/2-5")" bb "offsets are found again"
}

case_a_repair_goes_on_behind_what_is_lost()
{
    left_cleanly || return
    truncate -s 5 "$STORE/t/0/$SEGMENT.log"
    daemon_start || return
    fails "it takes no messages before" publish t x
    daemon_stop
    check 4 --repair
    like "$REPORT" "t/0/00000000000000000014.log: a new segment" "says where it goes on"
    daemon_start || return
    publish t again
    is "$(cat "$MNT/t/0/14-")" again "at an offset that nobody had"
    is "$(within 20 head -n 3 "$MNT/t/earliest+" 2>/dev/null)" $'a\nbb\nagain' "readers of messages go on there"
}

case_what_cannot_be_repaired_stays_damage()
{
    left_cleanly || return
    rm -r "$STORE/t/0"
    check 3 --repair
    like "$REPORT" "it stays as it is" "says so"
    daemon_start || return
    is "$(cat "$MNT/u/0/0-")" one "the other topic is there"
}

case_the_scrubber_finds_what_was_changed()
{
    local small=(--segment-bytes 8192 --set-max-bytes 4096 --message-max-bytes 4000) line
    printf -v line '%0999d' 0
    daemon_start "${small[@]}" || return
    mkdir "$MNT/t"
    for _ in {1..12}; do
        publish t "$line" || return
    done
    daemon_stop
    flip "t/0/$SEGMENT.log" 2500
    daemon_start "${small[@]}" || return
    becomes "partition t/0: damaged: 1 message in 1 run; stop topicfs and see what \`topicfs check\` says" \
        "the status tells" grep "^partition t/0" "$MNT/.status"
    like "$(<"$LOG")" "$SEGMENT.log: damaged: 1 message from 2000 to 3000" "so does the log"
    like "$(<"$MNT/.metrics")" "topicfs_scrub_damaged_messages_total 1" "and the metrics"
}

case_foreign_names_are_notes()
{
    left_cleanly || return
    mkdir "$STORE/lost+found" "$STORE/t/7"
    touch "$STORE/notes.txt" "$STORE/t/0/old" "$STORE/.x.tmp"
    check 0
    like "$REPORT" "notes.txt: not a name that topicfs gives" "a file in the root"
    like "$REPORT" "t/7: the topic has 1 partition; one was being added" "a directory that is no partition"
    like "$REPORT" "t/0/old: not a name" "a file in a partition"
    like "$REPORT" ".x.tmp: unfinished: left by a crash" "what the next start removes"
    [[ $REPORT != *lost+found* ]]
    is $? 0 "nothing of lost+found"
}

case_a_running_daemon_is_named()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a
    check 5
    is "$REPORT" "" "no report"
    like "$(<"$DIR/check.err")" "^topicfs: check: .*: locked by process $DAEMON_PID " "says by whom"
    publish t b
    is "$(cat "$MNT/t/0/0-")" $'a\nb' "which goes on"
}

case_what_is_no_store_is_not_checked()
{
    mkdir "$STORE"
    check 6
    like "$(<"$DIR/check.err")" "no .format: not a topicfs store" "says why"
    is "$(ls -A "$STORE")" "" "and makes none"
    rmdir "$STORE"
    check 6
    like "$(<"$DIR/check.err")" "No such file or directory" "a missing one"
}

case_a_newer_version_is_not_checked()
{
    left_cleanly || return
    sed -i 's/^topicfs 1$/topicfs 2/' "$STORE/.format"
    check 6
    like "$(<"$DIR/check.err")" "version 2, and this topicfs knows 1" "says so"
}

case_progress_on_standard_error()
{
    left_cleanly || return
    check 0 --progress
    like "$(<"$DIR/check.err")" "0 of 0 MiB, [0-9]+ MiB/s, 0 s remaining" "bytes, rate, remaining"
}

case_wrong_words()
{
    local rc
    fails_with "no store; usage: topicfs check" "$TOPICFS_BIN" check
    fails_with "--nonsense: no such option" "$TOPICFS_BIN" check --nonsense "$STORE"
    fails_with "b: one word too many" "$TOPICFS_BIN" check a b
    "$TOPICFS_BIN" check 2>"$DIR/err"
    rc=$?
    is "$rc" 2 "exit status"
    like "$("$TOPICFS_BIN" check --help)" "usage: topicfs check" "--help"
}

run_cases "$@"
