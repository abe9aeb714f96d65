"""System calls of a test, and TAP lines about what they gave: see semantics.sh."""

import ctypes
import errno
import fcntl
import mmap
import os
import select
import signal
import stat
import struct
import subprocess
import sys
import threading
import time

DIR = os.environ.get("DIR", ".")
SEGMENT = "0" * 20 + ".log"


def check(name, got, want):
    """One assertion, in the form that lib.sh collects."""
    if got == want:
        print("\x01ok - %s" % name)
    else:
        print("\x01not ok - %s\nexpected: %r\n     got: %r" % (name, want, got))
    sys.stdout.flush()


def errno_of(name, want, call, *args):
    """The call fails with the errno of that name; "" where it is to succeed."""
    try:
        call(*args)
        got = ""
    except OSError as e:
        got = errno.errorcode[e.errno]
    check(name, got, want)


def opened(path, flags):
    """Opens and closes."""
    os.close(os.open(path, flags))


def content(path):
    with open(path, "rb") as f:
        return f.read()


def put(path, data):
    """One write(2)."""
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def publish(path, data):
    """One write(2), acknowledged by fsync(2)."""
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)


def until(condition, seconds=60):
    """Waits for a condition; whether it came."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        select.select([], [], [], 0.005)
    return True


def entries(fd, size):
    """One getdents64(2) with a buffer of that size: (name, position behind it)."""
    buf = ctypes.create_string_buffer(size)
    n = ctypes.CDLL(None).syscall(217, fd, buf, size)
    out, at = [], 0
    while at < n:
        _, position, length = struct.unpack_from("<QqH", buf.raw, at)
        out.append((buf.raw[at + 19:at + length].split(b"\0")[0].decode(), position))
        at += length
    return out


def in_read(tid):
    """That thread is in read(2) or pread64(2)."""
    try:
        with open("/proc/%d/syscall" % tid) as f:
            return f.read().split()[0] in ("0", "17")
    except OSError:
        return False


def mapping(fd, length, flags):
    """What mmap(2) fails with; Python's own refuses lengths above the size by itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    at = libc.mmap(None, length, mmap.PROT_READ, flags, fd, 0)
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
