#!/usr/bin/env bash
# docs/filesystem-semantics.md: the three tenets, and the names.
. "$(dirname "$0")/semantics.sh"

case_an_offset_is_an_address()
{
    start_t "${SMALL[@]}" || return
    publish t a bb ccc
    is "$(cat "$MNT/t/0/0-2")" a "T1: the first message, and where it ends"
    is "$(cat "$MNT/t/0/2-5")" bb "T1: the next begins there"
    is "$(cut -d' ' -f4 "$T/.offsets")" 9 "T1: the end is the sum of the lengths"
    publish_lines 1 30
    calls <<'END'
base = sorted(os.listdir("t/0"))[-2]
offset = int(base[:20])
check("T2: there are several segments", base.endswith(".log") and offset > 0, True)
want = content("t/0/0-")[offset + 400:offset + 800]
store = os.path.join(DIR, "store")
for name, start in (("t/0/0-", 0), ("t/0/9-", 9), ("t/0/0+", 0), ("t/0/" + base, offset),
                    (os.path.join(store, "t/0", base), offset)):
    fd = os.open(name, os.O_RDONLY)
    check("T2: " + name.replace(store, "STORE"), os.pread(fd, 400, offset + 400 - start), want)
END
    is "$(grep -b 'bb$' "$MNT/t/0/0-" | cut -d: -f1)" 2 "T2: grep -b tells the offset"
}

# T3 with a power cut for the disk: what is only in memory is gone.
case_success_means_success()
{
    truncate -s 64M img && mkfs.ext4 -q -F img && mkdir disk && mount -o loop img disk || return
    STORE=$DIR/disk/store
    start_t || return
    echo closed >line
    ok "T3: cp looks at what close says" cp line "$P"
    is "$(cat "$T/0/0-")" closed "T3: it is visible"
    publish t synced || return
    calls <<'END'
fcntl.ioctl(os.open(DIR + "/disk", os.O_RDONLY), 0x8004587d, b"\2\0\0\0")
END
    fails "T4: a disk that is gone is told" cp line "$P"
    daemon_kill
    detach
    umount disk && mount -o loop img disk || return
    daemon_start || return
    is "$(cat "$T/0/0-")" $'closed\nsynced' "T3: both are on the disk"
}

case_not_on_disk_is_not_visible()
{
    start_t --flush-ms 86400000 || return
    publish t good
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"waiting\n")
check("T5: not by START-", content("t/0/0-"), b"good\n")
check("T5: not in the segment", content("t/0/" + SEGMENT), b"good\n")
check("T5: not in its size", os.stat("t/0/" + SEGMENT).st_size, 5)
check("T5: not counted", content("t/.offsets"), b"0 0 0 5 1\n")
os.fsync(fd)
check("T5: but when it is on disk", content("t/0/0-"), b"good\nwaiting\n")
END
}

case_what_flush_sync_os_gives_up()
{
    start_t --flush-sync os --flush-ms 86400000 || return
    hold fdatasync,fsync,syncfs || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"a\n")
check("P41: visible when write returns", content("t/0/0-"), b"a\n")
began = time.monotonic()
os.close(fd)
check("P41: close does not wait", time.monotonic() - began < 60, True)
END
    uninject
    inject fdatasync,fsync,syncfs delay_enter=2000000 || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"b\n")
began = time.monotonic()
os.fsync(fd)
check("P42: fsync does", time.monotonic() - began > 1.5, True)
END
    uninject
}

case_what_is_listed_is_safe()
{
    local before
    start_t "${SMALL[@]}" --partitions 2 || return
    publish_lines 1 60
    before=$(cat "$T/.offsets"; cat "$T/.config")
    ok "T6: a reader of everything ends" within 20 grep -rc . "$MNT"
    is "$(within 20 grep -rh '^0*[0-9]\{1,2\}$' "$MNT" | wc -l)" 60 "T6: it sees every message"
    is "$(within 20 grep -rh '^0*[0-9]\{1,2\}$' "$MNT" | sort -u | wc -l)" 60 "T6: and none twice"
    ok "T6: rsync" within 20 rsync -a "$MNT/" copy/
    is "$(cat "$T/.offsets"; cat "$T/.config")" "$before" "T6: nothing has changed"
    is "$(find "$MNT" | grep -c -e '+' -e '-$' -e 'sealed')" 0 "T7: find sees none of them"
    ok "T7: stat does" stat "$T/sealed" "$T/latest+" "$T/0/0-" "$T/0/0+" "$T/0/0-400" "$T/0/earliest-"
}

case_in_the_root()
{
    start_t || return
    mkdir "$MNT/other"
    is "$(list "$MNT")" ".metrics .status other t " "N1: the root's list"
    calls <<'END'
for name in ("a b", "-a", ".a", "ä", "a/", "a:b", "a\nb"):
    errno_of("N2: %r" % name, "" if name == "a/" else "EINVAL", os.mkdir, name)
for name in ("a.b", "A-9_", "0", "x" * 249, "publish"):
    errno_of("N2: %r" % name, "", os.mkdir, name)
errno_of("N3: 250 characters", "ENAMETOOLONG", os.mkdir, "x" * 250)
END
}

case_in_a_topic()
{
    start_t "${SMALL[@]}" --partitions 2 || return
    publish_lines 1 60
    is "$(list "$T")" ".config .offsets 0 1 publish " "N4: a topic's list"
    is "$(list "$T/sealed")" \
        "0-00000000000000000000.log 1-00000000000000000000.log " "N5: all segments but the newest"
    ok "N5: the same bytes" cmp "$T/0/00000000000000000000.log" \
        "$T/sealed/0-00000000000000000000.log"
    is "$(find "$T/sealed" -type f ! -name '[01]-*.log')" "" "N6: no publish in it"
    ok "N6: there is a newer one" test -e "$T/0/00000000000000008000.log"
    ok "N6: which is not there" test ! -e "$T/sealed/0-00000000000000008000.log"
    ok "N7: streams" stat "$T/latest+" "$T/earliest+" "$T/@0+"
    ok "N7: not listed" test -z "$(find "$T" -name '*+')"
}

case_in_a_partition()
{
    start_t "${SMALL[@]}" || return
    publish_lines 1 30
    is "$(list "$T/0")" \
        "00000000000000000000.log 00000000000000008000.log publish " "N8: a partition's list"
    is "$(head -c 400 "$T/0/00000000000000008000.log")" "$(lines 21 21)" "N8: named by its offset"
    calls <<'END'
os.chdir("t/0")
for name in ("0-", "400-", "12000-", "0-0", "0-400", "400-12000", "12000-12000", "0+", "12000+"):
    errno_of("N10: " + name, "", os.stat, name)
    check("N9: %s is not listed" % name, name in os.listdir("."), False)
for name in ("+0-", "00-", "0400-", "0x0-", " 0-", "0", "-", "-0", "0--", "0-+", "0++", "0-00",
             "0-0400", "latest", "LATEST-", "@-", "@x-", "@1.-", "@01-", "@1.1234567890-", "0.log",
             "00000000000000000400.log", "0-400-800"):
    errno_of("N11: " + name, "ENOENT", os.stat, name)
for name in ("1-", "399-", "401+", "0-399", "11999-"):
    errno_of("N12: " + name, "EINVAL", os.stat, name)
for name in ("12001-", "12400+", "0-12400", "99999999999999999999999999-"):
    errno_of("N13: " + name, "ERANGE", os.stat, name)
for name in ("400-0", "latest-earliest", "12000-400"):
    errno_of("N14: " + name, "ERANGE", os.stat, name)
errno_of("N12: open tells the same", "EINVAL", os.open, "1-", os.O_RDONLY)
errno_of("N13: open tells the same", "ERANGE", os.open, "12400-", os.O_RDONLY)
END
}

case_words_are_links()
{
    start_t || return
    publish t a bb
    calls <<'END'
os.chdir("t/0")
for name, target in (("latest-", "5-"), ("earliest-", "0-"), ("latest+", "5+"), ("@0-", "0-"),
                     ("earliest-latest", "0-5"), ("2-latest", "2-5"), ("@0-2", "0-2"),
                     ("earliest-2", "0-2"), ("@0.123456789+", "0+")):
    check("N15: " + name, (stat.S_ISLNK(os.lstat(name).st_mode), os.readlink(name)), (True, target))
check("N15: it is followed", content("2-latest"), b"bb\n")
publish("publish", b"ccc\n")
check("N16: where latest- points now", os.readlink("latest-"), "9-")
check("N16: followed again", content("2-latest"), b"bb\nccc\n")
check("N17: earliest", content("earliest-").split(b"\n")[0], b"a")
check("N17: latest", content("latest-"), b"")
END
}

# Messages at times that are told apart by what the clock said between them.
case_times()
{
    start_t || return
    publish t a
    calls <<'END'
def tick():
    """Until the clock of milliseconds has moved on: returns that time."""
    t = time.time_ns() // 1000000
    until(lambda: time.time_ns() // 1000000 > t + 1)
    return "%d.%03d" % divmod(time.time_ns() // 1000000, 1000)
os.chdir("t/0")
first = tick()
until(lambda: time.time_ns() // 1000000 > int(float(first) * 1000) + 1)
publish("publish", b"bb\n")
second = tick()
check("N18: the first message after it", os.readlink("@%s-" % first), "2-")
check("N18: with nine digits", os.readlink("@%s000000-" % first), "2-")
check("N18: before all", os.readlink("@1-"), "0-")
check("N19: behind the last", os.readlink("@%s-" % second), "5-")
publish("publish", b"ccc\n")
check("N19: until another comes", content("@%s-" % second), b"ccc\n")
errno_of("N20: a link", "ERANGE", os.stat, "@%d-" % (time.time() + 3600))
errno_of("N20: an END", "ERANGE", os.stat, "0-@%d" % (time.time() + 3600))
errno_of("N20: a stream of the topic", "ERANGE", os.stat, "../@%d+" % (time.time() + 3600))
END
}

case_what_is_none()
{
    start_t || return
    publish t a
    calls <<'END'
for name in ("u", "t/1", "t/00", "t/nothing", "t/0-", "t/latest-", "t/0/nothing", "t/sealed/0",
             ".hidden", "t/.hidden", "t/0/.0.crc", "t/sealed/.0.crc", "lost+found",
             "t/sealed/9-" + SEGMENT, "t/sealed/publish"):
    errno_of("N21: " + name, "ENOENT", os.stat, name)
errno_of("N22: in the root", "ENAMETOOLONG", os.stat, "x" * 256)
errno_of("N22: in a partition", "ENAMETOOLONG", os.stat, "t/0/" + "0" * 256)
errno_of("N21: 255 are none either", "ENOENT", os.stat, "x" * 255)
END
}

run_cases "$@"
