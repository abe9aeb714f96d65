#!/usr/bin/env bash
# docs/filesystem-semantics.md: attributes and lists, making and removing, who may do what.
. "$(dirname "$0")/semantics.sh"

case_inode_numbers()
{
    local names before
    start_t "${SMALL[@]}" || return
    publish_lines 1 30
    names=(. publish .config .offsets sealed latest+ 0 0/publish 0/0- 0/0+ 0/0-400 0/400- 0/latest-
        0/00000000000000000000.log 0/00000000000000008000.log sealed/0-00000000000000000000.log)
    before=$(cd "$T" && stat -c '%i %n' "${names[@]}")
    is "$(cut -d' ' -f1 <<<"$before" | sort -u | wc -l)" "${#names[@]}" "L2: all are different"
    daemon_stop && daemon_start || return
    is "$(cd "$T" && stat -c '%i %n' "${names[@]}")" "$before" "L1: the same after a restart"
}

case_attributes()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 30
    calls <<'END'
names = [".", ".status", ".metrics", "t", "t/publish", "t/.config", "t/.offsets", "t/sealed", "t/latest+", "t/0",
         "t/0/0-", "t/0/0+", "t/0/0-400", "t/0/" + SEGMENT, "t/0/00000000000000008000.log",
         "t/sealed/0-" + SEGMENT, "t/0/latest-", "t/0/earliest-latest"]
for name in names:
    st = os.lstat(name)
    check("L3: links of " + name, st.st_nlink, 1)
    check("L4: st_blksize", st.st_blksize, 1 << 20)
    if stat.S_ISREG(st.st_mode):
        check("L5: blocks", st.st_blocks * 512 >= st.st_size, True)
    if stat.S_ISLNK(st.st_mode):
        check("L10: size", st.st_size, len(os.readlink(name)))
    if stat.S_ISDIR(st.st_mode):
        for e in os.scandir(name):
            of = os.lstat(name + "/" + e.name)
            check("L12: %s/%s" % (name, e.name), (e.inode(), e.is_dir()),
                  (of.st_ino, stat.S_ISDIR(of.st_mode)))
a, b = os.statvfs("."), os.statvfs(DIR + "/store")
check("L13: statfs", (a.f_blocks, a.f_frsize, a.f_files, a.f_namemax),
      (b.f_blocks, b.f_frsize, b.f_files, 255))
END
    is "$(du -s --block-size=1 --apparent-size "$T/0" | cut -f1)" 12000 "L11: du --apparent-size"
    ok "L11: du" test "$(du -s --block-size=1 "$T/0" | cut -f1)" -ge 12000
}

case_times()
{
    start_t "${SMALL[@]}" || return
    calls <<'END'
def now():
    return time.time_ns() // 1000000
def tick():
    t = now()
    until(lambda: now() > t + 5)
    return now()
def mtime(name):
    return os.stat(name).st_mtime_ns // 1000000
publish("t/publish", b"%0399d\n" % 0)
frozen, newest = mtime("t/0/0-400"), "t/0/" + SEGMENT
start = tick()
publish("t/publish", b"%0399d\n" % 1)
end = tick()
for name in (newest, "t/0/0-", "t/0/0+", "t/0/400-"):
    check("L6 L7: " + name, start <= mtime(name) <= end, True)
check("L8: START-END", mtime("t/0/0-400"), frozen)
check("L8: its last message's", start <= mtime("t/0/0-800") <= end, True)
check("L17: .offsets", mtime("t/.offsets"), mtime("t/0/0-"))
for name in (".status", ".metrics"):
    start = tick()
    check("L18: " + name, start <= mtime(name) <= now(), True)
start = tick()
put("t/.config", b"flush.ms=20\n")
check("L19: settings are changed", start <= mtime("t/.config") <= now(), True)
check("L19: and then not", mtime("t/.config"), mtime("t/.config") if tick() else 0)
for i in range(30):
    publish("t/publish", b"%0399d\n" % i)
check("L8: over a roll", mtime("t/0/0-400"), frozen)
last = mtime(newest)
check("L6: a sealed segment's", start <= last <= mtime("t/0/0-"), True)
content("t/0/0-400")
before = [(os.stat(n).st_atime_ns, os.stat(n).st_mtime_ns) for n in (newest, "t/0/0-", "t/0/0-400")]
tick()
for n in (newest, "t/0/0-", "t/0/0-400"):
    content(n)
check("L9: after reading", [(os.stat(n).st_atime_ns, os.stat(n).st_mtime_ns)
                            for n in (newest, "t/0/0-", "t/0/0-400")], before)
END
}

case_listings_in_pieces()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 130
    calls <<'END'
for i in range(60):
    os.mkdir("old%d" % i)
fd = os.open(".", os.O_RDONLY)
got, made = [], 0
while True:
    piece = entries(fd, 200)
    if not piece:
        break
    got += [name for name, _ in piece]
    if made < 20:
        os.mkdir("new%d" % made)
        os.rmdir("old%d" % (59 - made))
        made += 1
check("L14: none twice", sorted(set(got)), sorted(got))
check("L14: none left out", [i for i in range(40) if "old%d" % i not in got], [])
for path in (".", "t", "t/0", "t/sealed"):
    fd = os.open(path, os.O_RDONLY)
    all_ = entries(fd, 65536)
    check("L12: %s whole" % path, sorted(n for n, _ in all_), sorted(os.listdir(path) + [".", ".."]))
    after = []
    for _, position in all_[:-1]:
        os.lseek(fd, position, os.SEEK_SET)
        after.append(entries(fd, 200)[0])
    check("L15: %s" % path, after, all_[1:])
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(os.O_NONBLOCK)
topic, growing = (libc.inotify_add_watch(watch, x, 2) for x in (b"t", b"t/0/0-")) # IN_MODIFY
publish("t/publish", b"more\n")
buf, at, events = os.read(watch, 65536), 0, []
while at < len(buf):
    which, _, _, length = struct.unpack_from("<iIII", buf, at)
    events.append((which, buf[at + 16:at + 16 + length].rstrip(b"\0")))
    at += 16 + length
check("L16: publish is written to, nothing grows", events, [(topic, b"publish")])
END
}

case_topics_are_made_and_removed()
{
    start_t --partitions 2 || return
    publish t a
    calls <<'END'
errno_of("C1: mkdir", "", os.mkdir, "u")
check("C1: with the partitions it should have", sorted(os.listdir("u")),
      [".config", ".offsets", "0", "1", "publish"])
for name in ("t", "u", ".status"):
    errno_of("C2: " + name, "EEXIST", os.mkdir, name)
for name in ("t/x", "t/2", "t/0/x", "t/sealed/x"):
    errno_of("C3: " + name, "EPERM", os.mkdir, name)
errno_of("C5: with a message", "ENOTEMPTY", os.rmdir, "t")
errno_of("C4: without", "", os.rmdir, "u")
errno_of("C4: it is gone", "ENOENT", os.stat, "u")
for name in ("t/0", "t/sealed", "t/1"):
    errno_of("C6: " + name, "EPERM", os.rmdir, name)
for name in ("t/publish", ".status", "t/0/0-"):
    errno_of("C6: " + name, "ENOTDIR", os.rmdir, name)
os.mkdir("durable")
END
    daemon_kill
    detach
    daemon_start || return
    ok "C1: it is there after a kill" test -d "$MNT/durable/1"
    ok "C4: the removed one is not" test ! -e "$MNT/u"
}

case_nothing_is_lost()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 30
    calls <<'END'
want = content("t/0/0-")
names = (".status", "t/publish", "t/.config", "t/.offsets", "t/0/" + SEGMENT, "t/0/0-", "t/0/0+",
         "t/sealed/0-" + SEGMENT, "t/0/latest-", "t/latest+")
for name in names:
    errno_of("C7: unlink " + name, "EPERM", os.unlink, name)
    errno_of("C7: rename", "EPERM", os.rename, name, "t/other")
    errno_of("C7: rename over it", "EPERM", os.rename, "t/.config", "t/publish")
    errno_of("C7: link", "EPERM", lambda: os.link(name, "t/other", follow_symlinks=False))
    errno_of("C8: rename out", "EXDEV", os.rename, name, DIR + "/out")
    errno_of("C8: link out", "EXDEV", lambda: os.link(name, DIR + "/out", follow_symlinks=False))
errno_of("C7: rename of a topic", "EPERM", os.rename, "t", "u")
for where in (".", "t", "t/0", "t/sealed"):
    errno_of("C7: symlink in " + where, "EPERM", os.symlink, "x", where + "/x")
    errno_of("C7: mknod", "EPERM", os.mknod, where + "/x")
    errno_of("C7: a new file", "EPERM", os.open, where + "/x", os.O_CREAT | os.O_WRONLY)
check("C7: all is there", content("t/0/0-"), want)
END
    fails "C7: rm -rf" rm -rf "$T"
    fails "C7: mv" mv "$T" "$DIR/"
    fails "C7: find -delete" find "$T" -delete
    is "$(cat "$T/0/0-")" "$(lines 1 30)" "C7: all is there"
}

case_access()
{
    open_to_others
    start_t --allow-other || return
    publish t a
    chmod 0755 "$T"
    ok "C10: r allows reading" as_user cat "$T/0/0-"
    fails_with "Permission denied" as_user tee "$P" <<<x
    ok "C9: without w no publishing" test "$(stat -c %s "$T/0/0-")" = 2
    chmod 0777 "$T"
    ok "C9: w allows publishing" as_user sh -c "echo x >>'$P'"
    chmod 0733 "$T"
    fails "C10: without r no reading" as_user cat "$T/0/0-"
    fails "C10: nor listing" as_user ls "$T"
    ok "C9 C10: but publishing" as_user sh -c "echo x >>'$P'"
    chmod 0666 "$T"
    fails "C11: without x nothing is reached" as_user cat "$T/0/0-"
    fails "C11: not publish either" as_user sh -c "echo x >>'$P'"
    chmod 7751 "$T"
    chown 65534:65534 "$T"
    is "$(stat -c '%a %u %g' "$T")" "751 65534 65534" "C14: only rwx are taken"
    is "$(stat -c %a "$P" "$T/0/publish" "$T/0/0-" "$T/0/0+" "$T/0/latest-" "$T"/0/*.log |
        tr '\n' ' ')" "640 640 440 440 777 440 " "C13: the files have it"
    ok "A14: the owner may write .config" as_user sh -c "echo flush.ms=50 >'$T/.config'"
    chown 0 "$T"
    chmod 0777 "$T"
    fails "A14: others may not" as_user sh -c "echo flush.ms=60 >'$T/.config'"
    ok "A14: root may" sh -c "echo flush.ms=60 >'$T/.config'"
    chmod 0751 "$T"
    daemon_stop && daemon_start --allow-other || return
    is "$(stat -c '%a %u %g' "$T")" "751 0 65534" "C12: after a restart"
    fails_with "Operation not permitted" chmod 600 "$P"
    calls <<'END'
for name in (".", ".status", "t/publish", "t/.config", "t/0", "t/0/0-", "t/0/" + SEGMENT, "t/latest+"):
    st = os.stat(name)
    errno_of("C15: %s as it is" % name, "", os.chmod, name, st.st_mode & 0o7777)
    errno_of("C15: its owner as it is", "", os.chown, name, st.st_uid, st.st_gid)
    errno_of("C15: changed", "EPERM", os.chmod, name, 0o100)
    errno_of("C15: its owner changed", "EPERM", os.chown, name, 17, 17)
END
}

case_who_may_make_topics()
{
    open_to_others
    start_t --allow-other --root-mode 0777 || return
    ok "C18: everybody with root.mode 0777" as_user mkdir -m 0750 "$MNT/mine"
    is "$(stat -c '%a %u %g' "$MNT/mine")" "750 65534 65534" "C16: it is the maker's"
    daemon_stop && daemon_start --allow-other || return
    fails_with "Permission denied" as_user mkdir "$MNT/other"
    ok "C18: only the owner with 0755" test ! -e "$MNT/other"
    daemon_stop && daemon_start || return
    fails_with "Permission denied" as_user ls "$MNT"
    ok "C17: not without --allow-other" test -d "$MNT/mine"
}

case_what_else_may_be_changed()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 30
    calls <<'END'
for name in (".status", "t/.offsets", "t/0/" + SEGMENT, "t/0/0-", "t/0/0-400", "t/0/0+"):
    errno_of("C19: truncate " + name, "EPERM", os.truncate, name, 7)
    errno_of("C21: utimensat", "EPERM", os.utime, name, (1, 1))
for name in ("t/publish", "t/.config"):
    errno_of("C19: truncate " + name, "", os.truncate, name, 7)
for name in (".", "t", "t/0", "t/sealed", "t/publish", "t/.config"):
    before = os.stat(name).st_mtime
    errno_of("C20: utimensat " + name, "", os.utime, name, (1, 1))
    check("C20: does nothing", os.stat(name).st_mtime, before)
for name in (".", "t", "t/publish", "t/0/0-", "t/0/" + SEGMENT):
    errno_of("C22: setxattr " + name, "ENOTSUP", os.setxattr, name, "user.x", b"y")
    errno_of("C22: getxattr", "ENOTSUP", os.getxattr, name, "user.x")
    errno_of("C22: listxattr", "ENOTSUP", os.listxattr, name)
for name in ("t/0/0-", "t/0/" + SEGMENT, "t/.config"):
    a, b = os.open(name, os.O_RDONLY), os.open(name, os.O_RDONLY)
    fcntl.flock(a, fcntl.LOCK_EX)
    errno_of("C23: flock, taken", "EAGAIN", fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(a, fcntl.LOCK_UN)
    errno_of("C23: given back", "", fcntl.flock, b, fcntl.LOCK_EX | fcntl.LOCK_NB)
    errno_of("C23: fcntl", "", fcntl.lockf, a, fcntl.LOCK_SH | fcntl.LOCK_NB)
    p, q = os.open("t/publish", os.O_WRONLY), os.open("t/publish", os.O_WRONLY)
    fcntl.flock(p, fcntl.LOCK_EX)
    errno_of("C25: not on publish", "", fcntl.flock, q, fcntl.LOCK_EX | fcntl.LOCK_NB)
    check("C24: isatty", os.isatty(a), False)
    errno_of("C24: TCGETS", "ENOTTY", fcntl.ioctl, a, 0x5401, bytes(64))
END
}

run_cases "$@"
