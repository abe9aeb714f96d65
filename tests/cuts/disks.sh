#!/usr/bin/env bash
# The daemon on real disks that are full, go read-only, can not be written to, or lose their power.
#
#     disks.sh [CASE...]
#
# Writers publish and keep a ledger of what was acknowledged (tests/kill/writer); after each mishap
# tests/kill/verify looks at every byte. Quotas are not among these: EDQUOT is injected elsewhere.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

TESTS=${TOPICFS_TESTS:-$ROOT/build/release/tests}
CYCLES=$((12 * ${TOPICFS_SCALE:-1})) # of power cuts
SETTINGS=(--segment-bytes 400000 --set-max-bytes 200000 --message-max-bytes 65536
    --journal-bytes 16777216 --journal-part-bytes 65536 --flush-ms 20)

# make_disk FS MIB [MOUNT OPTIONS]: a sparse image IMAGE, mounted on DIR/disk; the store is to be there.
IMAGE=img
make_disk()
{
    local force=-F
    [[ $1 == xfs ]] && force=-f
    OPTIONS=loop${3:+,$3}
    truncate -s "$2M" "$IMAGE" && "mkfs.$1" -q "$force" "$IMAGE" && mkdir -p disk &&
        mount -o "$OPTIONS" "$IMAGE" disk
    STORE=$DIR/disk/store
}

# unmount DIR IMAGE: until nothing lives on the image. (Who makes a mount namespace has a copy of each
# mount in it; other tests do.)
unmount()
{
    umount "$1" && wait_until 10 detached "$2"
}

detached()
{
    [[ -z $(losetup -j "$1") ]]
}

mount_again()
{
    unmount disk "$IMAGE" && mount -o "$OPTIONS" "$IMAGE" disk
}

# Two topics: sets of all sizes, in turn over partitions and in one.
start_with_topics()
{
    daemon_start "${SETTINGS[@]}" "$@" && mkdir -p ledger "$MNT/d" "$MNT/e" &&
        echo partitions=3 >"$MNT/d/.config" && touch ledger/{0,1,2}
}

# writer NUMBER FILE HOW: until it is told of an error, or the daemon is gone. What it is told of is
# its exit status 1 and a line in told.NUMBER.
writer()
{
    "$TESTS/kill/writer" "$MNT/$2" "ledger/$1" "$1" "${CYCLE:-0}" "$3" 2>"told.$1"
}

start_writers()
{
    writer 0 d/0/publish fsync &
    WRITERS=("$!")
    writer 1 d/publish close &
    WRITERS+=("$!")
    writer 2 e/publish fsync &
    WRITERS+=("$!")
}

# told REGEX: whom an error was told, it was such a one. The writers have ended.
told()
{
    ! cat told.* | grep -Ev "$1"
}

acknowledged()
{
    (($(cat ledger/* | wc -l) >= $1))
}

# What the ledger says is there, and nothing half, twice or out of order.
all_there()
{
    local rc=0
    "$TESTS/kill/verify" "$MNT/d" ledger state.d 3 0 1 || rc=1
    "$TESTS/kill/verify" "$MNT/e" ledger state.e 1 2 || rc=1
    return "$rc"
}

goes_on()
{
    echo one more >line && cp line "$MNT/$1/publish" && sync "$MNT/$1/publish"
}

# ---------------------------------------------------------------- full

full()
{
    make_disk "$1" "$2" && start_with_topics || return
    start_writers
    wait_until 20 acknowledged 50 || fail "$1: writers get on" || return
    fails_with "No space left on device" dd if=/dev/zero of=disk/fill bs=64K status=none
    wait "${WRITERS[@]}"
    ok "$1: who publishes is told of a full disk" told "No space left on device"
    ok "$1: all of them" test "$(cat told.* | wc -l)" = 3
    ok "$1: what was acknowledged before can be read" all_there
    rm disk/fill
    CYCLE=1
    start_writers
    ok "$1: with room it goes on" wait_until 20 acknowledged $(($(cat ledger/* | wc -l) + 50))
    daemon_kill
    wait "${WRITERS[@]}"
    detach
    mount_again && daemon_start "${SETTINGS[@]}" || return
    ok "$1: and after a kill all is there" all_there
}

case_ext4_full()
{
    full ext4 128
}

case_xfs_full()
{
    full xfs 320
}

# ---------------------------------------------------------------- read-only

# ext4 finds an error of its own and goes read-only, as it is told to with errors=remount-ro.
case_ext4_goes_read_only()
{
    local device
    make_disk ext4 128 errors=remount-ro && start_with_topics || return
    start_writers
    wait_until 20 acknowledged 100 || fail "writers get on" || return
    device=$(awk -v at="$DIR/disk" '$2 == at { print $1 }' /proc/mounts)
    echo for this test >"/sys/fs/ext4/${device#/dev/}/trigger_fs_error"
    wait "${WRITERS[@]}"
    ok "who publishes is told" told "Read-only file system|Input/output error"
    fails "as often as it is tried" goes_on d
    like "$(<"$MNT/.status")" "[1-9]" "the daemon answers"
    daemon_kill
    detach
    unmount disk "$IMAGE" && e2fsck -fp "$IMAGE" >said 2>&1
    ok "e2fsck has nothing to lose" test $? -le 1
    mount -o "$OPTIONS" "$IMAGE" disk && daemon_start "${SETTINGS[@]}" || return
    ok "what was acknowledged is there" all_there
    ok "and it goes on" goes_on d
}

read_only_at_the_start()
{
    make_disk "$1" "$2" && start_with_topics || return
    publish d kept
    daemon_stop || return
    mount -o remount,ro disk || return
    refused "Read-only file system|read-only" "$1: no start on a read-only disk" \
        "$TOPICFS_BIN" --store "$STORE" "$MNT"
    mount -o remount,rw disk && daemon_start "${SETTINGS[@]}" || return
    is "$(cat "$MNT/d/"*/0-)" kept "$1: written to again, it starts, and has what it had"
    ok "$1: and goes on" goes_on d
    fails_with busy mount -o remount,ro disk
    ok "$1: which a running daemon does not let happen" goes_on e
}

case_ext4_read_only_at_the_start()
{
    read_only_at_the_start ext4 128
}

case_xfs_read_only_at_the_start()
{
    read_only_at_the_start xfs 320
}

# ---------------------------------------------------------------- errors

# A disk whose drive fails for good: the image is on another loop device's ext4, which is shut down.
# Each write-back fails then, and fsync tells of it, once; what failed is final until the next start.
# Of the image there is afterwards what the file system had flushed: this drive's cache is lost.
# (An image in a tmpfs that is too small will not do: what Linux' loop device could write half of it
# calls written.)
broken()
{
    mkdir outer && truncate -s 600M outer.img && mkfs.ext4 -q -F outer.img &&
        mount -o loop outer.img outer || return
    IMAGE=outer/img
    make_disk "$1" "$2" && start_with_topics "${@:3}" || return
    start_writers
    wait_until 20 acknowledged 200 || fail "$1: writers get on" || return
    disk_dies outer
    wait "${WRITERS[@]}"
    ok "$1: a write-back that fails is told" told "Input/output error|Read-only file system"
    ok "$1: to all who waited" test "$(cat told.* | wc -l)" = 3
    fails "$1: as often as it is tried" goes_on e
    like "$(<"$LOG")" "Input/output error|Read-only file system" "$1: the log says what failed"
    daemon_kill
    detach
    unmount disk "$IMAGE" && unmount outer outer.img && mount -o loop outer.img outer || return
    mount -o "$OPTIONS" "$IMAGE" disk && daemon_start "${SETTINGS[@]}" || return
    ok "$1: what was acknowledged is there" all_there
    ok "$1: and it goes on" goes_on e
}

case_ext4_broken()
{
    broken ext4 128
}

case_ext4_broken_without_journal()
{
    broken ext4 128 --journal-part-bytes 1
}

case_xfs_broken()
{
    broken xfs 320
}

case_xfs_broken_without_journal()
{
    broken xfs 320 --journal-part-bytes 1
}

# ---------------------------------------------------------------- power

power_cuts()
{
    local cycle=0
    make_disk "$1" "$2" && start_with_topics || return
    while start_writers && wait_until 20 acknowledged \
        $(($(cat ledger/* | wc -l) + 20 + RANDOM % 300)); do
        disk_dies disk
        daemon_kill
        wait "${WRITERS[@]}"
        told "Input/output error|Read-only file system|not connected|aborted" || break
        detach
        CYCLE=$((++cycle))
        if ! mount_again || ! start_with_topics || ! all_there >said; then
            cat said
            break
        fi
        ((cycle < CYCLES)) || break
    done
    is "$cycle" "$CYCLES" "$1: so many power cuts under the daemon, and all was there"
    ok "$1: it goes on" goes_on e
}

case_ext4_power_cuts()
{
    power_cuts ext4 128
}

case_xfs_power_cuts()
{
    power_cuts xfs 320
}

run_cases "$@"
