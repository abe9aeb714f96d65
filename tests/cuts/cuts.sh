#!/usr/bin/env bash
# The store on real disks, ext4 and xfs on loop devices, whose power is cut.
#
#     cuts.sh [ext4|xfs [SEED [CYCLES]]]    500 cycles times TOPICFS_SCALE each, if not said
#
# tests/cuts/power.c says what a cycle is, tests/cuts/model.c how the crash model is held against
# what real file systems leave. A run prints its seed; with a seed the same kinds of cycles come
# again (not the same moments: threads and disks have a say).
# The last line is `cuts: N cycles, L lost`.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

CUTS=${TOPICFS_TESTS:-$ROOT/build/release/tests}/cuts
KINDS=${1:-ext4 xfs}
SEED=${2:-0}
CYCLES=${3:-$((500 * ${TOPICFS_SCALE:-1}))}
RESULT=$(mktemp "${TMPDIR:-/tmp}/topicfs-cuts.XXXXXX") || exit 1

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

case_ext4_power()
{
    power ext4
}

case_xfs_power()
{
    power xfs
}

case_ext4_model()
{
    model ext4 $((8 * ${TOPICFS_SCALE:-1}))
}

case_xfs_model()
{
    model xfs $((8 * ${TOPICFS_SCALE:-1}))
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

cases=()
for kind in $KINDS; do
    mapfile -t -O "${#cases[@]}" cases < <(compgen -A function "case_$kind")
done
(run_cases "${cases[@]}")
failed=$?
awk '{ cycles += $2; lost += $4 } END { printf "cuts: %d cycles, %d lost\n", cycles, lost }' "$RESULT"
rm -f "$RESULT"
exit "$failed"
