#!/usr/bin/env bash
# Real text, and much of it: what people's tools publish is what people's tools read.
#
# The text is documentation, licences, headers and sources found on this machine, repeated where
# there is less: TOPICFS_INPUT_MB of it, 64 times TOPICFS_SCALE if not said. Every line has the
# writer and a number in front, so that what is lost, torn, mixed, doubled or out of order shows.
. "$(dirname "$0")/lib.sh"

INPUT_MB=${TOPICFS_INPUT_MB:-$((64 * ${TOPICFS_SCALE:-1}))}
WRITERS=8
LONG=$((60 + INPUT_MB)) # seconds that moving the whole text may take
SMALL_SEGMENTS=(--segment-bytes 8388608 --set-max-bytes 4194304)

# The text of the machine, once.
text()
{
    find /usr/share/common-licenses /usr/include /usr/share/doc /usr/lib/python3* /usr/share/perl \
        -type f ! -name '*.gz' -print0 2>/dev/null | xargs -0 grep -IlZ . | xargs -0 cat
}

endless_text()
{
    while text; do :; done
}

# make_input MB: input.0 .. input.7, each line "WRITER:NUMBER:TEXT"; TOTAL, LINES of them all.
make_input()
{
    endless_text 2>/dev/null | head -c "${1}M" | awk -v w="$WRITERS" \
        'length < 100000 { k = NR % w; print k ":" ++n[k] ":" $0 >("input." k) }'
    TOTAL=$(cat input.? | wc -c)
    LINES_ALL=$(cat input.? | wc -l)
}

file_has()
{
    (($(stat -c %s "$1") >= $2))
}

# Eight writers at once, each with a tool of its own.
start_writers()
{
    local p=$1
    PIDS=()
    cp input.0 "$p" & PIDS+=($!)
    tee -a "$p" <input.1 >/dev/null & PIDS+=($!)
    dd if=input.2 of="$p" bs=7777 status=none & PIDS+=($!)
    dd if=input.3 of="$p" bs=1234567 oflag=append conv=notrunc status=none & PIDS+=($!)
    awk '{ print }' input.4 >>"$p" & PIDS+=($!)
    perl -pe '' input.5 >>"$p" & PIDS+=($!)
    "$TOPICFS_TOOLS/stdiocat" "$p" <input.6 & PIDS+=($!)
    dd if=input.7 of="$p" bs=509 status=none & PIDS+=($!)
}

writers_end()
{
    local pid rc=0
    for pid in "${PIDS[@]}"; do
        wait "$pid" || rc=1
    done
    return "$rc"
}

# each_writers_lines DIR: in DIR's log every writer's lines are its input, in order.
each_writers_lines()
{
    local k rc=0
    for ((k = 0; k < WRITERS; k++)); do
        grep -a "^$k:" "$1/0-" | cmp - "input.$k" || rc=1
    done
    return "$rc"
}

same_sorted()
{
    cmp <(cat "$MNT"/t/*/*.log | sort) <(sort input.?)
}

# Positions of some lines as grep tells them, on the whole log and on its segments.
positions_on_segments()
{
    local log base
    for log in "$MNT"/t/0/*.log; do
        base=$((10#$(basename "$log" .log)))
        grep -ab '^[0-7]:[0-9]*0000:' "$log" | awk -F: -v b="$base" '{ $1 += b; print $1, $2, $3 }'
    done
}

positions_are_offsets()
{
    local offset k n rest count=0
    grep -ab '^[0-7]:[0-9]*0000:' "$MNT/t/0/0-" | awk -F: '{ print $1, $2, $3 }' >positions
    positions_on_segments | cmp - positions || return
    while read -r offset k n; do
        ((++count % 8 == 1)) || continue
        IFS=: read -r rest < <(head -n 1 "$MNT/t/0/$offset-")
        [[ $rest == "$k:$n:"* ]] || { echo "offset $offset: $rest"; return 1; }
        IFS= read -r rest <"$MNT/t/0/$offset+"
        [[ $rest == "$k:$n:"* ]] || { echo "offset $offset+: $rest"; return 1; }
    done <positions
    ((count > 0))
}

# Frozen names join up at a boundary in the middle.
halves_join()
{
    local middle
    middle=$(awk 'NR == 5 { print $1 }' positions)
    cat "$MNT/t/0/0-$middle" "$MNT/t/0/$middle-$TOTAL" | cmp - "$MNT/t/0/0-"
}

case_eight_writers_and_every_reader()
{
    local head_pid tail_pid
    daemon_start "${SMALL_SEGMENTS[@]}" && mkdir "$MNT/t" || return
    make_input "$INPUT_MB"
    echo "$LINES_ALL lines, $TOTAL bytes"
    within "$LONG" head -n "$LINES_ALL" "$MNT/t/0/0+" >plus &
    head_pid=$!
    tail -c +1 -f "$MNT/t/0/0-" >tail_f &
    tail_pid=$!
    tail -n +1 -F "$MNT/t/0/0-" >tail_F 2>/dev/null &
    start_writers "$MNT/t/publish"
    writers_end
    is $? 0 "cp, tee, dd, awk, perl and stdio end well" || return
    ok "sync" sync "$MNT/t/publish" || return
    is "$(cat "$MNT"/t/0/*.log | wc -c)" "$TOTAL" "all bytes are in the segments" || return
    isnt "$(find "$MNT/t/0" -name '*.log' | wc -l)" 1 "which are several"
    ok "the segments are the log" cmp <(cat "$MNT"/t/0/*.log) "$MNT/t/0/0-"
    ok "each writer's lines are all there, in order, whole" each_writers_lines "$MNT/t/0"
    ok "cat t/*/*.log | sort is the input sorted" same_sorted
    ok "grep -b tells offsets" positions_are_offsets
    ok "two halves are the whole" halves_join
    wait "$head_pid"
    is $? 0 "a reader of 0+ that counts lines ends"
    ok "and has read the log" cmp plus "$MNT/t/0/0-"
    ok "tail -f arrives" wait_until "$LONG" file_has tail_f "$TOTAL"
    ok "and has printed the log" cmp tail_f "$MNT/t/0/0-"
    ok "tail -F arrives" wait_until "$LONG" file_has tail_F "$TOTAL"
    ok "and has printed the log, over every roll" cmp tail_F "$MNT/t/0/0-"
    kill "$tail_pid" "$!" 2>/dev/null
    daemon_stop
    is $? 0 "the daemon stops"
    daemon_start "${SMALL_SEGMENTS[@]}" || return
    ok "after a restart the log is what it was" cmp plus "$MNT/t/0/0-"
}

in_order()
{
    awk -F: '$2 <= last[$1] { print; bad = 1 } { last[$1] = $2 } END { exit bad }' "$1"
}

case_over_partitions()
{
    local p
    daemon_start "${SMALL_SEGMENTS[@]}" --partitions 4 && mkdir "$MNT/t" || return
    make_input $((INPUT_MB / 4))
    start_writers "$MNT/t/publish"
    writers_end
    is $? 0 "the writers end well" || return
    ok "sync" sync "$MNT/t/publish" || return
    ok "all four partitions together are the input sorted" same_sorted
    for p in 0 1 2 3; do
        ok "partition $p has each writer's lines in order" in_order "$MNT/t/$p/0-"
    done
    within "$LONG" head -n "$LINES_ALL" "$MNT/t/earliest+" >merged 2>/dev/null
    ok "earliest+ has every message once, whole" cmp <(sort merged) <(sort input.?)
}

# What follows a name begins again when the mount was away, as on any file system that was; what
# remembers its offset goes on where it was.
case_followers_over_a_restart()
{
    local reader first second
    daemon_start "${SMALL_SEGMENTS[@]}" && mkdir "$MNT/t" || return
    make_input 16
    cat "$MNT/t/0/0+" >plus 2>/dev/null &
    reader=$!
    tail -n +1 -F "$MNT/t/0/0-" >tail_F 2>/dev/null &
    cp input.0 "$MNT/t/0/publish" && cp input.1 "$MNT/t/0/publish" || return
    first=$(cat input.[01] | wc -c)
    ok "tail -F has the first part" wait_until "$LONG" file_has tail_F "$first"
    daemon_stop
    is $? 0 "the daemon stops"
    wait "$reader"
    is "$(stat -c %s plus)" "$first" "the waiting reader had been given all of it"
    daemon_start "${SMALL_SEGMENTS[@]}" || return
    cp input.2 "$MNT/t/0/publish" || return
    second=$(stat -c %s input.2)
    head -c "$second" "$MNT/t/0/$first+" >>plus
    ok "a reader that goes on at its offset has every line once" cmp plus "$MNT/t/0/0-"
    ok "and that is the input" cmp plus <(cat input.[012])
    ok "tail -F comes back" wait_until "$LONG" file_has tail_F "$((first + first + second))"
    ok "and loses nothing: it prints the file that has appeared from its beginning" \
        cmp tail_F <(cat input.[01] plus)
}

# Publishes lines "$1:NUMBER:..." until `stop` is there: some MB a second, so that a crawler that
# reads to the end of a growing file gets there.
write_until_stopped()
{
    perl -e 'until (-e "stop") {
        print "$ARGV[0]:", ++$n, ":", "x" x ($n % 300), "\n";
        select undef, undef, undef, 0.001 if $n % 100 == 0;
    }' "$1" >>"$2"
}

# saw_each_once CRAWLER <LINES: none is there twice, and none that was published before is missing.
saw_each_once()
{
    sort >"seen.$1"
    is "$(uniq -d "seen.$1" | head -n 3)" "" "$1 sees no message twice"
    is "$(comm -13 "seen.$1" before | head -n 3)" "" "$1 misses no message"
    isnt "$(grep -ac '^[89]:' "seen.$1")" 0 "$1 ran while writers did"
}

names_and_sizes()
{
    find "$MNT/t" "$MNT/u" -printf '%P %i %m %s %T@\n' | sort
}

crawl()
{
    within "$LONG" grep -rha '^[0-9]:' "$MNT/t" "$MNT/u" >grepped
    is $? 0 "grep -r ends"
    saw_each_once grep <grepped
    ok "find ends" within "$LONG" find "$MNT" -newermt 2001-01-01
    ok "du ends" within "$LONG" du -s "$MNT"
    within "$LONG" rsync -a "$MNT/" copy 2>rsync.said
    like $? '^(0|24)$' "rsync -a ends"
    cat rsync.said
    cat copy/[tu]/*/*.log | saw_each_once rsync
    within "$LONG" tar -C "$MNT" -cf crawled.tar . 2>/dev/null
    like $? '^[01]$' "tar ends"
    tar -C tree -xf crawled.tar
    cat tree/[tu]/*/*.log | saw_each_once tar
}

case_crawlers_while_writers_run()
{
    local before
    daemon_start "${SMALL_SEGMENTS[@]}" --partitions 3 && mkdir "$MNT/t" "$MNT/u" copy tree || return
    make_input $((INPUT_MB / 4))
    cat input.[0-3] >>"$MNT/t/publish" && cat input.[4-7] >>"$MNT/u/publish" &&
        sync "$MNT"/?/publish || return
    sort input.? >before
    write_until_stopped 8 "$MNT/t/publish" & PIDS=($!)
    write_until_stopped 9 "$MNT/u/publish" & PIDS+=($!)
    wait_until 10 grep -qa '^8:' "$MNT/t/0/0-" && wait_until 10 grep -qa '^9:' "$MNT/u/0/0-"
    crawl
    touch stop
    writers_end
    is $? 0 "the writers end"
    sync "$MNT"/?/publish
    before=$(names_and_sizes)
    grep -rq 'not there' "$MNT"
    rsync -a "$MNT/" copy
    tar -C "$MNT" -cf - . | wc -c
    is "$(names_and_sizes)" "$before" "crawlers change nothing"
}

run_cases "$@"
