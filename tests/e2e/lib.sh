# shellcheck shell=bash
# The harness of the end-to-end tests: a real daemon, a real mount, the tools people use.
#
# A test file is tests/e2e/t_NAME.sh:
#
#     . "$(dirname "$0")/lib.sh"
#
#     case_a_line_is_a_message()
#     {
#         daemon_start || return
#         mkdir "$MNT/t"
#         publish t a bb
#         is "$(cat "$MNT/t/0/2-5")" bb "the second line has offset 2"
#     }
#
#     run_cases "$@"
#
# Every function case_* is a case; arguments name those to run alone. A case runs in a subshell
# with a directory of its own: DIR, in it MNT (made), STORE (not made) and LOG, what its daemons
# said. A failing assertion does not end a case; `|| return` does. When a case ends, however it
# does, its daemons are killed and its mounts detached. What it prints is shown as a diagnosis.
#
# Nothing here waits for time to pass: wait_until and becomes look until a deadline.
#
# TOPICFS_BIN is the daemon, TOPICFS_TOOLS the directory of the helpers built from tests/tools/.

set -u
ulimit -c 0

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TOPICFS_BIN=${TOPICFS_BIN:-$ROOT/build/release/topicfs}
TOPICFS_TOOLS=${TOPICFS_TOOLS:-$ROOT/build/release/tools}
# All deadlines are meant for a machine that does nothing else, times this.
export PATIENCE=${TOPICFS_PATIENCE:-6}
[[ -n ${TOPICFS_SANITIZER:-} ]] && PATIENCE=$((PATIENCE * 3))
export LC_ALL=C
exec {PAUSE}<> <(:) # never readable: `read -t` on it passes a moment

TAP=$'\001' # marks an assertion's line among what a case prints
STARTED=()  # pids of this case's daemons
DAEMON_PID= # the one started last

# ---------------------------------------------------------------- assertions

pass()
{
    printf '%sok - %s\n' "$TAP" "$1"
}

# fail NAME [DIAGNOSIS...]: prints the diagnosis, returns 1.
fail()
{
    printf '%snot ok - %s\n' "$TAP" "$1"
    shift
    (($# == 0)) || printf '%s\n' "$@"
    return 1
}

# is ACTUAL EXPECTED NAME
is()
{
    if [[ $1 == "$2" ]]; then
        pass "$3"
    else
        fail "$3" "expected: ${2@Q}" "     got: ${1@Q}"
    fi
}

# isnt ACTUAL UNWANTED NAME
isnt()
{
    if [[ $1 != "$2" ]]; then
        pass "$3"
    else
        fail "$3" "unwanted: ${2@Q}"
    fi
}

# like ACTUAL REGEX NAME
like()
{
    if [[ $1 =~ $2 ]]; then
        pass "$3"
    else
        fail "$3" "expected to match: ${2@Q}" "              got: ${1@Q}"
    fi
}

# ok NAME COMMAND...: the command succeeds.
ok()
{
    local name=$1 output rc
    shift
    output=$("$@" 2>&1)
    rc=$?
    if ((rc == 0)); then
        pass "$name"
    else
        fail "$name" "${*@Q}: exit status $rc" "$output"
    fi
}

# fails NAME COMMAND...: the command fails, by itself and not by a signal.
fails()
{
    local name=$1 output rc
    shift
    output=$("$@" 2>&1)
    rc=$?
    if ((rc > 0 && rc < 124)); then
        pass "$name"
    else
        fail "$name" "${*@Q}: exit status $rc" "$output"
    fi
}

# fails_with MESSAGE COMMAND...: the command fails and says so, in these words among others.
fails_with()
{
    local message=$1 output rc name
    shift
    name="${*//"$DIR/"/}: $message"
    output=$("$@" 2>&1)
    rc=$?
    if ((rc > 0 && rc < 124)) && [[ $output == *"$message"* ]]; then
        pass "$name"
    else
        fail "$name" "exit status $rc, output:" "$output"
    fi
}

# skip NAME REASON: a failure in CI.
skip()
{
    printf '%sok - %s # SKIP %s\n' "$TAP" "$1" "$2"
}

# ---------------------------------------------------------------- waiting

# wait_until SECONDS COMMAND...: runs the command until it succeeds; fails when time is up.
wait_until()
{
    local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * PATIENCE * 1000000))
    shift
    until "$@"; do
        ((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
        read -rt 0.01 -u "$PAUSE"
    done
    return 0
}

# becomes EXPECTED NAME COMMAND...: the command's output is EXPECTED within 10 s.
becomes()
{
    local expected=$1 name=$2
    shift 2
    wait_until 10 output_is "$expected" "$@" || true
    is "$("$@" 2>&1)" "$expected" "$name"
}

output_is()
{
    [[ $("${@:2}" 2>&1) == "$1" ]]
}

# within SECONDS COMMAND...: a program (no function) that may take so long; then exit status 124.
within()
{
    timeout -k 5 $(($1 * PATIENCE)) "${@:2}"
}

# mounted DIR: a FUSE mount is, and it answers. (A dead mount is a mount point too, and its root's
# attributes may come from the kernel's cache; statfs always asks. A dead mount may be detached
# behind `mountpoint`: the type tells.)
mounted()
{
    mountpoint -q "$1" && [[ $(timeout 10 stat -f -c %t "$1" 2>/dev/null) == 65735546 ]]
}

not_mounted()
{
    ! grep -qF " $1 " /proc/self/mounts
}

alive()
{
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null && [[ ${stat##*) } != Z* ]]
}

ended()
{
    ! alive "$1"
}

# ---------------------------------------------------------------- the daemon

# daemon_start [ARGUMENT...]: starts topicfs on STORE and MNT; returns when the mount answers.
# Several at once: STORE=$DIR/b MNT=$DIR/mb daemon_start; b=$DAEMON_PID
daemon_start()
{
    daemon_begin "$@"
    if wait_until 20 mounted_or_ended && mounted "$MNT" && alive "$DAEMON_PID"; then
        return 0
    fi
    fail "topicfs${*:+ $*} starts" "$(<"$LOG")"
}

# As daemon_start, without waiting for anything.
daemon_begin()
{
    env --default-signal=INT,QUIT "$TOPICFS_BIN" --store "$STORE" "$@" "$MNT" \
        >>"$LOG" 2>&1 </dev/null {PAUSE}>&- &
    DAEMON_PID=$!
    STARTED+=("$DAEMON_PID")
}

mounted_or_ended()
{
    mounted "$MNT" || ended "$DAEMON_PID"
}

# daemon_adopt PID: one that this case's `topicfs --daemon` left in the background.
daemon_adopt()
{
    DAEMON_PID=$1
    STARTED+=("$1")
}

# daemon_stop [SIGNAL]: stops DAEMON_PID cleanly; its exit status, or 1 where it would not end.
daemon_stop()
{
    kill -s "${1:-TERM}" "$DAEMON_PID" || return
    daemon_wait
}

# Waits for the end of DAEMON_PID: its exit status (0 for an adopted one).
daemon_wait()
{
    wait_until 20 ended "$DAEMON_PID" || {
        fail "topicfs ends when told to" "$(<"$LOG")"
        return 1
    }
    forget_pid "$DAEMON_PID"
    wait "$DAEMON_PID" 2>/dev/null || { local rc=$?; ((rc == 127)) || return "$rc"; }
}

# Ends DAEMON_PID as a crash would; the dead mount stays.
daemon_kill()
{
    kill -KILL "$DAEMON_PID"
    wait "$DAEMON_PID" 2>/dev/null
    wait_until 20 ended "$DAEMON_PID" || return
    forget_pid "$DAEMON_PID"
}

forget_pid()
{
    local pid kept=()
    for pid in "${STARTED[@]}"; do
        [[ $pid == "$1" ]] || kept+=("$pid")
    done
    STARTED=("${kept[@]}")
}

# detach [DIR]: takes away a mount whose daemon has ended.
detach()
{
    umount -l "${1:-$MNT}"
}

# refused REGEX NAME COMMAND...: topicfs ends at once, with one line of its own that matches.
refused()
{
    local regex=$1 name=$2 output rc
    shift 2
    output=$(within 20 "$@" 2>&1 </dev/null)
    rc=$?
    if ((rc > 0 && rc < 124)) && [[ $output == "topicfs: "* && $output != *$'\n'* &&
        $output =~ $regex ]]; then
        pass "$name"
    else
        fail "$name" "expected one line 'topicfs: ...' matching ${regex@Q}" \
            "exit status $rc, output:" "$output"
    fi
}

# inject CALLS WHAT [STRACE ARGUMENT...]: strace lets system calls of the daemon fail or wait;
# uninject ends that.
inject()
{
    strace -f -qq -o "$DIR/strace" -e "trace=$1" -e "inject=$1:$2" "${@:3}" -p "$DAEMON_PID" \
        2>"$DIR/strace.err" &
    TRACER=$!
    wait_until 10 traced || { fail "strace attaches" "$(<"$DIR/strace.err")"; return 1; }
}

# All threads of the daemon are.
traced()
{
    ! grep -q '^TracerPid:[[:space:]]*0$' "/proc/$DAEMON_PID"/task/*/status
}

uninject()
{
    kill -INT "$TRACER"
    wait "$TRACER"
}

# "${OWN_MOUNTS[@]}" COMMAND...: in a mount namespace of its own, where a device may be hidden.
# (unshare's own way to make it private needs / to be a mount, which it is not in a chroot.)
# shellcheck disable=SC2016,SC2034 # expanded by the inner shell; the tests' own
OWN_MOUNTS=(unshare -m --propagation unchanged bash -c '
    while read -r _ _ _ _ at _; do mount --make-private "$at" 2>/dev/null; done </proc/self/mountinfo
    exec "$@"' bash)

# hold CALLS: strace keeps the daemon in these system calls until uninject, or for so long as no
# patience lasts.
hold()
{
    inject "$1" delay_enter=$((100 * PATIENCE))000000
}

# disk_dies DIR: the ext4 or xfs of DIR is shut down, as by a fatal error or a power cut. What is not on
# disk then never gets there.
disk_dies()
{
    python3 -c '
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))' "$1"
}

# publish TOPIC LINE...: publishes the lines, each as a set of its own (bash's printf writes line by
# line), and waits for the disk.
publish()
{
    local file=$MNT/$1/publish
    shift
    printf '%s\n' "$@" >>"$file" && sync "$file"
}

# ---------------------------------------------------------------- running

# The end of a case, in its subshell: nothing it started survives it.
end_case()
{
    local pid at _
    for pid in "${STARTED[@]}" $(jobs -p); do
        kill -KILL "$pid" 2>/dev/null || continue
        wait "$pid" 2>/dev/null
        wait_until 5 ended "$pid"
    done
    while read -r _ at _; do
        [[ $at == "$DIR"/* ]] && umount -l "$at"
    done < <(tac /proc/self/mounts)
    rm -rf --one-file-system "$DIR"
}

run_case()
(
    DIR=$FILE_DIR/$1 STORE=$FILE_DIR/$1/store MNT=$FILE_DIR/$1/mnt LOG=$FILE_DIR/$1/log
    mkdir -p "$MNT" && cd "$DIR" && : >"$LOG" || exit 1
    if [[ -n ${TOPICFS_SANITIZER:-} ]]; then
        # see report_to in tests/run.sh
        export ASAN_OPTIONS=${ASAN_OPTIONS:-}:log_path=$DIR/report
        export TSAN_OPTIONS=${TSAN_OPTIONS:-}:log_path=$DIR/report
    fi
    trap end_case EXIT
    trap 'exit 143' TERM INT HUP
    "$1" || true
    if cat "$DIR"/report.* 2>/dev/null || grep -E 'Sanitizer: |: runtime error: ' "$LOG"; then
        fail "the sanitizers have nothing to say about $1"
    fi
    # Said last so that the lines of an ended subshell are told from those of a finished one.
    printf '%send\n' "$TAP"
    cp "$LOG" "$FILE_DIR/log"
)

# Numbers the assertions of a case, counts them in FILE_DIR/count, adds what is missing.
report_case()
{
    awk -v name="$1" -v tap="$TAP" -v count="$FILE_DIR/count" -v log_file="$FILE_DIR/log" '
        function say(line) { n++; sub(/ok/, "ok " n, line); print line }
        BEGIN { getline n <count; close(count); first = n; name = substr(name, 6) }
        substr($0, 1, 1) != tap { print "# " $0; next }
        { $0 = substr($0, 2) }
        $0 == "end" { ended = 1; next }
        /^not/ { failed = 1 }
        { sub(/ - /, " - " name ": "); say($0) }
        END {
            if (!ended) { failed = 1; say("not ok - " name ": ended in the middle") }
            else if (n == first) { failed = 1; say("not ok - " name ": asserted nothing") }
            if (failed) while ((getline line <log_file) > 0) print "# log: " line
            print n >count
            exit failed
        }'
}

# run_cases [CASE...]
run_cases()
{
    local cases case failed=0
    [[ -x $TOPICFS_BIN ]] || { echo "Bail out! no daemon at $TOPICFS_BIN: make it first"; exit 1; }
    cases=("$@")
    if (($# == 0)); then
        # With extdebug, declare -F tells the line: cases run in the order of the file.
        mapfile -t cases < <(shopt -s extdebug; compgen -A function case_ | while read -r case; do
            declare -F "$case"
        done | sort -k2n | cut -d' ' -f1)
    fi
    FILE_DIR=$(mktemp -d "${TMPDIR:-/tmp}/topicfs-e2e.XXXXXX") || exit 1
    trap 'rm -rf --one-file-system "$FILE_DIR"' EXIT
    trap 'exit 143' TERM INT HUP
    echo 0 >"$FILE_DIR/count"
    for case in "${cases[@]}"; do
        rm -f "$FILE_DIR/log"
        run_case "$case" >"$FILE_DIR/said" 2>&1
        report_case "$case" <"$FILE_DIR/said" || failed=1
    done
    echo "1..$(<"$FILE_DIR/count")"
    exit "$failed"
}
