#!/usr/bin/env bash
# docs/filesystem-semantics.md: gaps. No command makes one, so tests/tools/leavegap does, in a store
# that nobody uses.
. "$(dirname "$0")/semantics.sh"

# "a", "bb", "ccc" at 0, then a gap from 9 to 1000000, then "dddd".
start_with_a_gap()
{
    start_t || return
    printf 'a\nbb\nccc\n' >>"$P" && sync "$P"
    daemon_stop || fail "the daemon stops"
    ok "a gap is left" "$TOPICFS_TOOLS/leavegap" "$STORE" t 0 1000000 500
    daemon_start || return
    echo dddd >>"$P" && sync "$P"
}

case_bytes()
{
    start_with_a_gap || return
    calls <<'END'
for name, start in (("0-", 0), ("2-", 2), ("0+", 0), ("0-1000005", 0), ("2-1000000", 2), ("2-500", 2)):
    fd = os.open("t/0/" + name, os.O_RDONLY | os.O_NONBLOCK)
    check("G2: %s ends before it" % name, os.read(fd, 1 << 20), b"a\nbb\nccc\n"[start:])
    errno_of("G1: %s at its first byte" % name, "ESTALE", os.read, fd, 1 << 20)
    errno_of("G1: %s inside" % name, "ESTALE", os.pread, fd, 100, 300)
    if name[-1] in "-+5":
        check("G4: %s behind it" % name, os.pread(fd, 100, 1000000 - start), b"dddd\n")
        errno_of("G1: %s before the end" % name, "ESTALE", os.pread, fd, 100, 999999 - start)
for name, size in (("9-", 999996), ("9-1000000", 999991), ("500-", 999505), ("500-501", 1),
                   ("999999-1000005", 6)):
    check("G3 G4: %s has its size" % name, os.stat("t/0/" + name).st_size, size)
    errno_of("G1 G3: %s" % name, "ESTALE", content, "t/0/" + name)
check("G3: up to it", content("t/0/2-9"), b"bb\nccc\n")
check("G3: from its end", content("t/0/1000000-1000005"), b"dddd\n")
check("G4: the size from the beginning", os.stat("t/0/0-").st_size, 1000005)
errno_of("N12: inside a message", "EINVAL", os.stat, "t/0/3-")
errno_of("N12: behind it, too", "EINVAL", os.stat, "t/0/1000003-")
check("T6: listed", sorted(os.listdir("t/0")),
      ["%020d.log" % 0, "%020d.log" % 1000000, "publish"])
check("T6: the segments", [content("t/0/%020d.log" % n) for n in (0, 1000000)],
      [b"a\nbb\nccc\n", b"dddd\n"])
check("N5: sealed", os.listdir("t/sealed"), ["0-%020d.log" % 0])
fd = os.open("t/0/0-1000005", os.O_RDONLY)
errno_of("G6: shared", "ENODEV", mapping, fd, 5, mmap.MAP_SHARED)
private = mmap.mmap(fd, 9, mmap.MAP_PRIVATE, mmap.PROT_READ)
check("G6: private", private[:], b"a\nbb\nccc\n")
check("G4: its size after that", os.stat("t/0/0-1000005").st_size, 1000005)
private = mmap.mmap(os.open("t/0/0-9", os.O_RDONLY), 9, mmap.MAP_PRIVATE, mmap.PROT_READ)
check("R15: without it in the range", private[:], b"a\nbb\nccc\n")
check("G7: .offsets", content("t/.offsets"), b"0 0 9 1000005 4\n")
END
    fails_with "Stale file handle" cat "$T/0/0-1000005"
}

case_streams()
{
    start_with_a_gap || return
    is "$(head -n 4 "$T/earliest+" 2>/dev/null | tr '\n' ' ')" "a bb ccc dddd " "G5: earliest+"
    is "$(head -n 1 "$T/0/1000000+")" dddd "G4: a stream that begins behind it"
    fails_with "Stale file handle" cat "$T/0/0+"
}

# The store itself: a reader that knows only the page on the format, and a kill.
case_on_disk()
{
    start_with_a_gap || return
    daemon_kill
    detach
    is "$(python3 -B "$ROOT/tests/e2e/read_store.py" "$STORE" | tr '\n' ';')" \
        "t 0 0 a;t 0 2 bb;t 0 5 ccc;t 0 1000000 dddd;" "read_store.py finds all messages"
    daemon_start || return
    is "$(<"$T/.offsets")" "0 0 9 1000005 4" "G7: after a kill"
    daemon_stop || fail "the daemon stops"
    ok "topicfs check finds nothing" "$TOPICFS_BIN" check "$STORE"
    fails_with "there are messages up to 1000005" "$TOPICFS_TOOLS/leavegap" "$STORE" t 0 9 3
}

run_cases "$@"
