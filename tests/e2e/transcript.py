#!/usr/bin/env python3
"""Runs the console blocks of a document and compares what they print with what it says.

    transcript.py FILE DIRECTORY [BLOCK NAME]

A block is fenced by ```console. Its shells live in DIRECTORY until its end and read the lines that
begin with `$ `, or, of two shells, with `A$ ` and `B$ `; what comes below is what is printed then, of
two shells with `A: ` or `B: ` in front. A command waits for the end of those above it and must have
printed all that is written there, no more; but one that follows a file (tail -f, or of a name that
ends in +) goes on. BLOCK counts from 1; without it all blocks run,
one behind the other, in the same directory. Times and UUIDs count as equal, and DIRECTORY is called /src/topicfs. After a kill the next command
waits for the end of the daemon that data/.lock names, as who types it does.
Prints TAP lines for lib.sh.
"""
import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading

# What differs each time, on both sides.
MASKS = ((r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"), (r"\b1[0-9]{9}(\.[0-9]+)?\b", "TIME"),
         (r"\b[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}\b", "DATE"))
END = "--end of the command--"
PATIENCE = 10 * int(os.environ.get("PATIENCE", "6"))


def masked(text):
    for regex, name in MASKS:
        text = re.sub(regex, name, text)
    return text


def end_of_daemon(directory):
    """A function that waits until the daemon that runs now has ended."""
    try:
        with open(directory + "/data/.lock") as f:
            process = os.pidfd_open(int(f.read().split()[0]))
    except OSError:
        return lambda: None

    def wait():
        select.select([process], [], [], PATIENCE)
        os.close(process)
    return wait


class Mismatch(Exception):
    pass


class Shell:
    def __init__(self, directory):
        self.process = subprocess.Popen(["bash"], cwd=directory, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True, start_new_session=True)
        self.directory = os.path.realpath(directory)
        self.lines = queue.Queue()
        self.busy = self.follows = False
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            line = re.sub(r"^bash: line [0-9]+: ", "bash: ", line.rstrip("\n"))
            self.lines.put(line.replace(self.directory, "/src/topicfs"))

    def next(self, wanted):
        try:
            return self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            raise Mismatch("nothing came, wanted: " + wanted) from None

    def finish(self):
        if self.busy:
            got = self.next(END)
            if got != END:
                raise Mismatch("not in the document: " + got)
            self.busy = False

    def check(self):
        if not self.busy or not self.follows:
            self.finish()
        elif not self.lines.empty():
            raise Mismatch("not in the document: " + self.lines.get())

    def run(self, command):
        self.follows = bool(re.search(r"\btail\b.* -[fF]\b|\+$", command))
        self.process.stdin.write(command + "\necho '%s'\n" % END)
        self.process.stdin.flush()
        self.busy = True

    def expect(self, text):
        got = self.next(text)
        if masked(got) != masked(text):
            raise Mismatch("wanted: %s\n   got: %s" % (text, got))

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def blocks(path):
    with open(path) as f:
        text = f.read()
    return [b.splitlines() for b in re.findall(r"^```console\n(.*?)^```$", text, re.S | re.M)]


def run(block, directory):
    """What is wrong, or ""."""
    shells = {}
    last = ""
    try:
        for line in block:
            m = re.match(r"([AB]?)\$ (.*)", line)
            name, command = (m.group(1), m.group(2)) if m else ("", None)
            if command is not None:
                for shell in shells.values():
                    shell.check()
                last = line
                if name not in shells:
                    shells[name] = Shell(directory)
                killed = end_of_daemon(directory) if command.startswith("kill ") else None
                shells[name].run(command)
                if killed:
                    shells[name].finish()
                    killed()
                continue
            m = re.match(r"([AB]): ?(.*)", line) if "" not in shells else None
            name, text = m.groups() if m else ("", line)
            shells[name].expect(text)
        for shell in shells.values():
            shell.check()
    except Mismatch as e:
        return "at %s\n%s" % (last, e)
    finally:
        for shell in shells.values():
            shell.end()
    return ""


def main():
    path, directory = sys.argv[1:3]
    all_blocks = blocks(path)
    only = int(sys.argv[3]) if len(sys.argv) > 3 else None
    for i, block in enumerate(all_blocks, 1):
        if only in (None, i):
            wrong = run(block, directory)
            name = sys.argv[4] if only else "block %d: %s" % (i, block[0])
            print("\x01%sok - %s%s" % ("not " if wrong else "", name, "\n" + wrong if wrong else ""),
                  flush=True)
            if wrong and only is None:
                break
    if not all_blocks:
        print("\x01not ok - no block in " + path)


main()
