#!/usr/bin/env bash
# docs/filesystem-semantics.md: writing to a topic's or a partition's publish.
. "$(dirname "$0")/semantics.sh"

case_open()
{
    start_t || return
    calls <<'END'
p = "t/publish"
for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
    for more in (0, os.O_APPEND, os.O_TRUNC, os.O_CREAT, os.O_DIRECT, os.O_SYNC, os.O_NONBLOCK):
        errno_of("P1: open with 0%o" % (flags | more), "", opened, p, flags | more)
        if flags != os.O_RDONLY:
            fd = os.open(p, flags | more)
            os.write(fd, b"x\n")
            os.close(fd)
check("P1: each has published", content("t/0/0-"), b"x\n" * 14)
errno_of("P2: O_EXCL", "EEXIST", os.open, p, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
fd = os.open(p, os.O_RDWR)
os.write(fd, b"y\n")
check("P3: read", os.read(fd, 100), b"")
check("P3: pread", os.pread(fd, 100, 0), b"")
check("P3: of a partition's", content("t/0/publish"), b"")
check("P4: size", (os.fstat(fd).st_size, os.stat("t/0/publish").st_size), (0, 0))
END
}

case_lines()
{
    start_t || return
    calls <<'END'
put("t/publish", b"one\ntwo\n")
put("t/publish", b"three\n")
check("P5: in order", content("t/0/0-"), b"one\ntwo\nthree\n")
put("t/publish", b"\n\n")
check("P6: counted", content("t/.offsets").split()[4], b"5")
bytes_ = bytes(b for b in range(256) if b != 10) + b"\n"
put("t/publish", bytes_)
check("P7: all other bytes", content("t/0/16-"), bytes_)
END
}

case_unfinished_lines()
{
    start_t || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"whole\nbegun ")
os.fsync(fd)
check("P8 P9: fsync", content("t/0/0-"), b"whole\n")
os.close(os.dup(fd))
subprocess.run(["true"], pass_fds=[fd])
check("P8 P9: the close of copies", content("t/0/0-"), b"whole\n")
os.write(fd, b"ended\nlast")
os.fsync(fd)
check("P8: its newline", content("t/0/0-"), b"whole\nbegun ended\n")
os.close(fd)
check("P10: the last close", until(lambda: content("t/0/18-") == b"last\n"), True)
fd = os.open("t/publish", os.O_WRONLY)
child = subprocess.Popen(["sh", "-c", "printf killed >&%d; kill -KILL $$" % fd], pass_fds=[fd])
os.close(fd)
child.wait()
check("P11: a killed writer", until(lambda: content("t/0/23-") == b"killed\n"), True)
a, b = os.open("t/publish", os.O_WRONLY), os.open("t/publish", os.O_WRONLY)
for fd, text in ((a, b"A"), (b, b"B"), (a, b"a"), (b, b"b"), (b, b"\n"), (a, b"\n")):
    os.write(fd, text)
os.fsync(a)
check("P12: two open files", content("t/0/30-"), b"Bb\nAa\n")
END
}

case_positions_sizes_and_times()
{
    start_t || return
    calls <<'END'
p = "t/publish"
fd = os.open(p, os.O_RDWR)
os.lseek(fd, 1000, os.SEEK_SET)
os.write(fd, b"a\n")
os.pwrite(fd, b"b\n", 5000000)
os.pwrite(fd, b"c\n", 0)
os.lseek(fd, 0, os.SEEK_END)
os.write(fd, b"d\n")
os.fsync(fd)
check("P13: positions", content("t/0/0-"), b"a\nb\nc\nd\n")
for length in (0, 1, 100000):
    errno_of("P35: truncate", "", os.truncate, p, length)
    errno_of("P35: ftruncate", "", os.ftruncate, fd, length)
errno_of("P36: fallocate", "", os.posix_fallocate, fd, 0, 100000)
before = os.stat(p).st_mtime
errno_of("P37: utimensat", "", os.utime, p, (1, 1))
check("P37: does nothing", os.stat(p).st_mtime, before)
os.fsync(fd)
check("P35 P36: they do nothing", (os.stat(p).st_size, content("t/0/0-")), (0, b"a\nb\nc\nd\n"))
errno_of("P38: mmap", "ENODEV", mapping, fd, 4096, mmap.MAP_SHARED)
check("P39: select", [len(x) for x in select.select([fd], [fd], [], 0)], [1, 1, 0])
q = select.poll()
q.register(fd, select.POLLIN | select.POLLOUT)
check("P39: poll", q.poll(0), [(fd, select.POLLIN | select.POLLOUT)])
nb = os.open(p, os.O_WRONLY | os.O_NONBLOCK)
os.write(nb, b"e\n")
errno_of("P22: O_NONBLOCK", "", os.fsync, nb)
check("P22: it has published", content("t/0/8-"), b"e\n")
END
}

case_other_ways_to_write()
{
    start_t || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
with open(DIR + "/file", "wb") as f:
    f.write(b"line\n")
file = os.open(DIR + "/file", os.O_RDONLY)
os.writev(fd, [b"by ", b"writev", b"\n"])
os.sendfile(fd, file, 0, 5)
r, w = os.pipe()
os.write(w, b"piped\n")
os.splice(r, fd, 6)
os.fsync(fd)
check("P23: writev, sendfile, splice", content("t/0/0-"), b"by writev\nline\npiped\n")
check("P23: copy_file_range", os.copy_file_range(os.open("t/0/0-", os.O_RDONLY), fd, 10), 10)
os.fsync(fd)
check("P23: it has published", content("t/0/21-"), b"by writev\n")
END
}

# A disk that takes two seconds for each flush.
case_write_does_not_wait_for_the_disk()
{
    start_t --flush-ms 86400000 || return
    publish t before
    inject fdatasync delay_enter=2000000 || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"a\n")
check("P14: it is not visible when write returns", content("t/0/7-"), b"")
began = time.monotonic()
os.close(fd)
check("P27: close has waited", time.monotonic() - began > 1.5, True)
check("P27: it is visible then", content("t/0/7-"), b"a\n")
put("t/.config", b"ack=write\n")
fd = os.open("t/publish", os.O_WRONLY)
began = time.monotonic()
os.write(fd, b"b\n")
check("P15: ack=write has waited", time.monotonic() - began > 1.5, True)
check("P15: it is visible then", content("t/0/9-"), b"b\n")
END
    uninject
}

case_lines_too_long()
{
    start_t --message-max-bytes 100 || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
check("P16: short", os.write(fd, b"a\nb\n" + b"x" * 100 + b"\nc\n"), 4)
errno_of("P17: refused", "EMSGSIZE", os.write, fd, b"x" * 100 + b"\nc\n")
check("P18: it goes on", os.write(fd, b"c\n"), 2)
check("P17: 100 with the newline is not too long", os.write(fd, b"y" * 99 + b"\n"), 100)
os.fsync(fd)
check("P16 P17 P18: the log", content("t/0/0-"), b"a\nb\nc\n" + b"y" * 99 + b"\n")
END
}

case_a_full_disk()
{
    mkdir disk && mount -t tmpfs -o size=48m none disk || return
    STORE=$DIR/disk/store
    start_t --journal-bytes 16777216 || return
    calls <<'END'
def fill():
    with open(DIR + "/disk/fill", "wb", 0) as f:
        while True:
            f.write(bytes(65536))
errno_of("P19: the disk is full", "ENOSPC", fill)
fd = os.open("t/publish", os.O_WRONLY)
def much():
    for i in range(1000):
        if os.write(fd, b"x" * 9999 + b"\n") < 10000:
            raise OSError(0, "short")
errno_of("P19: so write says", "ENOSPC", much)
os.unlink(DIR + "/disk/fill")
check("P20: it goes on", os.write(fd, b"more\n"), 5)
errno_of("P20: and is on disk", "", os.fsync, fd)
check("P20: at the end", content("t/0/0-")[-5:], b"more\n")
END
}

# Each file of an append, with each errno that a disk has for it.
case_an_append_that_fails_once()
{
    local file errno says
    start_t || return
    publish t before
    for file in log idx; do
        for errno in ENOSPC EDQUOT EIO EINTR; do
            says=$errno
            [[ $errno == EINTR ]] && says=
            inject pwritev,pwritev2,pwrite64 "error=$errno:when=1" \
                -P "$STORE/t/0/00000000000000000000.$file" || return
            calls <<END
errno_of("P19: .$file: $errno", "$says", put, "t/publish", b"$file $errno\\n")
END
            uninject
            calls <<'END'
errno_of("P20: it goes on", "", put, "t/publish", b"more\n")
END
        done
    done
    is "$(cat "$T/0/0-")" "$(printf '%s\n' before more more more 'log EINTR' more more more more \
        'idx EINTR' more)" "P20: what failed is not there, what did not is"
}

# Only the second partition's file fails, and cannot be cut back either.
case_a_partition_that_failed()
{
    start_t --partitions 2 || return
    publish t a
    publish t b
    inject pwritev,pwritev2,ftruncate,fdatasync error=EIO -P "$STORE/t/1/00000000000000000000.log" -P "$STORE/t/1/00000000000000000000.idx" || return
    fails "P21: the write that meets it" sh -c "echo x >>'$T/1/publish'"
    uninject
    calls <<'END'
errno_of("P21: from then on", "EROFS", put, "t/1/publish", b"y\n")
for i in range(4):
    errno_of("P26: the topic's goes on", "", put, "t/publish", b"z\n")
errno_of("P26: as does the other one's", "", put, "t/0/publish", b"z\n")
check("P26: all is in the other", content("t/0/0-").count(b"z\n"), 5)
check("P21: what is there is read", len(content("t/1/0-")), 2)
END
    like "$(grep '^partition t/1: ' "$MNT/.status")" \
        '^partition t/1: read-only: .*Input/output error; look after the disk, then restart topicfs$' \
        "A22: .status says why, and what to do"
    is "$(grep '^failed partitions: ' "$MNT/.status")" "failed partitions: 1" "A22: and how many"
    is "$(grep '^topicfs_failed_partitions ' "$MNT/.metrics")" "topicfs_failed_partitions 1" \
        "M1: so does .metrics"
    is "$(grep '^topicfs_publish_errors_total{errno="EROFS"}' "$MNT/.metrics")" \
        'topicfs_publish_errors_total{errno="EROFS"} 1' "M1: and who was refused"
}

case_which_partition()
{
    start_t --partitions 3 || return
    calls <<'END'
put("t/2/publish", b"here\n")
check("P24: a partition's", (content("t/2/0-"), content("t/0/0-"), content("t/1/0-")),
      (b"here\n", b"", b""))
for i in range(6):
    put("t/publish", b"%d\n%d'\n%d''\n" % (i, i, i))
logs = [content("t/%d/0-" % p).replace(b"here\n", b"") for p in range(3)]
sets = {b"%d\n%d'\n%d''\n" % (i, i, i) for i in range(6)}
check("P25: each has two", [x.count(b"\n") for x in logs], [6, 6, 6])
check("P25: lines of one write stay together",
      all(x[:len(x) // 2] in sets and x[len(x) // 2:] in sets for x in logs), True)
check("P25: in turn", [sorted(x[i] - 48 for i in (0, len(x) // 2)) for x in sorted(logs)],
      [[0, 3], [1, 4], [2, 5]])
END
}

case_large_writes()
{
    start_t --partitions 3 || return
    calls <<'END'
def line(i, length):
    return b"%0*d\n" % (length - 1, i)
data = b"".join(line(i, 10000) for i in range(104)) + line(104, 4481)
check("P25: one write", (put("t/publish", data), len(data)), (1044481, 1044481))
check("P25: in one partition", sorted(len(content("t/%d/0-" % p)) for p in range(3)), [0, 0, 1044481])
before = [len(content("t/%d/0-" % p)) for p in range(3)]
data = b"".join(line(i, 9973) for i in range(1000, 1400))
check("P40: a long write", put("t/publish", data), len(data))
logs = [content("t/%d/0-" % p)[before[p]:] for p in range(3)]
check("P40: every line, whole", sorted(b"".join(logs).splitlines(True)), data.splitlines(True))
check("P40: in order in each", [x.splitlines() == sorted(x.splitlines()) for x in logs], [True] * 3)
END
}

case_flushing()
{
    start_t --flush-ms 86400000 --partitions 2 || return
    calls <<'END'
def visible():
    return [int(x.split()[4]) for x in content("t/.offsets").splitlines()]
a, b = (os.open("t/%d/publish" % i, os.O_WRONLY) for i in (0, 1))
os.write(a, b"a\n")
os.write(b, b"b\n")
idle = os.open("t/publish", os.O_WRONLY)
os.close(idle)
check("P29: nothing has been flushed by it", visible(), [0, 0])
os.sync()
fd = os.open("t", os.O_RDONLY)
ctypes.CDLL(None).syncfs(fd)
check("P33: nor by sync and syncfs", visible(), [0, 0])
os.fsync(os.open("t/0/publish", os.O_WRONLY))
check("P30: fsync of one partition, from another open file", visible(), [1, 0])
os.write(a, b"a\n")
os.fdatasync(os.open("t/publish", os.O_RDONLY))
check("P30 P32: of the topic, opened for reading", visible(), [2, 1])
put("t/.config", b"flush.ms=20\n")
os.write(a, b"a\n")
check("P34: nobody asks", until(lambda: visible() == [3, 1]), True)
END
}

case_a_failed_flush()
{
    start_t --flush-ms 86400000 || return
    publish t good
    inject fdatasync,fsync,syncfs error=EIO || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
copy = os.dup(fd)
os.write(fd, b"lost\n")
errno_of("P28: close", "EIO", os.close, copy)
errno_of("P31: fsync", "EIO", os.fsync, fd)
errno_of("P31 P32: of another open file", "EIO", os.fsync, os.open("t/publish", os.O_RDONLY))
END
    uninject
    calls <<'END'
errno_of("P31: as long as it is not flushed", "EIO", os.fsync, os.open("t/publish", os.O_RDONLY))
check("P31: what was flushed is there", content("t/0/0-"), b"good\n")
END
}

run_cases "$@"
