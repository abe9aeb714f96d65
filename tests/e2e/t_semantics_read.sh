#!/usr/bin/env bash
# docs/filesystem-semantics.md: reading segments, START- and START-END.
. "$(dirname "$0")/semantics.sh"

# A topic of three segments, at 0, 8000 and 16000, the last with 10 lines: 20000 bytes.
start_with_segments()
{
    start_t "${SMALL[@]}" "$@" && publish_lines 1 50
}

case_open()
{
    start_with_segments || return
    calls <<'END'
newest = "t/0/00000000000000016000.log"
for name in ("t/0/" + SEGMENT, newest, "t/sealed/0-" + SEGMENT, "t/0/0-", "t/0/0-400"):
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
        errno_of("R1: %s with 0%o" % (name, flags), "EPERM", os.open, name, flags)
    want = content(name)
    for flags in (os.O_SYNC, os.O_NONBLOCK, os.O_NOATIME):
        check("R2: %s with 0%o" % (name, flags), os.read(os.open(name, flags), 1 << 20), want)
    with open(name, "rb", 0) as f:
        page = mmap.mmap(-1, 65536)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECT)
        check("R2: %s with O_DIRECT" % name, (os.readv(fd, [page]), page[:400]),
              (len(want), want[:400]))
    errno_of("R22: %s" % name, "EACCES", os.execv, name, [name])
    errno_of("R21: %s" % name, "EBADF", os.write, fd, b"x")
END
}

case_segments()
{
    start_with_segments || return
    calls <<'END'
names = ["t/0/%020d.log" % base for base in (0, 8000, 16000)]
fds = [os.open(n, os.O_RDONLY) for n in names]
before = [content(n) for n in names]
check("R3: their sizes", [len(x) for x in before], [8000, 8000, 4000])
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"more\n")
os.fsync(fd)
check("R4: the newest grows", content(names[2]), before[2] + b"more\n")
check("R4: under an open file, too", os.pread(fds[2], 100, 4000), b"more\n")
for i in range(20):
    os.write(fd, b"%0399d\n" % i)
os.fsync(fd)
check("R4: sealed ones stay", [os.pread(f, 9000, 0) for f in fds[:2]], before[:2])
check("R4: so does one sealed meanwhile", os.pread(fds[2], 9000, 0), content(names[2]))
check("R4: which has a successor", len(os.listdir("t/0")), 5)
END
}

case_growing()
{
    start_with_segments || return
    lines 1 50 >want
    ok "R5: over all segments" cmp want "$T/0/0-"
    ok "R5: from the middle" cmp <(lines 4 50) "$T/0/1200-"
    ok "R5: from another segment" cmp <(lines 31 50) "$T/0/12000-"
    calls <<'END'
fd = os.open("t/0/19600-", os.O_RDONLY)
first = os.read(fd, 1000)
check("R5: the last message", len(first), 400)
check("R6: at the end", os.read(fd, 1000), b"")
publish("t/publish", b"more\n")
check("R7: the next read", os.read(fd, 1000), b"more\n")
check("R7: the size", os.fstat(fd).st_size, 405)
for i in range(30):
    publish("t/publish", b"%0399d\n" % i)
check("R7: over a roll", len(os.read(fd, 100000)), 12000)
END
}

case_always_whole_messages()
{
    start_t "${SMALL[@]}" --flush-ms 1 || return
    calls <<'END'
ended = []
def writer():
    fd = os.open("t/publish", os.O_WRONLY)
    for i in range(2000):
        os.write(fd, b"%0*d\n%d\n" % (i * 7919 % 300 + 1, i, i))
    os.close(fd)
    ended.append(True)
thread = threading.Thread(target=writer)
thread.start()
looks, wrong, sizes = 0, [], set()
while not ended:
    data = content("t/0/0-")
    looks += 1
    sizes.add(len(data))
    if data and not data.endswith(b"\n"):
        wrong.append(data[-20:])
thread.join()
check("R23: each look at what is visible ends with a newline", wrong, [])
check("R23: it grew between looks", len(sizes) > 2, True)
check("R23: all is there", content("t/0/0-").count(b"\n"), 4000)
END
}

case_frozen()
{
    start_with_segments || return
    calls <<'END'
names = {"t/0/0-400": 400, "t/0/400-20000": 19600, "t/0/7600-8400": 800, "t/0/0-0": 0,
         "t/0/20000-20000": 0, "t/0/8000-16000": 8000}
log = content("t/0/0-")
fds = {}
for name, size in names.items():
    start, end = map(int, name[4:].split("-"))
    fds[name] = os.open(name, os.O_RDONLY)
    check("R8 R10: " + name, content(name), log[start:end])
    check("R8: its size", os.stat(name).st_size, size)
for i in range(30):
    publish("t/publish", b"%0399d\n" % i)
for name, size in names.items():
    start, end = map(int, name[4:].split("-"))
    check("R9: " + name, (content(name), os.stat(name).st_size), (log[start:end], size))
    check("R9: open since", os.pread(fds[name], 100000, 0), log[start:end])
END
}

# In the order of R11 to R21, for each kind of file.
case_every_kind()
{
    start_with_segments || return
    calls <<'END'
log = content("t/0/0-")
kinds = {"t/0/" + SEGMENT: log[:8000], "t/0/00000000000000016000.log": log[16000:],
         "t/sealed/0-" + SEGMENT: log[:8000], "t/0/400-": log[400:], "t/0/400-12000": log[400:12000],
         "t/0/earliest-": log}
frozen = ("t/0/" + SEGMENT, "t/sealed/0-" + SEGMENT, "t/0/400-12000")
for name, want in kinds.items():
    size = len(want)
    fd = os.open(name, os.O_RDONLY)
    check("R11: %s, at its end" % name, os.pread(fd, 10, size), b"")
    check("R11: far behind", os.pread(fd, 10, 1 << 50), b"")
    check("R12: inside a line", os.pread(fd, 500, 390), want[390:890])
    check("R12: byte by byte", b"".join(os.read(fd, 1) for i in range(410)), want[:410])
    check("R13: SEEK_CUR", os.lseek(fd, 0, os.SEEK_CUR), 410)
    check("R13: SEEK_END", os.lseek(fd, -400, os.SEEK_END), size - 400)
    check("R13: read there", os.read(fd, 1000), want[-400:])
    check("R13: SEEK_SET", (os.lseek(fd, 17, os.SEEK_SET), os.read(fd, 5)), (17, want[17:22]))
    errno_of("R13: below 0", "EINVAL", os.lseek, fd, -1, os.SEEK_SET)
    check("R14: SEEK_DATA", os.lseek(fd, 100, os.SEEK_DATA), 100)
    check("R14: SEEK_HOLE", os.lseek(fd, 100, os.SEEK_HOLE), size)
    errno_of("R14: behind the end", "ENXIO", os.lseek, fd, size + 1, os.SEEK_DATA)
    if name in frozen:
        shared = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        check("R15: mapped shared", shared[:], want)
        private = mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ)
        check("R15: mapped private", private[:], want)
    else:
        errno_of("R16: mapped shared", "ENODEV", mmap.mmap, fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
        private = mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ)
        check("R16: mapped private", private[:], want)
    out = os.open(DIR + "/out", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    os.sendfile(out, fd, 100, 300)
    check("R17: sendfile", os.pread(out, 1000, 0), want[100:400])
    r, w = os.pipe()
    os.splice(fd, w, 300, offset_src=100)
    check("R17: splice", os.read(r, 1000), want[100:400])
    errno_of("R18: copy_file_range", "EXDEV", os.copy_file_range, fd, out, 100)
    check("R18: cp", subprocess.run(["cp", name, DIR + "/copy"]).returncode, 0)
    check("R18: the copy", content(DIR + "/copy"), want)
    check("R19: select", select.select([fd], [], [], 0)[0], [fd])
    os.lseek(fd, 0, os.SEEK_END)
    check("R19: at the end, too", select.select([fd], [], [], 0)[0], [fd])
    errno_of("R20: fsync", "", os.fsync, fd)
    errno_of("R21: write", "EBADF", os.write, fd, b"x")
END
}

case_mappings_of_what_is_sealed_later()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 10
    calls <<'END'
name = "t/0/" + SEGMENT
before = content(name)
private = mmap.mmap(os.open(name, os.O_RDONLY), 4000, mmap.MAP_PRIVATE, mmap.PROT_READ)
check("R16: a private mapping of the newest", private[:], before)
for i in range(30):
    publish("t/publish", b"%0399d\n" % i)
check("R3 R4: sealed, it is whole", len(content(name)), 8000)
check("R15: and mapped whole",
      mmap.mmap(os.open(name, os.O_RDONLY), 8000, mmap.MAP_SHARED, mmap.PROT_READ)[:], content(name))
check("R4: the first mapping shows the same", private[:], before)
END
}

run_cases "$@"
