#!/usr/bin/env bash
# docs/filesystem-semantics.md: .config, .offsets, .status; the daemon's end.
. "$(dirname "$0")/semantics.sh"

case_config_is_read()
{
    start_t --flush-ms 50 || return
    is "$(cut -d= -f1 "$T/.config" | tr '\n' ' ')" "id number partitions values segment.bytes \
segment.ms retention.ms retention.bytes flush.sync flush.messages flush.ms ack message.max.bytes \
set.max.bytes mode uid gid " \
        "A1: its keys"
    is "$(grep flush.ms "$T/.config")" flush.ms=50 "A1: a value"
    like "$(head -n 1 "$T/.config")" '^id=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' "A1: the id"
    calls <<'END'
fd = os.open("t/.config", os.O_RDONLY)
put("t/.config", b"flush.ms=60\n")
check("A2: the text of when it was opened", b"flush.ms=50\n" in os.read(fd, 10000), True)
check("A2: opened anew", b"flush.ms=60\n" in content("t/.config"), True)
END
}

case_config_is_written()
{
    local lines
    start_t || return
    calls <<'END'
def setting(key):
    return [x.split(b"=")[1] for x in content("t/.config").splitlines() if x.startswith(key + b"=")][0]
def all_settings():
    return content("t/.config")
before = all_settings()
put("t/.config", b"flush.ms=7\nack=write\n")
check("A3: two lines", (setting(b"flush.ms"), setting(b"ack")), (b"7", b"write"))
check("A6: the others", [x for x in all_settings().splitlines() if x not in before.splitlines()],
      [b"flush.ms=7", b"ack=write"])
put("t/.config", b"segment.bytes=8192\nset.max.bytes=4000\nmessage.max.bytes=1000\n")
check("A3: which only go together", setting(b"segment.bytes"), b"8192")
before = all_settings()
for wrong in (b"flush.ms=8\nnonsense=1\n", b"flush.ms=8\nack=maybe\n", b"flush.ms=x\n", b"flush.ms\n",
              b"flush.ms=7d\n", b"set.max.bytes=8000\n", b"=1\n", b"flush.ms=8\n\0\n"):
    errno_of("A4: %r" % wrong, "EINVAL", put, "t/.config", wrong)
    check("A4: nothing has changed", all_settings() == before, True)
put("t/.config", b"flush.ms=\n")
check("A7: the default", setting(b"flush.ms"), b"100")
put("t/.config", b"\n# flush.ms=9\n\n#\nack=close\n")
check("A8: skipped", (setting(b"flush.ms"), setting(b"ack")), (b"100", b"close"))
fd = os.open("t/.config", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"flush.ms=11")
check("A9: not applied by write", setting(b"flush.ms"), b"100")
os.close(fd)
check("A9: but by close", setting(b"flush.ms"), b"11")
fd = os.open("t/.config", os.O_WRONLY)
os.write(fd, b"flush.ms=nonsense")
errno_of("A9: which tells", "EINVAL", os.close, fd)
for wrong in (b"id=6d14d9a7-0d5d-4c3e-9be0-0f5a2b0e1f11\n", b"number=99\n"):
    errno_of("A11: %r" % wrong, "EINVAL", put, "t/.config", wrong)
for wrong in (b"mode=0700\n", b"uid=17\n", b"gid=17\n"):
    errno_of("A18: %r" % wrong, "EINVAL", put, "t/.config", wrong)
put("t/.config", b"# mine\n\n" + all_settings().replace(b"flush.ms=11", b"flush.ms=13"))
check("A23: an editor writes it all back", setting(b"flush.ms"), b"13")
put("t/.config", b"\n".join(sorted(all_settings().replace(b"flush.ms=13", b"flush.ms=14").splitlines())) + b"\n")
check("A23: sorted", setting(b"flush.ms"), b"14")
errno_of("A5: a wrong line of all of it", "EINVAL", put, "t/.config", all_settings() + b"flush=1\n")
put("t/.config", b"partitions=3\n")
check("A12: the new ones are there", sorted(os.listdir("t"))[2:], [b"0".decode(), "1", "2", "publish"])
errno_of("A13: fewer", "EINVAL", put, "t/.config", b"partitions=2\n")
before = all_settings()
END
    like "$(grep -c 'topicfs: t/.config line 2: nonsense: no such setting' "$LOG")" '^[1-9]' \
        "A5: the log names the line"
    like "$(grep -c 'topicfs: t/.config line 18: flush: no such setting' "$LOG")" '^[1-9]' \
        "A5: as it stands in what was written"
    printf 'flush.ms=12\nnonsense=1\n' >"$T/.config" 2>/dev/null
    is "$(grep flush.ms "$T/.config")" flush.ms=12 "A10: a shell's printf writes line by line"
    lines=$'set.max.bytes=5000\nsegment.bytes=10000'
    # shellcheck disable=SC2016 # the inner shell's
    fails "A24: set.max.bytes alone is above half of segment.bytes" \
        bash -c 'printf "%s\n" "$1" >"$2"' - "$lines" "$T/.config"
    is "$(grep set.max.bytes "$T/.config")" set.max.bytes=4000 "A24: and is as it was"
    cat <<<"$lines" >"$T/.config"
    is "$(grep set.max.bytes "$T/.config")" set.max.bytes=5000 "A24: both in one write agree"
    daemon_kill
    detach
    daemon_start || return
    is "$(grep -e flush.ms -e partitions "$T/.config" | tr '\n' ' ')" "partitions=3 flush.ms=12 " \
        "A3 A12: it is all there after a kill"
}

case_offsets_and_status()
{
    start_t "${SMALL[@]}" --partitions 2 || return
    P=$T/0/publish publish_lines 1 30
    is "$(cat "$T/.offsets")" $'0 0 8000 12000 30\n1 0 0 0 0' "A15: .offsets"
    ok "A16: .status" test "$(grep -vc '^[a-z0-9 ]*: .' "$MNT/.status")" = 0
    is "$(grep -e '^store:' -e '^mount:' "$MNT/.status")" "store: $STORE
mount: $MNT" "A16: it names the store and the mount"
    calls <<'END'
for name in ("t/.offsets", ".status", ".metrics"):
    errno_of("A17: " + name, "EPERM", os.open, name, os.O_WRONLY)
    errno_of("A17: truncated", "EPERM", os.truncate, name, 1)
END
}

# Two kinds of readers and a writer with half a line while the daemon is told to stop.
stops_with()
{
    local signal=$1
    start_t || return
    publish t a
    cat "$T/0/0+" >out 2>err &
    becomes a "D1: a reader waits" cat out
    cat "$T/earliest+" >out2 2>err2 &
    becomes a "D1: two do" cat out2
    exec {w}>>"$P"
    printf 'b\nhalf' >&"$w"
    daemon_stop "$signal"
    is $? 0 "D3: exit status after $signal"
    ok "D3: the mount is gone" not_mounted "$MNT"
    becomes "cat: $T/0/0+: Cannot send after transport endpoint shutdown" "D1: told by an error" \
        grep -a shutdown err
    becomes "cat: $T/earliest+: Cannot send after transport endpoint shutdown" "D1: both" \
        grep -a shutdown err2
    exec {w}>&- 2>/dev/null
    daemon_start || return
    is "$(cat "$T/0/0-")" $'a\nb\nhalf' "D2: half a line is a message"
    daemon_stop
}

case_sigterm()
{
    stops_with TERM
}

case_sigint()
{
    stops_with INT
}

case_umount()
{
    start_t || return
    publish t a
    exec {r}<"$T/0/0-"
    fails_with "target is busy" umount "$MNT"
    ok "D10: it goes on" test -e "$P"
    exec {r}<&-
    ok "D10: when it is closed" umount "$MNT"
    daemon_wait
    is $? 0 "D9: the daemon has ended"
    ok "D9: cleanly" test -s "$STORE/.clean"
}

waits_for_another()
{
    [[ $(readlink "/proc/$1"/fd/*) == *pidfd* ]]
}

# Who types `umount mnt; topicfs ... mnt` is faster than a stop that has much to flush.
case_a_start_while_another_ends()
{
    local first
    start_t || return
    publish t a
    first=$DAEMON_PID
    kill -STOP "$first"
    mkdir other
    MNT=$DIR/other daemon_begin
    ok "D11: a start waits" wait_until 4 waits_for_another "$DAEMON_PID"
    kill -KILL "$first"
    MNT=$DIR/other wait_until 20 mounted_or_ended
    is "$(cat "$DIR/other/t/0/0-")" a "D11: it starts when the other has ended"
    kill -STOP "$DAEMON_PID"
    "$TOPICFS_BIN" check "$STORE" >"$DIR/check.out" 2>&1 &
    ok "D11: a check waits" wait_until 4 waits_for_another $!
    kill -KILL "$DAEMON_PID"
    wait $!
    is $? 1 "D11: and says what it found"
}

case_a_kill()
{
    start_t || return
    publish t a bb ccc
    cat "$T/0/9+" >waits 2>&1 & reader=$!
    becomes "waiting readers: 1" "a reader waits" grep "^waiting readers" "$MNT/.status"
    daemon_kill || return
    wait "$reader"
    is "$(head -n 1 waits)" "cat: $T/0/9+: Software caused connection abort" "D12: what was under way"
    for name in publish 0/0- .config 0; do
        is "$(cat "$T/$name" 2>&1)" "cat: $T/$name: Transport endpoint is not connected" "D4: $name"
    done
    fails "D4: nobody writes underneath" sh -c "echo lost >>'$P'"
    fails "D4: nor makes a directory" mkdir "$MNT/u"
    ok "D4: ENOTCONN" sh -c "stat '$MNT' 2>&1 | grep -q 'not connected'"
    daemon_start || return
    is "$(grep -c "$MNT: the mount of an ended topicfs" "$LOG")" 1 "D5: the next start detaches it"
    is "$(grep -cF " $MNT " /proc/self/mounts)" 1 "D5: there is one mount"
    is "$(cat "$T/0/2-5")" bb "D6: what was acknowledged, where it was"
    publish t dddd
    is "$(cat "$T/0/9-")" dddd "D6: the next one behind it"
}

case_open_over_a_restart()
{
    start_t || return
    publish t a b
    exec {r}<"$T/0/0-"
    tail -n +1 -F "$T/0/2-" >out 2>err &
    becomes b "D8: tail -F" cat out
    daemon_stop && daemon_start || return
    is "$(cat <&"$r" 2>&1 | head -n 1)" "cat: -: Transport endpoint is not connected" "D7: ENOTCONN"
    publish t c
    becomes $'b\nb\nc' "D8: from START again, and on" cat out
    exec {r}<&-
}

run_cases "$@"
