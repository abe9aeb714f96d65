#!/usr/bin/env bash
# docs/on-disk-format.md against stores that topicfs makes: its dumps byte by byte, and a reader that was
# written from that page alone (read_store.py).
. "$(dirname "$0")/semantics.sh"

PAGE=$ROOT/docs/on-disk-format.md

read_store()
{
    python3 -B "$ROOT/tests/e2e/read_store.py" "$1"
}

# What the mount says of a topic's partition, as read_store() says it.
read_mount()
{
    awk -v p="$1" '{ print "t " p " " n + 0 " " $0; n += length($0) + 1 }' "$T/$1/0-"
}

# The store of the page: three messages in two sets, killed.
start_page_store()
{
    start_t || return
    calls <<'END'
fd = os.open("t/publish", os.O_WRONLY)
os.write(fd, b"a\nbb\n")
os.fsync(fd)
os.write(fd, b"ccc\n")
os.fsync(fd)
END
    daemon_kill
    detach
}

# Python with page(store): writes the store of the page, and returns the files with the positions that
# differ in every store.
page_calls()
{
    # shellcheck disable=SC2016 # Python has no variables of the shell
    PYTHONPATH=$ROOT/tests/e2e DIR=$DIR PAGE=$PAGE python3 -B -c '
from calls import *
import re
def page(store):
    files = {}
    text = content(os.environ["PAGE"]).decode()
    for kind, name, size, body in re.findall(r"^```(text|dump) (\S+) ?(\d*)\n(.*?)^```$", text, re.S | re.M):
        data, differ = bytearray(body.encode()), set()
        if kind == "dump":
            data = bytearray(int(size))
            for line in body.splitlines():
                at, mark, hex_ = re.match(r"([0-9a-f]{6})([ ~]) ((?:[0-9a-f]{2} ?)+)", line).groups()
                piece = bytes.fromhex(hex_)
                data[int(at, 16):int(at, 16) + len(piece)] = piece
                if mark == "~":
                    differ.update(range(int(at, 16), int(at, 16) + len(piece)))
        os.makedirs(os.path.dirname(os.path.join(store, name)), exist_ok=True)
        with open(os.path.join(store, name), "wb") as f:
            f.write(data)
        files[name] = differ
    with open(store + "/.journal.1", "wb") as f:
        f.write(content(store + "/.journal.0")[:4096])
    return files
exec(sys.stdin.read())'
}

case_the_dumps()
{
    start_page_store || return
    page_calls <<'END'
for name, differ in page(DIR + "/page").items():
    want, got = content(DIR + "/page/" + name), content(DIR + "/store/" + name)
    if differ:
        want, got = (bytes(0 if i in differ else b for i, b in enumerate(x)) for x in (want, got))
    for regex in (rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", rb"(?<=incarnation 0 )[0-9a-f]{16}"):
        want, got = re.sub(regex, b"ID", want), re.sub(regex, b"ID", got)
    check("%s: size" % name, len(got), len(want))
    check("%s: bytes that differ" % name, [i for i in range(min(len(got), len(want)))
                                           if got[i] != want[i]][:10], [])
END
    is "$(read_store page)" $'t 0 0 a\nt 0 2 bb\nt 0 5 ccc' "a reader reads the page's store"
    is "$(read_store store)" "$(read_store page)" "and the one topicfs made"
}

case_a_clean_stop()
{
    start_page_store || return
    daemon_start && daemon_stop || return
    page_calls <<'END'
import read_store
text = content(os.environ["PAGE"]).decode().split("## A clean stop")[1]
slot = bytes.fromhex("".join(re.findall(r"^0004[0-9a-f]{2}  ((?:[0-9a-f]{2} ?)+) ", text, re.M)))
idx = content(DIR + "/store/t/0/%020d.idx" % 0)
check("the slot at 1024", idx[1024:1044], slot)
check("no other", idx[512:532], bytes(20))
clean = content(DIR + "/store/.clean")
want = re.search(r"```\n(16 .*?\n)(crc32c [0-9a-f]{8}\n)```", text, re.S)
last = int.from_bytes(idx[24:32], "little") + int.from_bytes(idx[0x1028:0x102c], "little")
check(".clean", clean[:-16].decode(), re.sub(r" [0-9]+\n", " %d\n" % last, want.group(1)))
check("the page's crc", want.group(2), "crc32c %08x\n" % read_store.crc32c(want.group(1).encode()))
check("its crc", clean.splitlines()[-1].decode(), "crc32c %08x" % read_store.crc32c(clean[:-16]))
END
    is "$(read_store store)" $'t 0 0 a\nt 0 2 bb\nt 0 5 ccc' "a reader reads it"
}

# What is above the slot is lost, as after a power cut, or the last set is half there.
case_a_power_cut()
{
    start_page_store || return
    truncate -s 0 store/t/0/*.log
    truncate -s 4096 store/t/0/*.idx
    is "$(read_store store)" $'t 0 0 a\nt 0 2 bb\nt 0 5 ccc' "the journal has it"
    daemon_start || return
    is "$(cat "$T/0/0-")" $'a\nbb\nccc' "topicfs says the same"
    daemon_kill
    detach
    truncate -s 4112 store/t/0/*.idx
    dd if=/dev/zero of=store/.journal.0 bs=4096 seek=1 count=1 conv=notrunc status=none
    cp -r store copy
    truncate -s 1024 copy/t/0/*.idx
    dd if=/dev/zero bs=1 count=3072 status=none >>"$(echo copy/t/0/*.idx)"
    dd if="$(echo store/t/0/*.idx)" bs=4096 skip=1 status=none >>"$(echo copy/t/0/*.idx)"
    is "$(read_store copy)" "" "half a set is none, where no slot vouches for it"
}

# What the tool says to so many commands.
producer()
{
    "$TOPICFS_TOOLS/producer" "$1"
}

# The page's example, then a retry of all that is known.
case_producers()
{
    mkdir store page
    is "$(producer store <<'END'
id
send 4294967296 0 0 a b
later 1000
send 4294967296 0 2 c
END
)" $'4294967296\n0 0 new\n4 2 new' "a producer's two sets, in two segments"
    page_calls <<'END'
text = content(os.environ["PAGE"]).decode()
blocks = re.findall(r"^```bytes (\S+) (\d+)\n(.*?)^```$", text, re.S | re.M)
check("examples", len(blocks), 2)
for name, size, body in blocks:
    want = bytes.fromhex("".join(re.findall(r"^[0-9a-f]{6}  ((?:[0-9a-f]{2} ?)+) ", body, re.M)))
    check("%s: size" % name, len(want), int(size))
    check("%s: bytes" % name, content(DIR + "/store/" + name), want)
END
    is "$(python3 -B "$ROOT/tests/e2e/read_store.py" store producers)" \
        $'t 0 4294967296 0 0 2 0 0\nt 0 4294967296 0 2 1 4 2' "a reader knows both"
    is "$(read_store store)" $'t 0 0 a\nt 0 2 b\nt 0 4 c' "and the messages"
}

# Many sets of several producers, in epochs and segments; what the reader knows is what is found again.
case_what_is_known_of_producers()
{
    mkdir store
    for ((i = 0; i < 50; i++)); do
        echo "send $((7 + i % 3)) $((i / 30)) $((i % 30 / 3)) v$i"
        ((i % 7)) || echo "later 1000"
    done | producer store >sent
    is "$(grep -c new sent)" 50 "all are new"
    python3 -B "$ROOT/tests/e2e/read_store.py" store producers >known
    is "$(wc -l <known)" 15 "the last five of each, of its last epoch"
    is "$(awk '{ print "send", $3, $4, $5, "x" }' known | producer store)" \
        "$(awk '{ print $7, $8, "again" }' known)" "each sent again is found where the reader says"
}

case_a_larger_store()
{
    start_t "${SMALL[@]}" --partitions 2 || return
    publish_lines 1 130
    daemon_kill
    detach
    read_store store >got
    daemon_start || return
    is "$(cksum <got)" "$({ read_mount 0; read_mount 1; } | cksum)" "after a kill: all messages"
    is "$(wc -l <got)" 130 "all 130"
    publish t last
    daemon_stop
    read_store store >got
    daemon_start || return
    is "$(cksum <got)" "$({ read_mount 0; read_mount 1; } | cksum)" "after a clean stop: all messages"
    is "$(wc -l <got)" 131 "and the one more"
}

run_cases "$@"
