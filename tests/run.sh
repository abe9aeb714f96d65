#!/usr/bin/env bash
# Runs test programs and adds up what they say in TAP.
#
#   tests/run.sh [--limit SECONDS] [--jobs N] 'PROGRAM [ARGUMENT...]'...
#
# A limit holds for the programs named after it, times TOPICFS_SCALE; under a sanitizer, which makes
# everything slower, for four times as long. A program runs in a session and a TMPDIR of its own; what
# passes gets a line, what fails is shown in full. Besides a `not ok` these fail: a time limit reached,
# a bad exit status, no TAP line at all, fewer lines than planned, a process or a mount left behind, a
# sanitizer's report by whatever it ran, and, where CI is set, a skip.
# The last line is `N passed, N failed`.
set -u
shopt -s extglob

scale=${TOPICFS_SCALE:-1}
sanitizer=${TOPICFS_SANITIZER:-}
jobs=$(nproc)
limit=120
commands=()
limits=()

while (($# > 0)); do
    case $1 in
    --limit) limit=$2; shift 2 ;;
    --jobs) jobs=$2; shift 2 ;;
    *)
        commands+=("$1")
        limits+=("$((limit * scale * (${#sanitizer} > 0 ? 4 : 1)))")
        shift
        ;;
    esac
done

work=$(mktemp -d "${TMPDIR:-/tmp}/topicfs-test.XXXXXX") || exit 1
exec {pause}<> <(:) # never readable: `read -t` on it waits

# What a Check program needs to speak TAP, and room for sanitizers and long runs.
export CK_TAP_LOG_FILE_NAME=- CK_VERBOSITY=silent CK_DEFAULT_TIMEOUT=30
export CK_TIMEOUT_MULTIPLIER=$((scale * (${#sanitizer} > 0 ? 10 : 5)))
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-second_deadlock_stack=1}

# The sanitizers' shadow memory and an address space laid out at random may collide.
fixed_addresses=()
[[ -n $sanitizer ]] && fixed_addresses=(setarch "$(uname -m)" -R)

stop_all()
{
    local file workers
    mapfile -t workers < <(jobs -p)
    ((${#workers[@]} > 0)) && kill -KILL "${workers[@]}" 2>/dev/null
    for file in "$work"/*/session; do
        # Not its group: Check gives each test one of its own.
        [[ -e $file ]] && ps -o pid= -s "$(<"$file")" | xargs -r kill -KILL 2>/dev/null
    done
    clean_up
    exit 130
}

clean_up()
{
    unmount_below "$work" >/dev/null
    rm -rf --one-file-system "$work"
}

trap stop_all INT TERM HUP
trap clean_up EXIT

# Detaches what is mounted below a directory and prints it.
unmount_below()
{
    local _ at
    while read -r _ at _; do
        [[ $at == "$1"/* ]] && umount -l "$at" && echo "$at"
    done < <(tac /proc/self/mounts)
}

# Ends what still runs in a session after a moment to end by itself, and prints it.
end_session()
{
    local tries=0 left
    while left=$(ps -o pid=,stat=,args= -s "$1" | awk '$2 !~ /^Z/'); [[ -n $left ]]; do
        if ((++tries == 100)); then
            echo "$left"
            awk '{ print $1 }' <<<"$left" | xargs -r kill -KILL
            return
        fi
        read -rt 0.02 -u "$pause"
    done
}

# Judges one program's output: prints passed, failed and skipped, then why it failed if not by a
# line of its own.
judge()
{
    awk -v rc="$2" -v limit="$3" -v ci="${CI:-}" '
        /^(not )?ok([ \t]|$)/ {
            if (/^not/) failed++
            else if (toupper($0) ~ /# *SKIP/ && ci == "") skipped++
            else if (toupper($0) ~ /# *SKIP/) { failed++; why = why "skipped where nothing may be; " }
            else passed++
        }
        /^1\.\.[0-9]+$/ { plan = substr($0, 4) }
        /^Bail out!/ { why = why "gave up; " }
        END {
            seen = passed + failed + skipped
            if (rc == 124 || rc == 137) why = why "not done within " limit " s, or killed; "
            else if (rc != 0 && !failed) why = why "exit status " rc "; "
            if (seen == 0) why = why "no result; "
            else if (plan != "" && plan != seen) why = why seen " results of " plan " planned; "
            printf "%d %d %d %s\n", passed, failed, skipped, why
        }' "$1"
}

# Of a program that failed: what failed, with what is said before and behind it, before the whole
# output, so that a cut log still tells.
show_failure()
{
    awk '/^(not )?ok([ \t]|$)/ { on = /^not/; if (on) printf "%s", before; before = "" }
        on { print; next } { before = before $0 "\n" }' "$1"
    echo "--- the whole output"
    cat "$1"
}

# What the sanitizers have to say goes to FILE.PID: a program's output may be nobody's, or a test's.
# (gcc's UBSan beside ASan knows no log_path: that goes to stderr.)
report_to()
{
    export ASAN_OPTIONS=$ASAN_OPTIONS:log_path=$1
    export TSAN_OPTIONS=$TSAN_OPTIONS:log_path=$1
}

run_one()
{
    local dir=$work/$1 limit=$2 words pid rc passed failed skipped why left began took name note
    read -ra words <<<"$3"
    name=${words[0]#"$PWD"/}
    mkdir -p "$dir/tmp"
    [[ -n $sanitizer ]] && report_to "$dir/report"
    began=${EPOCHREALTIME/[.,]/}
    TMPDIR=$dir/tmp setsid env --default-signal=INT,QUIT \
        "${fixed_addresses[@]}" timeout -k 20 "$limit" "${words[@]}" >"$dir/log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$dir/session"
    wait "$pid"
    rc=$?
    read -r passed failed skipped why < <(judge "$dir/log" "$rc" "$limit")
    left=$(end_session "$pid")
    [[ -n $left ]] && why+="left running: $left; "
    rm -f "$dir/session"
    if cat "$dir"/report.* >>"$dir/log" 2>/dev/null || grep -q ': runtime error: ' "$dir/log"; then
        why+="a sanitizer's report; "
    fi
    left=$(unmount_below "$dir")
    [[ -n $left ]] && why+="left mounted: ${left//$'\n'/ }; "
    [[ -n $why && $failed == 0 ]] && failed=1
    echo "$passed $failed $skipped" >"$dir/result"
    printf -v took '%d.%d s' $(((${EPOCHREALTIME/[.,]/} - began) / 1000000)) \
        $((((${EPOCHREALTIME/[.,]/} - began) / 100000) % 10))
    # A program's own last word, `crash: N states, L lost`, is worth showing.
    note=$(tail -n 1 "$dir/log" | grep -E '^[a-z]+: [0-9]')
    ((skipped > 0)) && note+="($skipped skipped)"
    {
        flock 9
        if ((failed == 0)); then
            printf 'pass  %-40s %5d %10s%s\n' "$name" "$passed" "$took" "${note:+  $note}"
        else
            printf 'FAIL  %-40s %5d failed %10s  %s\n' "$name" "$failed" "$took" "${why%; }"
            show_failure "$dir/log" | sed 's/^/      | /'
        fi
    } 9>"$work/lock"
    rm -rf --one-file-system "$dir/tmp" "$dir/log" "$dir"/report.*
}

running=0
for i in "${!commands[@]}"; do
    ((running >= jobs)) && wait -n && ((running--))
    run_one "$i" "${limits[i]}" "${commands[i]}" &
    ((running++))
done
wait

passed=0 failed=0 skipped=0
for i in "${!commands[@]}"; do
    if read -r p f s 2>/dev/null <"$work/$i/result"; then
        ((passed += p, failed += f, skipped += s))
    else
        ((failed++))
    fi
done
((${#commands[@]} > 0)) || echo "nothing to run"
if ((skipped > 0)); then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
((failed == 0 && passed > 0))
