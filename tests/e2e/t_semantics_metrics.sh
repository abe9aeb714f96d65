#!/usr/bin/env bash
# .metrics as Prometheus' own client library for Python reads it, and docs/metrics.md, the page about it.
. "$(dirname "$0")/semantics.sh"

# Python in the mount, with scrape(): {(name, labels): value} of all samples, {name: type} of all families.
# Debian's python3 has the library; another one that comes first in PATH may not.
client()
{
    export ROOT DIR PYTHONPATH=$ROOT/tests/e2e
    # shellcheck disable=SC2016 # Python has no variables of the shell
    (cd "$MNT" && exec /usr/bin/python3 -B -c '
from calls import *
from prometheus_client.parser import text_string_to_metric_families
def scrape(text=None):
    samples, types = {}, {}
    for family in text_string_to_metric_families((text or content(".metrics")).decode()):
        types[family.name] = family.type
        if not family.documentation:
            print("\x01not ok - %s has no help" % family.name)
        for s in family.samples:
            key = (s.name,) + tuple(sorted(s.labels.items()))
            if key in samples:
                print("\x01not ok - %s twice" % (key,))
            samples[key] = s.value
    return samples, types
exec(compile(sys.stdin.read(), "client", "exec"))') || fail "the client comes to its end"
}

case_numbers_are_what_was_done()
{
    start_t "${SMALL[@]}" --partitions 2 || return
    client <<'END'
before, types = scrape()
publish("t/0/publish", b"a\nbb\nccc\n")
publish("t/1/publish", b"dddd\n")
publish("t/publish", b"x" * 99 + b"\n")
errno_of("M1: a line that is too long", "EMSGSIZE", os.write, os.open("t/publish", os.O_WRONLY), b"y" * 1000 + b"\n")
check("the messages read", content("t/0/0-9"), b"a\nbb\nccc\n")
after, _ = scrape()
for name, labels, rise in (
        ("topicfs_sets_appended_total", (), 3),
        ("topicfs_messages_appended_total", (), 5),
        ("topicfs_appended_bytes_total", (), 114),
        ("topicfs_messages_visible_total", (), 5),
        ("topicfs_visible_bytes_total", (), 114),
        ("topicfs_topic_messages_appended_total", (("topic", "t"),), 5),
        ("topicfs_topic_appended_bytes_total", (("topic", "t"),), 114),
        ("topicfs_publish_written_bytes_total", (), 114),
        ("topicfs_publish_errors_total", (("errno", "EMSGSIZE"),), 1),
        ("topicfs_publish_errors_total", (("errno", "EIO"),), 0),
        ("topicfs_flush_duration_seconds_count", (("kind", "journal"),), 3),
        ("topicfs_undurable_bytes", (), 114),
        ("topicfs_partitions", (), 0)):
    key = (name,) + labels
    check("M1: %s rises by %d" % (name, rise), after[key] - before[key], rise)
for name, want in (("topicfs_topics", 1), ("topicfs_partitions", 2), ("topicfs_failed_partitions", 0),
                   ("topicfs_unflushed_bytes", 0), ("topicfs_journal_in_use", 1)):
    check("M1: " + name, after[(name,)], want)
check("M1: bytes were read", after[("topicfs_read_bytes_total",)] > before[("topicfs_read_bytes_total",)], True)
check("M1: a processor was used", after[("topicfs_process_cpu_seconds_total",)] > 0, True)
check("M1: it began not long ago", abs(time.time() - after[("topicfs_process_start_time_seconds",)]) < 3600, True)
check("M1: histograms are", types["topicfs_flush_duration_seconds"], "histogram")
counts = [v for k, v in sorted(after.items(), key=lambda x: float(dict(x[0][1:]).get("le", 0)))
          if k[0] == "topicfs_flush_duration_seconds_bucket" and ("kind", "journal") in k]
check("M1: buckets add up", (counts == sorted(counts), counts[-1]),
      (True, after[("topicfs_flush_duration_seconds_count", ("kind", "journal"))]))
END
}

case_the_page_names_them_all()
{
    start_t || return
    client <<'END'
import re
page = content(os.environ["ROOT"] + "/docs/metrics.md").decode()
_, types = scrape()
have = {name + ("_total" if kind == "counter" else "") for name, kind in types.items()}
said = {n.split("{")[0] for n in re.findall(r"`(topicfs_[a-z_]+(?:{[a-z]+})?)`", page)}
check("M1: docs/metrics.md names what .metrics has", sorted(said - have), [])
check("M1: and all of it", sorted(have - said), [])
check("M5: whose they are", [name for name in have if not name.startswith("topicfs_")], [])
END
}

case_counters_only_rise()
{
    start_t "${SMALL[@]}" --partitions 3 --flush-ms 1 || return
    client <<'END'
ended = []
def write(n):
    for _ in range(2000): # bounded: each is worth several segments
        if ended:
            break
        publish("t/%d/publish" % n, b"%0399d\n" % n * 7)
writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
for w in writers:
    w.start()
falls, last, types = [], {}, {}
for _ in range(100):
    now, types = scrape()
    rising = {k: v for k, v in now.items() if k[0].endswith(("_total", "_bucket", "_count", "_sum"))}
    falls += [(k, v, rising.get(k)) for k, v in last.items() if not rising.get(k, -1) >= v]
    last = rising
ended.append(True)
for w in writers:
    w.join()
check("M2: over 100 looks, none fell", falls, [])
check("M2: nor was one left out", len(last) > 60, True)
now, _ = scrape()
check("M2: what was appended is visible", now[("topicfs_messages_visible_total",)],
      now[("topicfs_messages_appended_total",)])
check("M1: as .offsets says", now[("topicfs_messages_appended_total",)],
      sum(int(line.split()[4]) for line in content("t/.offsets").splitlines()))
check("M1: segments were begun", now[("topicfs_segments_begun_total",)], len(os.listdir("t/sealed")))
END
}

case_the_file()
{
    start_t || return
    client <<'END'
check("M3: its size", os.stat(".metrics").st_size, 0)
fd = os.open(".metrics", os.O_RDONLY)
before = os.pread(fd, 1 << 20, 0)
publish("t/publish", b"a\n")
check("M4: as it was when it was opened", os.pread(fd, 1 << 20, 0), before)
check("M4: anew", content(".metrics") != before, True)
check("M4: in pieces", b"".join(os.pread(fd, 100, at) for at in range(0, len(before), 100)), before)
check("M4: to its end", os.pread(fd, 100, len(before)), b"")
check("M1: the last line is ended", before[-1:], b"\n")
END
    ok "M3: cp copies it whole" cp "$MNT/.metrics" copy
    ok "M3: all of it" grep -q '^topicfs_build_info{version="[0-9.]*"} 1$' copy
}

case_who_waits()
{
    start_t || return
    cat "$T/0/0+" >/dev/null &
    local cat=$!
    becomes "topicfs_readers_waiting 1" "M1: a reader waits" grep ^topicfs_readers_waiting "$MNT/.metrics"
    is "$(grep '^topicfs_waiters{kind="messages"}' "$MNT/.metrics")" \
        'topicfs_waiters{kind="messages"} 1' "M1: its partition is watched"
    kill "$cat"
    wait "$cat"
    becomes "topicfs_readers_waiting 0" "M1: no more" grep ^topicfs_readers_waiting "$MNT/.metrics"
}

run_cases "$@"
