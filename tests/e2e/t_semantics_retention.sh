#!/usr/bin/env bash
# docs/filesystem-semantics.md: what retention removes, and deleting a topic.
. "$(dirname "$0")/semantics.sh"

# start_full [ARGUMENT...]: segments of t/0 at 0, 8000 and 16000, and 4,000 bytes in the last.
start_full()
{
    start_t "${SMALL[@]}" --retention-check-ms 20 "$@" && publish_lines 1 50
}

first() { cut -d' ' -f2 "$T/.offsets"; }

# retain SETTING FIRST: sets it, and waits until t/0 begins there.
retain()
{
    echo "$1" >"$T/.config" && wait_until 10 first_is "$2"
}

first_is() { [[ $(first) == "$1" ]]; }

# gone PATH: no such name, for whoever asks.
gone() { [[ $(stat -c %n "$1" 2>&1) == *"No such file or directory" ]]; }

case_what_goes()
{
    start_full || return
    is "$(list "$T/0")" "$(printf '%020d.log ' 0 8000 16000)publish " "all segments are there"
    stat "$T/0/$(printf %020d 0).log" "$T/sealed/0-$(printf %020d 0).log" >/dev/null # the kernel knows them
    ok "K2: the oldest goes while the others have retention.bytes" retain retention.bytes=14000 8000
    is "$(list "$T/0")" "$(printf '%020d.log ' 8000 16000)publish " "K5: it is not listed"
    ok "K5: nor known by its name" wait_until 10 gone "$T/0/$(printf %020d 0).log"
    ok "K5: nor in sealed" wait_until 10 gone "$T/sealed/0-$(printf %020d 0).log"
    is "$(ls "$T/sealed")" "0-$(printf %020d 8000).log" "K5: where others are listed"
    is "$(cat "$T/.offsets")" "0 8000 16000 20000 30" "K6: .offsets"
    is "$(readlink "$T/0/earliest-")" 8000- "K6: earliest"
    is "$(cat "$T"/0/*.log | cksum)" "$(lines 21 50 | cksum)" "what is listed is what is kept"
    retain retention.bytes=1 16000
    is "$(first)" 16000 "K3: the newest stays, for its bytes alone"
    ok "K1 K3: but not for its age" retain retention.ms=1 20000
    is "$(list "$T/0")" "$(printf '%020d.log ' 20000)publish " "K3: an empty one is left"
    echo retention.ms=off >"$T/.config"
    publish t last
    is "$(cat "$T/0/20000-")" last "K4: offsets go on"
    is "$(cat "$T/.offsets")" "0 20000 20000 20005 1" "K4: what is counted"
    daemon_kill
    daemon_start || return
    is "$(cat "$T/.offsets")" "0 20000 20000 20005 1" "K4: after a restart too"
}

case_who_reads()
{
    start_full || return
    calls <<'END'
def gone(offset):
    return lambda: content("t/.offsets").split()[1] == b"%d" % offset
first = "t/0/%020d.log" % 0
sealed = "t/sealed/0-%020d.log" % 8000
held = [os.open(first, os.O_RDONLY), os.open(sealed, os.O_RDONLY)]
part = os.read(held[0], 1000)
whole = content("t/0/0-")
names = ("0-", "0-16000", "0+")
fds = [os.open("t/0/" + name, os.O_RDONLY) for name in names]
merged = os.open("t/earliest+", os.O_RDONLY)
message = os.read(merged, 400)
stands = os.open("t/0/0-", os.O_RDONLY)
os.lseek(stands, 18000, os.SEEK_SET)
put("t/.config", b"retention.bytes=1\n")
check("it is done", until(gone(16000)), True)
check("K7: an open segment is read to its end", part + os.read(held[0], 1 << 20), whole[:8000])
check("K7: and by its name in sealed", os.read(held[1], 1 << 20), whole[8000:16000])
check("K7: and asked for its size", os.fstat(held[0]).st_size, 8000)
for name, fd in zip(names, fds):
    size = 16000 if name == "0-16000" else 20000
    check("K9: %s keeps its size" % name, os.stat("t/0/" + name).st_size, size)
    again = os.open("t/0/" + name, os.O_RDONLY)
    for f in (fd, again):
        errno_of("K10: %s: what was removed" % name, "ESTALE", os.pread, f, 100, 0)
        errno_of("K10: %s: its last byte" % name, "ESTALE", os.pread, f, 1, 15999)
    if name != "0-16000":
        check("K9: %s keeps its positions" % name, os.pread(fd, 400, 16000), whole[16000:16400])
check("K11: who stands behind it goes on", os.read(stands, 400), whole[18000:18400])
check("K13: a merged stream goes on at what is kept", os.read(merged, 400), whole[16000:16400])
for fd in held:
    os.close(fd)
END
}

case_followers_go_on()
{
    start_t "${SMALL[@]}" --retention-check-ms 20 || return
    publish_lines 1 45
    tail -n +1 -F "$T/0/0-" >got 2>said &
    local pid=$!
    cat "$T/0/0+" >streamed 2>>said &
    local cat_pid=$!
    ok "both have all there is" wait_until 10 same_size got streamed 18000
    ok "the oldest goes" retain retention.bytes=14000 8000
    publish_lines 46 60
    ok "K11: they go on" wait_until 10 same_size got streamed 24000
    publish_lines 61 80
    ok "the next one goes" wait_until 10 first_is 16000
    ok "K11: they go on" wait_until 10 same_size got streamed 32000
    publish_lines 81 100
    ok "and one more" wait_until 10 first_is 24000
    ok "K11: a tail -F has every line" wait_until 10 same_size got streamed 40000
    is "$(cksum <got)" "$(lines 1 100 | cksum)" "K11: once, and in order"
    is "$(cksum <streamed)" "$(lines 1 100 | cksum)" "K11: a stream as well"
    is "$(<said)" "" "K11: nobody complains"
    kill "$pid" "$cat_pid"
    wait "$pid" "$cat_pid" 2>/dev/null
}

same_size() { (($(stat -c %s "$1") == $3 && $(stat -c %s "$2") == $3)); }

case_a_reader_that_is_overtaken()
{
    start_full || return
    calls <<'END'
fd = os.open("t/0/0+", os.O_RDONLY)
os.read(fd, 400)
put("t/.config", b"retention.bytes=1\n")
until(lambda: content("t/.offsets").split()[1] == b"16000")
errno_of("K12: START+ that retention has overtaken", "ESTALE", os.read, fd, 400)
os.lseek(fd, 16000, os.SEEK_SET)
check("K12: and goes on where there is something", len(os.read(fd, 400)), 400)
END
}

case_room_on_the_disk()
{
    start_full || return
    exec 3<"$T/0/$(printf %020d 0).log"
    local full
    full=$(du -s --block-size=1 "$T" | cut -f1)
    retain retention.bytes=1 16000
    is "$(($(du -s --block-size=1 "$T" | cut -f1) < full))" 1 "K8: du shrinks"
    is "$(find "$STORE/t" -name '*8000.*' -o -name '*-*0.log' | wc -l)" 0 "K8: nothing of them in the store"
    ok "K8: what is open has its room" wait_until 10 deleted_logs 1
    exec 3<&-
    ok "K8: until it is closed" wait_until 10 deleted_logs 0
}

# deleted_logs N: so many files without a name does the daemon have open.
deleted_logs() { (($(find "/proc/$DAEMON_PID/fd" -lname '*.log (deleted)' -printf x | wc -c) == $1)); }

case_deleting_a_topic()
{
    start_full || return
    local id
    id=$(sed -n 's/^id=//p' "$T/.config")
    fails_with "Invalid argument" bash -c "echo delete=${id%?}x >$T/.config"
    like "$(tail -n 1 "$LOG")" "delete=.*: not the topic's id" "K15: the log says it"
    is "$(first)" 0 "K15: another id removes nothing"
    fails_with "Invalid argument" bash -c "printf 'flush.ms=7\ndelete=$id\n' | cat >$T/.config"
    fails_with "Invalid argument" bash -c "printf 'delete=$id\nflush.ms=7\n' | cat >$T/.config"
    like "$(grep flush.ms "$T/.config")" "=100$" "K16: not with other lines"
    exec 3<"$T/0/$(printf %020d 8000).log"
    ok "K14: its id removes it" bash -c "echo delete=$id >$T/.config"
    ok "K17: the name is free at once" mkdir "$T"
    is "$(cat "$T/.offsets")" "0 0 0 0 0" "K17: for a new topic"
    isnt "$(sed -n 's/^id=//p' "$T/.config")" "$id" "K17: of another id"
    is "$(cksum <&3)" "$(lines 21 40 | cksum)" "K18: an open segment is read to its end"
    publish t new
    is "$(cat "$T/0/0-")" new "K17: it has only its own"
    exec 3<&-
    ok "K14: its files go" wait_until 10 no_graves
    id=$(sed -n 's/^id=//p' "$T/.config")
    echo "delete=$id" >"$T/.config"
    daemon_kill
    daemon_start || return
    is "$(ls "$MNT")" "" "K14: it is gone for good"
    is "$(compgen -G "$STORE/t*" || compgen -G "$STORE/.del.*")" "" "K14: with its files"
}

no_graves() { ! compgen -G "$STORE/.del.*" >/dev/null; }

case_a_topic_deleted_while_it_is_used()
{
    start_full || return
    calls <<'END'
topic = [line[3:] for line in content("t/.config").split(b"\n") if line.startswith(b"id=")][0]
writer = os.open("t/publish", os.O_WRONLY)
os.write(writer, b"one\n")
os.fsync(writer)
names = ("0/0-", "0/0-16000", "0/0+", "earliest+")
fds = [os.open("t/" + name, os.O_RDONLY) for name in names]
whole = content("t/0/0-")
os.pread(fds[1], 400, 0)
config = os.open("t/.config", os.O_WRONLY)
got, threads = {}, []
for name in ("0/20004+", "latest+"):
    fd = os.open("t/" + name, os.O_RDONLY)
    def reader(name=name, fd=fd):
        got[name] = threading.get_native_id()
        try:
            got[name] = os.read(fd, 100)
        except OSError as e:
            got[name] = errno.errorcode[e.errno]
    threads.append(threading.Thread(target=reader))
    threads[-1].start()
    check("it waits", until(lambda: name in got and in_read(got[name])), True)
polled = os.open("t/0/20004+", os.O_RDONLY)
check("polled: nothing", select.select([polled], [], [], 0)[0], [])
os.write(config, b"delete=" + topic + b"\n")
for t in threads:
    t.join()
check("K20: who waits", sorted(got.items()), [("0/20004+", "ESTALE"), ("latest+", "ESTALE")])
check("K20: poll(2) wakes", select.select([polled], [], [], 60)[0], [polled])
errno_of("K20: for that", "ESTALE", os.read, polled, 10)
check("K19: 0/0-16000, of which some was read", os.pread(fds[1], 400, 0), whole[:400])
for name, fd in [n for n in zip(names, fds) if n[0] != "0/0-16000"]:
    errno_of("K19: %s" % name, "ESTALE", os.pread if name != "earliest+" else os.read, fd, 400,
             *(() if name == "earliest+" else (16000 - 400,)))
errno_of("K21: write(2)", "ENOENT", os.write, writer, b"two\n")
errno_of("K22: the id again", "ENOENT", os.write, config, b"delete=" + topic + b"\n")
errno_of("K22: a setting", "ENOENT", os.write, config, b"flush.ms=10\n")
errno_of("the name", "ENOENT", os.stat, "t")
os.mkdir("t")
errno_of("K21: and does not write into the new one", "ENOENT", os.write, writer, b"three\n")
check("which is empty", content("t/0/0-"), b"")
END
}

run_cases "$@"
