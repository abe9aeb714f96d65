#!/usr/bin/env bash
# Sealed segments: read by the kernel itself where it can (passthrough), through topicfs where it cannot;
# the same bytes either way.
. "$(dirname "$0")/semantics.sh"

SEALED=00000000000000000000.log

# Two sealed segments and a newest one.
start_with_segments()
{
    start_t "${SMALL[@]}" "$@" && publish_lines 1 50
}

kernel_has_passthrough()
{
    local major minor
    IFS=. read -r major minor _ < <(uname -r)
    ((major > 6 || (major == 6 && minor >= 9)))
}

passthrough()
{
    sed -n 's/^passthrough: //p' "$MNT/.status"
}

# READ requests that the daemon gets while COMMAND runs: FUSE's operation 15.
reads_of()
{
    strace -f -qq -xx -s 64 -e trace=read,readv -o "$DIR/requests" -p "$DAEMON_PID" 2>/dev/null &
    TRACER=$!
    wait_until 10 traced || return
    "$@" >/dev/null
    uninject
    grep -cE '"(\\x[0-9a-f]{2}){4}\\x0f\\x00\\x00\\x00' "$DIR/requests"
}

# Every way to read sees what the store's own file has.
reads_alike()
{
    local how=$1
    ok "$how: cat" cmp "$T/0/$SEALED" "$STORE/t/0/$SEALED"
    ok "$how: in sealed/" cmp "$T/sealed/0-$SEALED" "$STORE/t/sealed/0-$SEALED"
    HOW=$how calls <<'END'
how = os.environ["HOW"]
want = content(DIR + "/store/t/0/" + SEGMENT)
for name in ("t/0/" + SEGMENT, "t/sealed/0-" + SEGMENT):
    fd = os.open(name, os.O_RDONLY)
    check("%s: pread" % how, os.pread(fd, 500, 7777), want[7777:])
    check("%s: mmap, shared" % how, mmap.mmap(fd, 8000, mmap.MAP_SHARED, mmap.PROT_READ)[:], want)
    check("%s: mmap, private" % how, mmap.mmap(fd, 8000, mmap.MAP_PRIVATE, mmap.PROT_READ)[:], want)
    check("%s: size, position" % how, (os.fstat(fd).st_size, os.lseek(fd, 0, os.SEEK_END)), (8000, 8000))
    others = [os.open(n, os.O_RDONLY) for n in (name, "t/sealed/0-" + SEGMENT, "t/0/" + SEGMENT)]
    check("%s: several at once" % how, [os.pread(o, 8001, 0) for o in others], [want] * 3)
    for o in others + [fd]:
        os.close(o)
END
}

case_where_the_kernel_can()
{
    start_with_segments || return
    if ! kernel_has_passthrough; then
        is "$(passthrough)" no ".status says that this kernel cannot"
        return
    fi
    is "$(passthrough)" yes ".status says so"
    is "$(reads_of cat "$T/0/$SEALED" "$T/sealed/0-$SEALED")" 0 "no read reaches topicfs"
    reads_alike passthrough
}

case_not_wanted()
{
    start_with_segments --no-passthrough || return
    is "$(passthrough)" no ".status says so"
    isnt "$(reads_of cat "$T/0/$SEALED")" 0 "reads reach topicfs"
    is "$(reads_of cat "$T/0/$SEALED")" 0 "once: the kernel keeps the pages"
    reads_alike "page cache"
}

# As a user, by way of fusermount3: no CAP_SYS_ADMIN, so no passthrough. In a mount namespace whose
# /dev/fuse may be opened by users, as it may on most systems and not on all.
case_not_allowed()
{
    start_with_segments || return
    daemon_stop
    open_to_others
    cp "$TOPICFS_BIN" topicfs && chown -R 65534:65534 "$STORE" "$MNT" || return
    mknod fuse c 10 229 && chmod 666 fuse || return
    export DIR STORE MNT LOG
    export -f as_users_daemon
    # shellcheck disable=SC2016 # expanded by the inner shell
    "${OWN_MOUNTS[@]}" bash -c '. "$1/tests/e2e/semantics.sh"; as_users_daemon' bash "$ROOT"
}

as_users_daemon()
{
    local pid T=$MNT/t sealed=00000000000000000000.log
    mount --bind "$DIR/fuse" /dev/fuse || return
    setpriv --reuid 65534 --regid 65534 --clear-groups \
        "$DIR/topicfs" --store "$STORE" "$MNT" >"$LOG" 2>&1 </dev/null {PAUSE}>&- &
    pid=$!
    wait_until 20 as_user test -e "$MNT/.status"
    is "$(as_user sed -n 's/^passthrough: //p' "$MNT/.status")" no ".status says so"
    is "$(as_user cat "$T/0/$sealed" | cksum)" "$(cksum <"$STORE/t/0/$sealed")" "a sealed segment"
    is "$(as_user cat "$T/sealed/0-$sealed" | cksum)" "$(cksum <"$STORE/t/0/$sealed")" "in sealed/"
    is "$(as_user cat "$T/0/0-" | cksum)" "$(lines 1 50 | cksum)" "all of it"
    fails "the topic is root's: the user may not publish" as_user sh -c "echo more >>'$T/publish'"
    ok "but to one that it makes" as_user sh -c "mkdir '$MNT/u' && echo more >>'$MNT/u/publish'"
    is "$(as_user cat "$MNT/u/0/0-")" more "and sees it"
    kill "$pid"
    wait "$pid"
    is $? 0 "it stops"
    ok "the mount is gone" not_mounted "$MNT"
}

# The kernel takes opens of one inode in one way only: what is open decides.
case_registering_fails()
{
    start_with_segments || return
    kernel_has_passthrough || { pass "this kernel has no passthrough"; return; }
    cat "$T/0/$SEALED" >want
    exec {first}<"$T/0/$SEALED"
    inject ioctl error=EPERM || return
    ok "another handle has it open: the next open reads" cmp "$T/0/$SEALED" want
    ok "and one under its other name" cmp "$T/sealed/0-$SEALED" want
    ok "the first goes on" cmp - want <&"$first"
    exec {first}<&-
    ok "none has it open: it is read through topicfs" cmp "$T/0/$SEALED" want
    exec {second}<"$T/0/$SEALED"
    uninject
    ok "registering works again, while it is open that way" cmp "$T/0/$SEALED" want
    ok "the second goes on" cmp - want <&"$second"
    exec {second}<&-
    ok "and when nobody has it open" cmp "$T/0/$SEALED" want
    becomes 0 "then by the kernel again" reads_of cat "$T/0/$SEALED"
}

# Opened as the newest, read on after it was sealed, beside those who open it now.
case_sealed_while_open()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 10
    exec {before}<"$T/0/$SEALED"
    ok "its beginning" cmp -n 4000 - <(lines 1 10) <&"$before"
    publish_lines 11 50
    exec {after}<"$T/0/$SEALED"
    ok "opened now" cmp - <(lines 1 20) <&"$after"
    is "$(cat <&"$before" | cksum)" "$(lines 11 20 | cksum)" "opened before: the rest"
    exec {before}<&- {after}<&-
}

case_nobody_writes_into_a_segment()
{
    start_with_segments || return
    fails_with "Operation not permitted" dd if=/dev/zero of="$T/0/$SEALED" bs=1 count=1 conv=notrunc
    fails_with "Operation not permitted" dd if=/dev/zero of="$T/sealed/0-$SEALED" bs=1 count=1 \
        oflag=append conv=notrunc
    fails_with "Operation not permitted" truncate -s 0 "$T/0/$SEALED"
    is "$(cksum <"$STORE/t/0/$SEALED")" "$(lines 1 20 | cksum)" "the store's file is as it was"
}

run_cases "$@"
