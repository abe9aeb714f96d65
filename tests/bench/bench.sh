#!/usr/bin/env bash
# The table of `make bench`: what topicfs does beside what the machine does without it.
#
#     bench.sh [PART...]     library acks append read latency start scale recover topics partitions
#                            history; all, if not said, but the last three: topics leaves thousands
#                            of them, partitions takes some minutes and 3 GB, history 200 MB that
#                            look like a TiB
#
# Each row is measured by one of the programs beside this file: medians of ROUNDS rounds, the two
# sides in turn, with the least and the greatest. docs/performance.md says what the rows mean. The
# table goes to the terminal, and as markdown to BENCH_DIR/table.md. BENCH_DIR (build/bench) has to
# be on a real disk. Nothing here fails because it is slow: it is no test.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

TESTS=${TOPICFS_TESTS:-$ROOT/build/release/tests}/bench
DIR=${BENCH_DIR:-$ROOT/build/bench}
ROUNDS=${BENCH_ROUNDS:-7}
STORE=$DIR/store MNT=$DIR/mnt LOG=$DIR/log
ROWS=$DIR/rows
FLUSH_BYTES=2000000 # flush.messages=10000 of 200 bytes

clean_up()
{
    local pid
    for pid in "${STARTED[@]}"; do
        kill -KILL "$pid" && wait_until 5 ended "$pid"
    done
    not_mounted "$MNT" || umount -l "$MNT"
    rm -rf --one-file-system "$DIR/work" "$DIR/kept" "$STORE" "$MNT"
}

# ---------------------------------------------------------------- rows

section()
{
    printf '=\t%s\n' "$1" >>"$ROWS"
    echo "... $1" >&2
}

# row LABEL UNIT TARGET PROGRAM ARGUMENT...: a row for each comparison the program prints. TARGETs are
# words, one for each comparison: r>=N (the ratio), v<=N (the value), or -.
row()
{
    local label=$1 unit=$2 targets n=0 line
    read -ra targets <<<"$3"
    shift 3
    rm -rf "$DIR/work" && mkdir "$DIR/work"
    sync -f "$DIR" # what earlier rows left to be written back is no part of this one
    while IFS= read -r line; do
        printf -- '-\t%s\t%s\t%s\t%s\n' "$label" "$unit" "${targets[n++]:--}" "$line" >>"$ROWS"
    done < <("$TESTS/$1" "${@:2}")
}

# value LABEL UNIT TARGET NUMBER...: the median of numbers measured here.
value()
{
    local label=$1 unit=$2 target=$3
    shift 3
    printf '%s\n' "$@" | sort -g | awk -v l="$label" -v u="$unit" -v t="$target" '
        { v[NR] = $1 }
        END { printf "-\t%s\t%s\t%s\t%s %s %s\t-\t-\t-\n", l, u, t, v[int((NR + 1) / 2)], v[1], v[NR] }
    ' >>"$ROWS"
}

# ---------------------------------------------------------------- parts

part_library()
{
    local sync set
    section "Store library, one thread, messages/s against write(2) of the same bytes"
    for sync in os disk; do
        for set in 1 50 1000; do
            row "sets of $set, $sync" /s - library "$DIR/work" "$ROUNDS" "$set" "$sync"
        done
    done
}

part_acks()
{
    local n
    section "Acknowledged single messages/s, on disk"
    for n in 1 16 128; do
        row "library, $n threads" /s "- -" acks "$DIR/work" "$ROUNDS" library "$n" 1
    done
    row "library, 128 outstanding" /s "r>=30 -" acks "$DIR/work" "$ROUNDS" async 128 1
    row "library, 128 outstanding, 16 partitions" /s "- - r>=0.8" \
        acks "$DIR/work" "$ROUNDS" async 128 16 1
    row "library, 128 outstanding, 1000 partitions" /s "- - -" \
        acks "$DIR/work" "$ROUNDS" async 128 1000 1
    mkdir "$MNT/a1" "$MNT/a16" "$MNT/a1000"
    echo partitions=16 >"$MNT/a16/.config"
    echo partitions=1000 >"$MNT/a1000/.config"
    row "mount, 1 writer" /s "r>=0.8" acks "$DIR/work" "$ROUNDS" mount 1 "$MNT/a1"
    row "mount, 16 writers" /s "r>=5 -" acks "$DIR/work" "$ROUNDS" mount 16 "$MNT/a1"
    row "mount, 128 writers" /s "r>=10 -" acks "$DIR/work" "$ROUNDS" mount 128 "$MNT/a1"
    row "mount, 128 writers, 16 partitions" /s "- - r>=0.8" \
        acks "$DIR/work" "$ROUNDS" mount 128 "$MNT/a16" "$MNT/a1"
    row "mount, 128 writers, 1000 partitions" /s "- - -" \
        acks "$DIR/work" "$ROUNDS" mount 128 "$MNT/a1000" "$MNT/a1"
}

part_append()
{
    local sync every
    section "Appending through the mount, MB/s against the same writes to a plain file"
    for sync in os disk; do
        every=0
        mkdir "$MNT/w$sync"
        [[ $sync == os ]] || every=$FLUSH_BYTES
        echo flush.sync=$sync >"$MNT/w$sync/.config"
        row "single lines, $sync" MB/s - \
            append "$DIR/work" "$ROUNDS" "$MNT/w$sync/publish" 200 4000000 "$every"
        row "64 KiB, $sync" MB/s "$([[ $sync == os ]] && echo 'r>=0.20')" \
            append "$DIR/work" "$ROUNDS" "$MNT/w$sync/publish" 65536 16000000 "$every"
        row "1 MiB, $sync" MB/s "$([[ $sync == os ]] && echo 'r>=0.35')" \
            append "$DIR/work" "$ROUNDS" "$MNT/w$sync/publish" 1048576 16000000 "$every"
    done
}

part_read()
{
    local sealed active plain=$DIR/plain
    section "Reading, MB/s against a plain file of the same bytes, both in the page cache"
    mkdir "$MNT/r" && echo segment.bytes=134217728 >"$MNT/r/.config"
    head -c 170000000 <(yes "$(printf '%0199d' 7)") >"$plain"
    cp "$plain" "$MNT/r/publish" && sync "$MNT/r/publish"
    sealed=$(find "$MNT/r/0" -name '*.log' | sort | head -n 1)
    active=$(find "$MNT/r/0" -name '*.log' | sort | tail -n 1)
    cat "$sealed" >"$plain"
    sync "$plain"
    # Out of the page cache, so that both come back into it by read-ahead: pages that were written
    # in small pieces are smaller, and dearer to map, whoever wrote them.
    dd if="$plain" iflag=nocache count=0 status=none
    dd if="$STORE/r/0/${sealed##*/}" iflag=nocache count=0 status=none
    row "sealed, 1 MiB" MB/s "r>=0.90" readfile "$ROUNDS" "$sealed" "$plain" 1048576 4
    row "sealed, 64 KiB" MB/s "r>=0.90" readfile "$ROUNDS" "$sealed" "$plain" 65536 4
    row "sealed, 4 KiB" MB/s "r>=0.80" readfile "$ROUNDS" "$sealed" "$plain" 4096 1
    row "sealed, mmap" MB/s "r>=0.90" readfile "$ROUNDS" "$sealed" "$plain" mmap 2
    cat "$active" >"$plain"
    sync "$plain"
    row "active, 1 MiB" MB/s "r>=0.20" readfile "$ROUNDS" "$active" "$plain" 1048576 8
    row "active, 64 KiB" MB/s - readfile "$ROUNDS" "$active" "$plain" 65536 8
    rm -f "$plain"
}

part_latency()
{
    local sync how i p50 p99 a b target
    section "From write(2) to the return of a waiting reader's read(2), 1,000 messages/s"
    for sync in os disk; do
        how=write target=(40 200)
        [[ $sync == os ]] || how=fsync target=(250 1000)
        p50=() p99=()
        mkdir "$MNT/l$sync" && echo flush.sync=$sync >"$MNT/l$sync/.config"
        for ((i = 0; i < ROUNDS; i++)); do
            read -r a b _ < <("$TESTS/latency" "$MNT/l$sync" 1000 1500 "$how")
            p50+=("$a") p99+=("$b")
        done
        value "$sync, p50" µs "v<=${target[0]}" "${p50[@]}"
        value "$sync, p99" µs "v<=${target[1]}" "${p99[@]}"
    done
}

# mib REGEX: the sum of these lines of the daemon's smaps_rollup.
mib()
{
    awk -v r="$1" '$1 ~ r { kib += $2 } END { printf "%.1f", kib / 1024 }' \
        "/proc/$DAEMON_PID/smaps_rollup"
}

# Milliseconds from before the process is made until it says that it is ready.
ms_to_ready()
{
    local begin=${EPOCHREALTIME/[.,]/} line
    while read -r line; do
        [[ $line != *ready ]] || break
    done < <("$TOPICFS_BIN" --store "$STORE" "$MNT" 2>&1 & echo "$!" >"$DIR/pid"; wait)
    awk -v us=$((${EPOCHREALTIME/[.,]/} - begin)) 'BEGIN { printf "%.1f\n", us / 1000 }'
    DAEMON_PID=$(<"$DIR/pid")
    kill -TERM "$DAEMON_PID" && wait_until 20 ended "$DAEMON_PID"
}

part_start()
{
    local i times=()
    section "The process"
    value "private memory after all that ran before" MiB "v<=20" "$(mib '^Private')"
    value "of it anonymous: without pages of mapped segments" MiB - "$(mib '^Anonymous:')"
    daemon_stop
    for ((i = 0; i < ROUNDS; i++)); do
        times+=("$(ms_to_ready)")
    done
    value "from start to mounted, after a clean stop" ms "v<=50" "${times[@]}"
    daemon_start
}

part_scale()
{
    local n
    section "Does it depend on size? Sets of 50, os, messages/s (compare the ratios)"
    for n in 1 10 1000; do
        row "$n partitions" /s - library "$DIR/work" "$ROUNDS" 50 os "$n"
    done
    row "2 MB stored before" /s - library "$DIR/work" "$ROUNDS" 50 os 1 2
    row "200 MB stored before" /s - library "$DIR/work" "$ROUNDS" 50 os 1 200
}

# steps PROGRAM ARGUMENT...: a row for each step the program prints, measured once: each needs the
# one before.
steps()
{
    local figure unit name
    rm -rf "$DIR/work" && mkdir "$DIR/work"
    while IFS=$'\t' read -r figure unit name; do
        value "$name" "$unit" - "$figure"
    done < <("$TESTS/$1" "$DIR/work" "${@:2}")
}

part_partitions()
{
    local what
    for what in "100000 1" "20 5000"; do
        section "100,000 partitions: ${what% *} topics of ${what#* }"
        steps partitions "${what% *}" "${what#* }" disk
    done
}

# ext4 passes over inodes that were deleted in the last minutes, one by one, for each new one: with
# some ten thousand of them making a directory is five times as slow. So nothing is deleted between
# rows, and who measures twice waits for five minutes.
keep_work()
{
    mkdir -p "$DIR/kept"
    [[ ! -e $DIR/work ]] || mv "$DIR/work" "$(mktemp -d "$DIR/kept/XXXXXX")"
}

part_topics()
{
    local n
    section "Topics made, each durable, against mkdir(2) and fsync(2) of plain directories"
    for n in 1 4 16 64; do
        keep_work
        row "library, $n makers" /s - topics "$DIR/work" "$ROUNDS" library "$n"
    done
    for n in 1 16; do
        keep_work
        row "mount, $n makers" /s - topics "$DIR/work" "$ROUNDS" mount "$n" "$MNT"
    done
}

part_history()
{
    local n
    for n in 2 2048; do
        section "A partition of $n segments of 512 MiB"
        steps history "$n"
    done
}

# Gigabytes a second of processor time in which `topicfs check` verifies a store of so many.
verify_rate()
{
    local TIMEFORMAT='%U %S' user system
    read -r user system < <({ time "$TOPICFS_BIN" check "$1" >"$LOG.check" 2>&1; } 2>&1)
    awk -v bytes="$2" -v cpu="$user $system" '
        BEGIN { split(cpu, seconds); print bytes / (seconds[1] + seconds[2]) }'
}

part_recover()
{
    local i wall cpu walls=() cpus=() checks=()
    section "Recovery"
    for ((i = 0; i < 5; i++)); do
        rm -rf "$DIR/work" && mkdir "$DIR/work"
        read -r wall cpu < <("$TESTS/recover" "$DIR/work" 1074)
        walls+=("$wall") cpus+=("$cpu") checks+=("$(verify_rate "$DIR/work/store" 1.074)")
    done
    value "start after a kill, 1 GiB not flushed" GB/s "-" "${walls[@]}"
    value "the same, a second of processor time" GB/s "v>=1.5" "${cpus[@]}"
    value "topicfs check of it, a second of processor time" GB/s - "${checks[@]}"
}

# ---------------------------------------------------------------- the table

machine()
{
    printf '%s, %s CPUs (%s), Linux %s, %s; load average %s at the beginning\n' \
        "$(date -u '+%Y-%m-%d %H:%M')" "$(nproc)" \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(uname -r)" \
        "$(findmnt -no FSTYPE -T "$DIR")" "$(cut -d' ' -f1 /proc/loadavg)"
}

run_parts()
{
    local part parts=("$@")
    (($# > 0)) || parts=(library scale recover append acks read latency start)
    : >"$ROWS"
    for part in "${parts[@]}"; do
        "part_$part"
    done
    daemon_stop
}

trap clean_up EXIT
trap 'exit 143' TERM INT HUP
mkdir -p "$DIR" && clean_up && mkdir "$MNT" || exit 1
MACHINE=$(machine)
daemon_start || exit 1
run_parts "$@"
awk -v machine="$MACHINE" -f "$(dirname "$0")/table.awk" "$ROWS" >"$DIR/table.md"
awk -v machine="$MACHINE" -v plain=1 -f "$(dirname "$0")/table.awk" "$ROWS"
