#!/usr/bin/env bash
# docs/filesystem-semantics.md: START+, latest+, earliest+ and @TIME+, whose reads wait.
. "$(dirname "$0")/semantics.sh"

case_reads_that_wait()
{
    start_t || return
    publish t one two
    calls <<'END'
for name in ("t/0/0+", "t/earliest+"):
    fd = os.open(name, os.O_RDONLY)
    check("W2: %s: what is there" % name, os.read(fd, 1 << 20), content("t/0/0-"))
    got = []
    def reader():
        got.append(threading.get_native_id())
        got.append(os.read(fd, 1 << 20))
    thread = threading.Thread(target=reader)
    thread.start()
    check("W1: it waits", until(lambda: got and in_read(got[0])), True)
    publish("t/publish", b"three\n")
    thread.join()
    check("W1: until there is more", got[1], b"three\n")
    errno_of("W12: for writing", "EPERM", os.open, name, os.O_RDWR)
    check("W3: another reader has all", len(os.read(os.open(name, os.O_RDONLY), 1000)) >= 14, True)
    nb = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    os.read(nb, 1000)
    errno_of("W4: O_NONBLOCK", "EAGAIN", os.read, nb, 1000)
    publish("t/publish", b"four\n")
    check("W4: with more", os.read(nb, 1000), b"four\n")
    os.read(fd, 1000)
END
}

case_polling()
{
    start_t || return
    publish t one
    calls <<'END'
for name in ("t/0/0+", "t/earliest+"):
    fd = os.open(name, os.O_RDONLY)
    check("W5: something is there", select.select([fd], [], [], 0)[0], [fd])
    os.read(fd, 1000)
    check("W5: nothing more", select.select([fd], [], [], 0)[0], [])
    for how in ("select", "poll", "epoll"):
        woken = []
        q = getattr(select, how)() if how != "select" else None
        if q:
            q.register(fd, select.POLLIN)
        def waiter():
            if q:
                woken.append(len(q.poll(60 if how == "epoll" else 60000)))
            else:
                woken.append(len(select.select([fd], [], [], 60)[0]))
        thread = threading.Thread(target=waiter)
        thread.start()
        publish("t/publish", b"two\n")
        thread.join()
        check("W6: %s wakes" % how, woken, [1])
        check("W5: for what read gives", os.read(fd, 1000), b"two\n")
END
}

case_signals()
{
    start_t || return
    publish t one
    calls <<'END'
for name in ("t/0/4+", "t/latest+"):
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        child = subprocess.Popen(["cat", name], stderr=subprocess.DEVNULL)
        check("W7: cat of %s waits" % name, until(lambda: in_read(child.pid)), True)
        child.send_signal(sig)
        check("W7: %s ends it" % sig.name, child.wait(60), -sig)
# In C, so to speak: Python's own os.read goes on after a handler.
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGUSR1, lambda *a: None)
signal.siginterrupt(signal.SIGUSR1, True)
me = threading.get_native_id()
for name in ("t/0/4+", "t/latest+"):
    fd = os.open(name, os.O_RDONLY)
    def shoot():
        until(lambda: in_read(me))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    thread = threading.Thread(target=shoot)
    thread.start()
    buf = ctypes.create_string_buffer(100)
    n = libc.read(fd, buf, 100)
    check("W8: %s: EINTR" % name, (n, errno.errorcode[ctypes.get_errno()]), (-1, "EINTR"))
    thread.join()
    publish("t/publish", b"two\n")
    check("W9: the next read", os.read(fd, 100), b"two\n")
END
}

case_stop_and_continue()
{
    local name
    start_t || return
    for name in 0/0+ earliest+; do
        cat "$T/$name" >out &
        becomes "$(cat "$T/0/0-")" "W10: cat $name" cat out
        kill -STOP $!
        ok "W10: it is stopped" wait_until 10 stopped $!
        kill -CONT $!
        publish t more
        becomes "$(cat "$T/0/0-")" "W10: it goes on" cat out
        kill $!
    done
}

stopped()
{
    grep -q '^State:[[:space:]]*T' "/proc/$1/status"
}

case_a_crowd_of_readers()
{
    start_t || return
    calls <<'END'
got = []
def reader(name):
    got.append(os.read(os.open(name, os.O_RDONLY), 100))
threads = [threading.Thread(target=reader, args=(n,)) for n in ("t/0/0+", "t/earliest+") * 200]
for t in threads:
    t.start()
check("W11: all wait", until(lambda: b"waiting readers: 400" in content(".status")), True)
check("W11: the mount answers", sorted(os.listdir("t")), [".config", ".offsets", "0", "publish"])
publish("t/publish", b"one\n")
check("W11: and takes messages", content("t/0/0-"), b"one\n")
for t in threads:
    t.join()
check("W11 W3: each reader has it", got, [b"one\n"] * 400)
END
}

case_positions()
{
    start_t || return
    publish t a bb ccc
    calls <<'END'
fd = os.open("t/0/2+", os.O_RDONLY)
check("W13: pread", (os.pread(fd, 2, 1), os.pread(fd, 100, 3)), (b"b\n", b"ccc\n"))
check("W14: the end", os.lseek(fd, 0, os.SEEK_END), 7)
check("W14: back", (os.lseek(fd, -4, os.SEEK_END), os.read(fd, 100)), (3, b"ccc\n"))
got = []
thread = threading.Thread(target=lambda: got.append(os.pread(fd, 100, 7)))
thread.start()
check("W15: pread waits", until(lambda: b"waiting readers: 1" in content(".status")), True)
publish("t/publish", b"d\n")
thread.join()
check("W15: until there is more", got, [b"d\n"])
errno_of("W16: mmap", "ENODEV", mapping, fd, 4096, mmap.MAP_SHARED)
errno_of("W24: lseek", "ESPIPE", os.lseek, os.open("t/latest+", os.O_RDONLY), 0, os.SEEK_CUR)
errno_of("W24: pread", "ESPIPE", os.pread, os.open("t/earliest+", os.O_RDONLY), 10, 0)
check("W25: size", [os.stat("t/" + n).st_size for n in ("latest+", "earliest+", "@0+")], [0, 0, 0])
END
}

case_merged()
{
    start_t --partitions 3 || return
    calls <<'END'
want = [[b"%d.%d %s\n" % (p, i, b"x" * (i * 37 % 90)) for i in range(50)] for p in range(3)]
for p in range(3):
    for line in want[p]:
        put("t/%d/publish" % p, line)
fd = os.open("t/earliest+", os.O_RDONLY)
parts, text = set(), b""
while text.count(b"\n") < 150:
    piece = os.read(fd, 300)
    check("W17: whole messages", piece.endswith(b"\n"), True) if len(parts) < 20 else None
    parts.add(piece[:1])
    text += piece
check("W17: of all partitions", parts, {b"0", b"1", b"2"})
lines = text.splitlines(True)
for p in range(3):
    check("W18 W21: the order of partition %d" % p,
          [x for x in lines if x.startswith(b"%d." % p)], want[p])
tiny = os.open("t/earliest+", os.O_RDONLY)
text = b""
while text.count(b"\n") < 150:
    text += os.read(tiny, 7)
check("W19: a small buffer has whole messages too", sorted(text.splitlines(True)), sorted(sum(want, [])))
latest = os.open("t/latest+", os.O_RDONLY | os.O_NONBLOCK)
errno_of("W20: nothing from before", "EAGAIN", os.read, latest, 100)
now = time.time_ns() // 1000000 + 1
until(lambda: time.time_ns() // 1000000 > now)
publish("t/1/publish", b"new\n")
check("W20: what comes", os.read(latest, 100), b"new\n")
since = os.open("t/@%d.%03d+" % divmod(now, 1000), os.O_RDONLY)
check("W22: @TIME", os.read(since, 100), b"new\n")
put("t/.config", b"partitions=4\n")
put("t/3/publish", b"first\n")
publish("t/3/publish", b"second\n")
text = b""
while len(text) < 13:
    text += os.read(since, 100)
check("W23: a partition that was added", text, b"first\nsecond\n")
END
}

case_readers_of_one_open_file_share()
{
    start_t --partitions 2 || return
    calls <<'END'
fd = os.open("t/earliest+", os.O_RDONLY)
got = [[], [], []]
def reader(i):
    while not any(x == b"end\n" for x in got[i]):
        got[i] += os.read(fd, 40).splitlines(True)
threads = [threading.Thread(target=reader, args=(i,)) for i in range(3)]
for t in threads:
    t.start()
for i in range(200):
    put("t/publish", b"%d\n" % i)
check("W26: each message went to one of them",
      until(lambda: sum(map(len, got)) == 200), True)
for i in range(3):
    publish("t/publish", b"end\n")
    until(lambda: sum(map(len, got)) == 201 + i)
for t in threads:
    t.join()
check("W26: none to two", sorted(sum(got, [])), sorted([b"%d\n" % i for i in range(200)] + [b"end\n"] * 3))
END
}

run_cases "$@"
