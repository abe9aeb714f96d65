#!/usr/bin/env bash
# The store on real disks, ext4 and xfs on loop devices, whose power is cut.
#
#     cuts.sh [ext4|xfs|kill [SEED [CYCLES]]]    500 cycles times TOPICFS_SCALE each, if not said
#
# tests/cuts/power.c says what a cycle is, tests/cuts/model.c how the crash model is held against
# what real file systems leave. A run prints its seed; with a seed the same kinds of cycles come
# again (not the same moments: threads and disks have a say). `kill` ends a run at each of its
# system calls that change the disk.
# The last line is `cuts: N cycles, L lost`.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

CUTS=${TOPICFS_TESTS:-$ROOT/build/release/tests}/cuts
KINDS=${1:-ext4 xfs kill}
SEED=${2:-0}
CYCLES=${3:-$((500 * ${TOPICFS_SCALE:-1}))}
RESULT=$(mktemp "${TMPDIR:-/tmp}/topicfs-cuts.XXXXXX") || exit 1
trap 'rm -f "$RESULT"' EXIT
trap 'exit 143' TERM INT HUP

# counted COMMAND...: adds up its last line, `cuts: N cycles, L lost`.
counted()
{
    local rc
    "$@" >said 2>&1
    rc=$?
    cat said
    tail -n 1 said >>"$RESULT"
    return "$rc"
}

# power FS
power()
{
    counted "$CUTS" power "$1" "$SEED" "$CYCLES"
    is "$?" 0 "$1: nothing acknowledged is lost, nothing seen is changed"
    like "$(tail -n 1 said)" "^cuts: $CYCLES cycles, 0 lost$" "$1: $CYCLES power cuts"
}

# model FS POINTS [HISTORY]: so many points of each history, 0 = all.
model()
{
    counted "$CUTS" model "$1" "$SEED" "${@:2}"
    is "$?" 0 "$1: the crash model has every state that is found${3:+, $3}"
    like "$(tail -n 1 said)" "^cuts: [1-9][0-9]* cycles, 0 lost$" "$1: and the store holds on it"
}

case_ext4_cycles()
{
    power ext4
}

case_xfs_cycles()
{
    power xfs
}

case_ext4_model()
{
    model ext4 $((4 * ${TOPICFS_SCALE:-1}))
}

case_xfs_model()
{
    model xfs $((4 * ${TOPICFS_SCALE:-1}))
}

# With the loss of the unlink of .clean, which is what makes a clean stop dangerous.
case_ext4_model_clean_stop()
{
    model ext4 0 stopped_cleanly_and_started
}

case_xfs_model_clean_stop()
{
    model xfs 0 stopped_cleanly_and_started
}

# What changes a disk or promises something about it.
CALLS=pwritev,pwrite64,fdatasync,fsync,syncfs,renameat,unlinkat,linkat,mkdirat,ftruncate,fallocate
CALLS+=,openat2

# From strace's log: "CALL N" for the Nth call of each kind; of the openat2's those that make a file.
points_of()
{
    awk -F'(' '/^[a-z0-9]+\(/ { n[$1]++ } $1 != "openat2" || /O_CREAT/ { if ($1 in n) print $1, n[$1] }' "$1"
}

# kill_at CALL N: the run is killed as it enters that call; then the store is started, and judged.
kill_at()
{
    local at=$DIR/$1.$2
    strace -o /dev/null -e "trace=$1" -e "inject=$1:signal=KILL:when=$2" \
        "$CUTS" script "$at.store" "$at.record" >"$at.said" 2>&1
    (($? == 137)) || { echo "not killed at $1 $2"; cat "$at.said"; return 1; }
    "$CUTS" judge "$at.store" "$at.record" >"$at.said" 2>&1 || { echo "killed at $1 $2:"; cat "$at.said"; return 1; }
    rm -rf "$at".*
}

# kill_at_all FIRST: at every second point, from the FIRST on.
kill_at_all()
{
    local call n killed=0 lost=0
    while read -r call n; do
        kill_at "$call" "$n" || ((lost++))
        ((killed++))
    done < <(awk -v first="$1" 'NR % 2 == first' points)
    echo "cuts: $killed cycles, $lost lost"
}

case_kill_at_every_call()
{
    local cores
    strace -o calls -e "trace=$CALLS" "$CUTS" script "$DIR/store" "$DIR/record" || return
    points_of calls >points
    ok "the run makes all kinds of calls" test "$(cut -d' ' -f1 points | sort -u | wc -l)" -ge 11
    kill_at_all 0 >even 2>&1 &
    cores=$!
    kill_at_all 1 >odd 2>&1
    wait "$cores"
    grep -vh '^cuts:\|: line [0-9]*: .* Killed' even odd
    grep -h '^cuts:' even odd >>"$RESULT"
    is "$(awk '/^cuts:/ { killed += $2; lost += $4 } END { print killed, lost }' even odd)" \
        "$(wc -l <points) 0" "killed at each of them: nothing acknowledged is lost"
}

cases=()
for kind in $KINDS; do
    mapfile -t -O "${#cases[@]}" cases < <(compgen -A function "case_$kind")
done
(run_cases "${cases[@]}")
failed=$?
awk '{ cycles += $2; lost += $4 } END { printf "cuts: %d cycles, %d lost\n", cycles, lost }' "$RESULT"
exit "$failed"
