"""Reads a store as docs/on-disk-format.md describes it, and knows nothing else about topicfs.

    python3 read_store.py STORE        a line per message: TOPIC PARTITION OFFSET VALUE
    python3 read_store.py STORE producers
                                       a line per set of a producer that is known:
                                       TOPIC PARTITION ID EPOCH SEQUENCE MESSAGES OFFSET NUMBER
"""
import os
import struct
import sys
import uuid

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def read(*path):
    try:
        with open(os.path.join(*path), "rb") as f:
            return bytearray(f.read())
    except FileNotFoundError:
        return bytearray()


def records(journal, store_id):
    """(sequence, from, parts) of the run of records in a journal file."""
    assert journal[:8] == b"TFSJNL\1\0" and journal[8:24] == store_id
    assert crc32c(journal[:24]) == struct.unpack_from("<I", journal, 24)[0]
    at, last = 4096, None
    while at + 40 <= len(journal):
        magic, length, salt, seq, frm, count, crc = struct.unpack_from("<4sIQQQII", journal, at)
        body = journal[at:at + length]
        if (magic != b"TFSR" or length < 40 or crc32c(body[:36] + bytes(4) + body[40:]) != crc or
                last not in (None, (salt, seq - 1))):
            return
        yield seq, frm, list(parts(body, count))
        last = (salt, seq)
        at += (length + 4095) // 4096 * 4096


def parts(body, count):
    at = 40
    for _ in range(count):
        head = struct.unpack_from("<IIQIIIIII", body, at)
        sizes = (head[4] * 16, head[6], head[8])
        at += 40
        yield head, body[at:at + sizes[0]], body[at + sizes[0]:at + sum(sizes[:2])], \
            body[at + sum(sizes[:2]):at + sum(sizes)]
        at = (at + sum(sizes) + 7) // 8 * 8


def put(file, at, data):
    if len(file) < at:
        file.extend(bytes(at - len(file)))
    file[at:at + len(data)] = data


def messages(idx, log, meta, base):
    """The whole messages of a segment; the end that must be reached."""
    assert idx[:8] == b"TFSIDX\1\0" and struct.unpack_from("<Q", idx, 8)[0] == base
    assert crc32c(idx[:36]) == struct.unpack_from("<I", idx, 36)[0]
    slots = [(struct.unpack_from("<QQI", idx, at), idx[at:at + 16]) for at in (512, 1024)]
    valid = [s for s, b in slots if crc32c(b + struct.pack("<Q", base)) == s[2]]
    durable = max(valid, key=lambda s: s[1])[0] if valid else base
    out, start, meta_start, whole = [], 0, 0, 0
    for at in range(4096, len(idx) - 15, 16):
        end, crc, _, meta_end = struct.unpack_from("<IIII", idx, at)
        value = log[start:end & 0x7fffffff]
        rest = struct.pack("<Q", base) + idx[at:at + 4] + idx[at + 8:at + 16]
        if value[-1:] != b"\n" or crc32c(meta[meta_start:meta_end] + value + rest) != crc:
            break
        out.append((base + start, bytes(value[:-1])))
        start, meta_start = end & 0x7fffffff, meta_end
        if not end >> 31:
            whole = len(out)
    assert base + start >= durable, "damaged"
    return out[:whole], durable


def read_store(store):
    lines = read(store, ".format").decode().splitlines()
    assert lines[0] == "topicfs 1"
    store_id = uuid.UUID(lines[1].split()[1]).bytes
    run = sorted(r for i in (0, 1) for r in records(read(store, ".journal.%d" % i), store_id))
    needed = max((r[1] for r in run), default=0)
    for topic in sorted(t for t in os.listdir(store) if t[0] != "." and t != "lost+found"):
        conf = dict(x.split("=") for x in read(store, topic, ".config").decode().splitlines())
        for p in range(int(conf["partitions"])):
            where = os.path.join(store, topic, str(p))
            bases = sorted(int(n[:20]) for n in os.listdir(where) if n.endswith(".idx"))
            for base in bases:
                idx, log, meta = (read(where, "%020d.%s" % (base, s)) for s in ("idx", "log", "meta"))
                for head, e, l, m in (x for seq, _, ps in run if seq >= needed for x in ps):
                    if head[:3] == (int(conf["number"]), p, base):
                        if base + head[5] + head[6] > messages(idx, log, meta, base)[1]:
                            put(idx, 4096 + head[3] * 16, e)
                            put(log, head[5], l)
                            put(meta, head[7], m)
                for offset, value in messages(idx, log, meta, base)[0]:
                    yield topic, p, offset, value


def read_prod(prod):
    """What a .prod knows: {id: (epoch, [(sequence, messages, offset, number)])}, in its order."""
    known = {}
    if prod:
        assert prod[:8] == b"TFSPRD\1\0"
        assert crc32c(prod[:-4]) == struct.unpack_from("<I", prod, len(prod) - 4)[0]
        at = 12
        for _ in range(struct.unpack_from("<I", prod, 8)[0]):
            ident, epoch, count, _ = struct.unpack_from("<qhHQ", prod, at)
            at += 20
            known[ident] = (epoch, [struct.unpack_from("<iIQQ", prod, at + 24 * i) for i in range(count)])
            at += 24 * count
        assert at == len(prod) - 4
    return known


def sets_of(idx, meta, base):
    """(id, epoch, (sequence, messages, offset, number)) of the sets of producers in a segment."""
    first = number = struct.unpack_from("<Q", idx, 16)[0]
    start, meta_start, producer, offset = 0, 0, None, base
    for at in range(4096, len(idx) - 15, 16):
        end, _, _, meta_end = struct.unpack_from("<IIII", idx, at)
        if number == first:
            offset = base + start
            record = meta[meta_start:meta_end]
            if record and record[0] & 16:
                producer = struct.unpack_from("<qhi", record, 9 if record[0] & 8 else 1)
        number += 1
        start, meta_start = end & 0x7fffffff, meta_end
        if not end >> 31:
            if producer:
                yield producer[0], producer[1], (producer[2], number - first, offset, first)
            first, producer = number, None


def read_producers(store):
    """Of a store that was stopped cleanly."""
    for topic in sorted(t for t in os.listdir(store) if t[0] != "." and t != "lost+found"):
        conf = dict(x.split("=") for x in read(store, topic, ".config").decode().splitlines())
        for p in range(int(conf["partitions"])):
            where = os.path.join(store, topic, str(p))
            base = max(int(n[:20]) for n in os.listdir(where) if n.endswith(".idx"))
            idx, meta, prod = (read(where, "%020d.%s" % (base, s)) for s in ("idx", "meta", "prod"))
            known = read_prod(prod)
            for ident, epoch, one in sets_of(idx, meta, base):
                before = known.pop(ident, (epoch, []))
                known[ident] = epoch, (before[1] if before[0] == epoch else [])[-4:] + [one]
            for ident, (epoch, sets) in known.items():
                for one in sets:
                    yield (topic, p, ident, epoch) + one


if __name__ == "__main__":
    if sys.argv[2:] == ["producers"]:
        for line in read_producers(sys.argv[1]):
            print(*line)
        sys.exit()
    for topic, p, offset, value in read_store(sys.argv[1]):
        sys.stdout.buffer.write(b"%s %d %d %s\n" % (topic.encode(), p, offset, value))
