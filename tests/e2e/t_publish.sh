#!/usr/bin/env bash
# Publishing: what every way of writing to `publish` puts into the log, and what it is told.
. "$(dirname "$0")/lib.sh"

# start_with_topic [ARGUMENT...]: a daemon with a topic t, and P, its publish file.
start_with_topic()
{
    daemon_start "$@" || return
    mkdir "$MNT/t" || return
    P=$MNT/t/publish
}

# What is in the log of t's first partition, all of it flushed.
log_of_t()
{
    sync "$P" && cat "$MNT/t/0/0-"
}

# log_is EXPECTED NAME: the log without its last newline.
log_is()
{
    is "$(log_of_t)" "$1" "$2"
}

# writer_open FILE: a cat that writes on FILE what is written to WRITER. (A shell that writes by
# itself closes a copy of its descriptor each time, which flushes.)
writer_open()
{
    local fifo=$DIR/fifo.$RANDOM
    mkfifo "$fifo"
    cat <"$fifo" >>"$1" &
    CAT=$!
    exec {WRITER}>"$fifo"
}

# appended PARTITION BYTES: so many of t's are in the log, visible or not.
appended()
{
    (($(cat "$STORE/t/$1"/*.log | wc -c) == $2))
}

# numbered N: that many lines of different lengths.
numbered()
{
    awk -v n="$1" 'BEGIN { for (i = 1; i <= n; i++) printf "%d %0*d\n", i, (i * 37) % 211 + 1, i }'
}

case_a_shell_publishes()
{
    start_with_topic || return
    echo one >>"$P"
    echo two >"$P"
    printf 'three\nfour\n' >>"$P"
    printf '%s\n' five six >"$P"
    { printf x | tr -d y; echo z; } >>"$P"
    cat >>"$P" <<<"here"
    : >"$P"
    log_is $'one\ntwo\nthree\nfour\nfive\nsix\nxz\nhere' "echo, printf, > and >> alike"
    is "$(wc -c <"$P")" 0 "publish itself is empty to read"
    is "$(stat -c %s "$P")" 0 "and has no size"
}

case_tools_publish()
{
    start_with_topic || return
    numbered 500 >lines
    local want=0 tool
    while read -r tool; do
        command -v "${tool%% *}" >/dev/null || continue
        ok "$tool" env P="$P" bash -c "$tool"
        want=$((want + 1))
    done <<'END'
cat lines >>$P
cat lines >$P
cp lines $P
cp --preserve=timestamps lines $P
dd if=lines of=$P status=none
dd if=lines of=$P conv=fsync,notrunc status=none
dd if=lines of=$P oflag=append conv=notrunc status=none
tee $P <lines >/dev/null
tee -a $P <lines >/dev/null
sed -n "w $P" lines
awk '{ print >>ENVIRON["P"] }' lines
sort -n -o $P lines
rsync --inplace --whole-file lines $P
perl -e 'open(F, ">>", shift) or die; print F while <STDIN>; close F or die' $P <lines
python3 -c 'import sys; open(sys.argv[1], "w").writelines(sys.stdin)' $P <lines
python3 -c 'import sys, os; [os.write(3, line.encode()) for line in sys.stdin]' 3>$P <lines
END
    is "$(log_of_t | cksum)" "$(for ((; want > 0; want--)); do cat lines; done | cksum)" \
        "each has published every line once and in order"
}

case_lines_may_be_cut_anywhere_by_writes()
{
    local size
    start_with_topic || return
    numbered 300 >lines
    for size in 1 2 7 13 211 4095 4096 4097 65537; do
        dd if=lines of="$P" bs="$size" status=none
    done
    is "$(log_of_t | cksum)" "$(for size in 1 2 3 4 5 6 7 8 9; do cat lines; done | cksum)" \
        "dd with odd block sizes"
}

# Above 1 MiB a write arrives in pieces.
case_large_files_arrive_whole()
{
    start_with_topic || return
    awk 'BEGIN { for (i = 1; i <= 300; i++) { s = sprintf("%d", i); n = (i * 7919) % 100000
                 printf "%s %0*d\n", s, n + 1, i } }' >lines
    ok "cp" cp lines "$P"
    ok "dd with blocks of 5 MiB" dd if=lines of="$P" bs=5M status=none
    is "$(log_of_t | cksum)" "$(cat lines lines | cksum)" "both"
    is "$(cut -d' ' -f5 "$MNT/t/.offsets")" 600 "a message a line"
}

case_any_byte_but_the_newline_is_a_value()
{
    start_with_topic || return
    printf '\n\n' >>"$P"
    printf 'a\0b\n\xff\xfe\r\n \t\n' >>"$P"
    is "$(log_of_t | od -An -c | tr -d ' ')" '\n\na\0b\n377376\r\n\t\n' "empty lines, NUL, CR"
    is "$(cut -d' ' -f5 "$MNT/t/.offsets")" 5 "messages"
}

case_an_unfinished_line_waits_for_the_last_close()
{
    start_with_topic || return
    exec {w}>>"$P"
    printf 'whole\nhal' >&"$w"
    log_is whole "fsync does not cut it"
    (exit 0) # a child closed its copy of the descriptor
    log_is whole "nor does the close of a copy"
    printf 'f\nlast' >&"$w"
    log_is $'whole\nhalf' "its newline ends it"
    exec {w}>&-
    becomes $'whole\nhalf\nlast' "so does the last close" log_of_t
}

case_two_handles_never_mix_lines()
{
    start_with_topic || return
    exec {a}>>"$P" {b}>>"$P"
    printf aa >&"$a"
    printf bb >&"$b"
    printf 'AA\n' >&"$a"
    printf 'BB\n' >&"$b"
    exec {a}>&- {b}>&-
    log_is $'aaAA\nbbBB' "two handles"
}

case_many_writers_lose_no_line()
{
    local i writers=()
    start_with_topic || return
    for i in {1..8}; do
        (for n in {1..250}; do echo "$i:$n"; done >>"$P") &
        writers+=($!)
    done
    (for i in 9 10; do (for n in {1..250}; do echo "$i:$n"; done) & done; wait) >>"$P"
    wait "${writers[@]}"
    log_of_t >got
    is "$(sort got | cksum)" "$(for i in {1..10}; do for n in {1..250}; do echo "$i:$n"; done; done |
        sort | cksum)" "every line of 10 writers, two of them with one handle"
    is "$(for i in {1..10}; do grep "^$i:" got | sort -t: -k2n -c && echo sorted; done | uniq -c |
        tr -s ' ')" " 10 sorted" "each writer's own order"
}

case_position_truncation_and_times_do_nothing()
{
    start_with_topic || return
    echo one >>"$P"
    ok "truncate" truncate -s 0 "$P"
    ok "truncate to more" truncate -s 4096 "$P"
    ok "fallocate" fallocate -l 4096 "$P"
    ok "touch" touch "$P"
    ok "touch -d" touch -d 2001-01-01 "$P"
    ok "dd seek" dd if=/dev/stdin of="$P" seek=100 bs=4 status=none <<<two
    ok "a positioned write" python3 -c "
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.pwrite(fd, b'three\n', 1000)
os.posix_fallocate(fd, 0, 10000)
os.ftruncate(fd, 0)
os.lseek(fd, 0, os.SEEK_SET)
os.write(fd, b'four\n')" "$P"
    log_is $'one\ntwo\nthree\nfour' "only what was written is there"
    is "$(stat -c %s "$P")" 0 "size"
}

case_partitions_take_turns_and_can_be_named()
{
    start_with_topic --partitions 2 || return
    printf 'a\nA\n' >>"$P"
    printf 'b\nB\n' >>"$P"
    echo c >>"$MNT/t/1/publish"
    echo d >>"$MNT/t/1/publish"
    sync "$P"
    is "$(cat "$MNT/t/0/0-" "$MNT/t/1/0-" | sort | tr -d '\n')" ABabcd "all are there"
    is "$(sort "$MNT"/t/[01]/0- | tr -d '\n')" ABabcd "in the partitions"
    is "$(awk '{ print $5 }' "$MNT/t/.offsets" | tr '\n' ' ')" "2 4 " "a set is not divided"
    ok "sync of a partition's" sync "$MNT/t/1/publish"
}

# -- lines that are too long

case_a_line_too_long_is_refused()
{
    start_with_topic --message-max-bytes 100 || return
    numbered 3 >lines
    printf '%0200d\n' 1 >long
    fails_with "Message too long" cp long "$P"
    fails_with "Message too long" dd if=long of="$P" status=none
    fails_with "Message too long" tee "$P" <long
    fails_with "Message too long" python3 -c '
import os, sys
os.write(os.open(sys.argv[1], os.O_WRONLY), b"x" * 100 + b"\n")' "$P"
    ok "a line of just that size goes" python3 -c '
import os, sys
os.write(os.open(sys.argv[1], os.O_WRONLY), b"x" * 99 + b"\n")' "$P"
    log_is "$(printf 'x%.0s' {1..99})" "nothing else is there"
}

case_the_handle_goes_on_behind_a_line_too_long()
{
    start_with_topic --message-max-bytes 100 || return
    is "$(python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
def put(text):
    try:
        return os.write(fd, text)
    except OSError as e:
        return e.strerror
print(put(b"a\nb\n" + b"x" * 200 + b"\nlost\n"))
print(put(b"x" * 200 + b"\nlost\n"))
print(put(b"c\n"))
print(put(b"y" * 200))
print(put(b"y" * 50))
print(put(b"y\nd\n"))' "$P" | tr '\n' ,)" "4,Message too long,2,Message too long,50,4," \
        "short before it, then EMSGSIZE, then on"
    log_is $'a\nb\nc\nd' "the log"
}

# With the default limit such a line comes in pieces, of which the kernel hides the errors.
case_a_line_of_megabytes_is_refused()
{
    start_with_topic || return
    { echo before; head -c 3M /dev/zero | tr '\0' x; echo; echo after; } >long
    fails_with "Message too long" cp long "$P"
    fails_with "Message too long" dd if=long of="$P" bs=8M status=none
    fails_with "Message too long" dd if=long of="$P" bs=1000 status=none
    head -c 1048575 /dev/zero | tr '\0' y >longest
    echo >>longest
    ok "1 MiB with its newline goes" cp longest "$P"
    is "$(log_of_t | cksum)" "$({ echo before; echo before; echo before; cat longest; } | cksum)" "the log"
}

# -- acknowledgement; flush.ms is so long that only a close or a sync flushes

case_close_makes_visible()
{
    start_with_topic --flush-ms 86400000 || return
    writer_open "$P"
    echo a >&"$WRITER"
    ok "it is in the log" wait_until 10 appended 0 2
    is "$(cat "$MNT/t/0/0-")" "" "written: not visible"
    exec {WRITER}>&-
    wait "$CAT"
    is "$(cat "$MNT/t/0/0-")" a "closed: visible"
}

case_fsync_makes_visible_what_anyone_wrote()
{
    local i writers=()
    start_with_topic --flush-ms 86400000 --partitions 3 || return
    for i in 0 1 2; do
        writer_open "$MNT/t/$i/publish"
        writers+=("$WRITER")
        echo "$i" >&"$WRITER"
        ok "it is in log $i" wait_until 10 appended "$i" 2
    done
    is "$(cat "$MNT"/t/[012]/0-)" "" "nothing is visible"
    ok "sync of a partition's" sync "$MNT/t/2/publish"
    is "$(cat "$MNT/t/2/0-")" 2 "makes visible what is in it"
    ok "sync of the topic's" sync "$P"
    is "$(cat "$MNT"/t/[012]/0- | tr -d '\n')" 012 "all"
    for i in "${writers[@]}"; do
        exec {i}>&-
    done
}

case_ack_write_waits_in_write()
{
    start_with_topic --flush-ms 86400000 --ack write || return
    writer_open "$P"
    echo a >&"$WRITER"
    becomes a "visible without a close" cat "$MNT/t/0/0-"
    printf 'b\nhal' >&"$WRITER"
    becomes $'a\nb' "its complete lines" cat "$MNT/t/0/0-"
    ok "a write has waited when it returns" python3 -c '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, b"c\n")
assert open(sys.argv[2]).read() == "a\nb\nc\n"' "$P" "$MNT/t/0/0-"
    echo ack=close >"$MNT/t/.config"
    printf 'f\n' >&"$WRITER"
    ok "it is in the log" wait_until 10 appended 0 11
    is "$(cat "$MNT/t/0/0-")" $'a\nb\nc' "no more after a change"
    exec {WRITER}>&-
}

case_flush_ms_publishes_for_writers_that_never_close()
{
    start_with_topic --flush-ms 10 || return
    writer_open "$P"
    echo a >&"$WRITER"
    becomes a "soon visible" cat "$MNT/t/0/0-"
    exec {WRITER}>&-
}

case_flush_sync_os_is_visible_at_once()
{
    start_with_topic --flush-sync os --flush-ms 86400000 || return
    writer_open "$P"
    echo a >&"$WRITER"
    becomes a "visible without a close" cat "$MNT/t/0/0-"
    ok "and sync works" sync "$P"
    exec {WRITER}>&-
}

# -- a disk that does not do as it should

in_fsync()
{
    local pid number
    for pid; do
        read -r number _ <"/proc/$pid/syscall" || return 1
        [[ $number == 74 || $number == 75 ]] || return 1
    done
}

flushes()
{
    awk '/^(journal|direct) flushes:/ { n += $3 } END { print n }' "$MNT/.status"
}

# 16 writers with fsync and a plain one while the disk takes its time: the plain one returns at once,
# the 16 share two flushes: the one that the first has begun, and one for all others. (One who is on
# his way still when the disk answers may need another.)
case_a_slow_disk_is_shared()
{
    local pids=() i before flushes
    start_with_topic --flush-ms 86400000 || return
    publish t before
    writer_open "$P"
    before=$(flushes)
    hold fdatasync || return
    for i in {1..16}; do
        dd of="$P" conv=notrunc,fsync status=none <<<"$i" &
        pids+=($!)
    done
    ok "all 16 wait" wait_until 10 in_fsync "${pids[@]}"
    echo plain >&"$WRITER"
    ok "a plain writer's line is in the log" wait_until 10 appended 0 52
    ok "and they wait still" in_fsync "${pids[@]}"
    uninject
    for i in "${pids[@]}"; do
        wait "$i" || fail "fsync succeeds"
    done
    flushes=$(($(flushes) - before))
    ok "$flushes flushes, two or a few" test "$flushes" -le 4
    is "$(log_of_t | sort -n | tr '\n' ' ')" "before plain 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 " \
        "all are there"
    exec {WRITER}>&-
}

case_a_failing_disk_is_told()
{
    start_with_topic --flush-ms 86400000 || return
    publish t good
    echo y >line
    inject fdatasync,fsync,syncfs error=EIO || return
    echo x >>"$P"
    fails_with "Input/output error" sync "$P"
    fails_with "Input/output error" sync "$P"
    uninject
    fails_with "Input/output error" sync "$P"
    fails "no more is taken" cp "$DIR/line" "$P"
    is "$(cat "$MNT/t/0/0-")" good "what was on disk is readable"
}

case_a_failed_close_is_told()
{
    start_with_topic --flush-ms 86400000 || return
    echo line >file
    inject fdatasync,fsync,syncfs error=EIO || return
    fails_with "Input/output error" cp file "$P"
    uninject
}

case_a_full_disk_is_told_and_survived()
{
    mkdir "$DIR/disk" && mount -t tmpfs -o size=48m none "$DIR/disk" || return
    STORE=$DIR/disk/store
    start_with_topic --journal-bytes 16777216 || return
    numbered 200000 >lines
    fails_with "No space left on device" dd if=/dev/zero of="$DIR/disk/fill" bs=64K status=none
    truncate -s -8M "$DIR/disk/fill"
    fails_with "No space left on device" cp lines "$P"
    fails_with "No space left on device" cp lines "$P"
    is "$(grep -c "t/0: No space left on device: publishing fails until there is room" "$LOG")" 1 \
        "the log says so, once"
    rm "$DIR/disk/fill"
    log_of_t >got
    ok "some lines were taken" test -s got
    is "$(head -c "$(stat -c %s got)" lines | cksum)" "$(cksum <got)" "what was taken is a beginning"
    is "$(tail -c 1 got | od -An -c | tr -d ' ')" '\n' "of whole lines"
    ok "with room again it takes more" publish t more
    is "$(tail -n 1 "$MNT/t/0/0-")" more "at the end"
}

run_cases "$@"
