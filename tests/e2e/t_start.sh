#!/usr/bin/env bash
# How the daemon starts, stops and is found dead; and what it says when it cannot start.
. "$(dirname "$0")/lib.sh"

case_says_in_one_line_that_it_is_ready()
{
    daemon_start || return
    becomes 1 "it says one line" grep -c "" "$LOG"
    like "$(<"$LOG")" "$MNT" "the line names the mount point"
    is "$(stat -c %s "$STORE/.format" 2>&1 | grep -c '^[1-9]')" 1 "the store was made"
}

case_sigterm_stops_it_cleanly()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a bb ccc
    daemon_stop TERM
    is $? 0 "exit status"
    ok "the mount is gone" not_mounted "$MNT"
    ok "nothing is left underneath" rmdir "$MNT"
    ok "the store says that it was stopped cleanly" test -s "$STORE/.clean"
}

case_sigint_stops_it_cleanly()
{
    daemon_start || return
    daemon_stop INT
    is $? 0 "exit status"
    ok "the mount is gone" not_mounted "$MNT"
    ok "the store says that it was stopped cleanly" test -s "$STORE/.clean"
}

case_stops_with_files_open()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a
    exec {reader}<"$MNT/t/0/0-"
    daemon_stop TERM
    is $? 0 "exit status"
    ok "the mount is gone" not_mounted "$MNT"
    exec {reader}<&-
}

case_keeps_messages_over_a_clean_stop()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a bb ccc
    daemon_stop
    daemon_start || return
    is "$(cat "$MNT/t/0/0-")" $'a\nbb\nccc' "the messages are there"
    publish t d
    is "$(cat "$MNT/t/0/9-")" d "the next one follows them"
}

case_publishes_what_has_no_newline_yet_when_stopped()
{
    daemon_start || return
    mkdir "$MNT/t"
    exec {writer}>>"$MNT/t/publish"
    printf 'whole\nhalf' >&"$writer"
    daemon_stop
    exec {writer}>&- 2>/dev/null
    daemon_start || return
    is "$(cat "$MNT/t/0/0-")" $'whole\nhalf' "both are messages"
}

case_keeps_messages_over_a_kill()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a bb ccc
    daemon_kill || return
    fails_with "Transport endpoint is not connected" cat "$MNT/t/0/0-"
    detach
    daemon_start || return
    is "$(cat "$MNT/t/0/0-")" $'a\nbb\nccc' "the messages are there"
    is "$(cut -d' ' -f2,4,5 "$MNT/t/.offsets")" "0 9 3" "and counted"
}

case_detaches_a_dead_mount_at_start()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a
    daemon_kill || return
    : >"$LOG"
    daemon_start || return
    like "$(<"$LOG")" "$MNT: .*Transport endpoint is not connected.*detached" "it says so"
    is "$(cat "$MNT/t/0/0-")" a "the messages are there"
    daemon_stop
    ok "no mount is left below the new one" not_mounted "$MNT"
}

case_daemon_option_returns_when_the_mount_is_ready()
{
    local pid
    within 30 "$TOPICFS_BIN" --daemon --store "$STORE" "$MNT" >"$LOG" 2>&1 </dev/null
    is $? 0 "exit status"
    ok "the mount answers at once" mounted "$MNT"
    ok "a topic can be made" mkdir "$MNT/t"
    read -r pid _ <"$STORE/.lock"
    is "$(readlink "/proc/$pid/exe")" "$(readlink -f "$TOPICFS_BIN")" ".lock names the daemon"
    daemon_adopt "$pid"
    daemon_stop
    ok "the mount is gone after SIGTERM" not_mounted "$MNT"
}

case_daemon_option_reports_a_failed_start()
{
    refused "$DIR/missing" "it fails in the foreground" \
        "$TOPICFS_BIN" --daemon --store "$STORE" "$DIR/missing"
}

case_refuses_a_store_in_use()
{
    daemon_start || return
    mkdir "$DIR/other"
    refused "$STORE: .*locked by process $DAEMON_PID" "it names the process" \
        "$TOPICFS_BIN" --store "$STORE" "$DIR/other"
    ok "the first one goes on" mkdir "$MNT/t"
}

case_refuses_what_is_not_a_store()
{
    mkdir "$STORE" && echo precious >"$STORE/thesis.txt"
    refused "$STORE: .*not a (topicfs )?store" "it says what is wrong" \
        "$TOPICFS_BIN" --store "$STORE" "$MNT"
    is "$(ls -A "$STORE")" thesis.txt "nothing was added to the directory"
    ok "nothing is mounted" not_mounted "$MNT"
}

case_refuses_a_newer_store()
{
    daemon_start || return
    daemon_stop
    sed -i '1s/.*/topicfs 2/' "$STORE/.format"
    local before
    before=$(cd "$STORE" && find . -type f ! -name .lock -exec cksum {} + | sort)
    refused "$STORE: .*(topicfs 2|version 2)" "it names the version" \
        "$TOPICFS_BIN" --store "$STORE" "$MNT"
    is "$(cd "$STORE" && find . -type f ! -name .lock -exec cksum {} + | sort)" "$before" \
        "nothing in the store was touched"
}

case_refuses_a_missing_mount_point()
{
    refused "$DIR/missing: .*No such file" "it names the directory" \
        "$TOPICFS_BIN" --store "$STORE" "$DIR/missing"
}

case_refuses_a_mount_point_that_is_a_file()
{
    : >"$DIR/file"
    refused "$DIR/file: .*[Nn]ot a directory" "it names the file" \
        "$TOPICFS_BIN" --store "$STORE" "$DIR/file"
}

case_refuses_a_mount_point_in_use()
{
    daemon_start || return
    refused "$MNT: .*(in use|busy|already)" "it names the mount point" \
        "$TOPICFS_BIN" --store "$DIR/other" "$MNT"
    ok "the first one goes on" mkdir "$MNT/t"
}

# A mount namespace whose /dev has no fuse in it; it vanishes with the command.
case_explains_a_missing_dev_fuse()
{
    # shellcheck disable=SC2016 # expanded by the inner shell
    refused "/dev/fuse" "it names the device" "${OWN_MOUNTS[@]}" sh -c '
        mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 &&
        exec "$@"' sh "$TOPICFS_BIN" --store "$STORE" "$MNT"
}

case_refuses_a_read_only_disk()
{
    mkdir "$DIR/disk" && mount -t tmpfs -o size=32m none "$DIR/disk" || return
    STORE=$DIR/disk/store
    daemon_start || return
    daemon_stop
    mount -o remount,ro "$DIR/disk" || return
    refused "$STORE: .*Read-only file system" "it says why" \
        "$TOPICFS_BIN" --store "$STORE" "$MNT"
}

case_explains_a_full_disk()
{
    mkdir "$DIR/disk" && mount -t tmpfs -o size=1m none "$DIR/disk" || return
    STORE=$DIR/disk/store
    dd if=/dev/zero of="$DIR/disk/fill" bs=4096 2>/dev/null
    refused "$STORE: .*No space left on device" "it says why" \
        "$TOPICFS_BIN" --store "$STORE" "$MNT"
}

case_starts_again_on_a_disk_that_became_full()
{
    mkdir "$DIR/disk" && mount -t tmpfs -o size=64m none "$DIR/disk" || return
    STORE=$DIR/disk/store
    daemon_start || return
    mkdir "$MNT/t" && publish t a bb
    daemon_kill || return
    detach
    dd if=/dev/zero of="$DIR/disk/fill" bs=4096 2>/dev/null
    daemon_start || return
    is "$(cat "$MNT/t/0/0-")" $'a\nbb' "the messages are there"
    rm "$DIR/disk/fill"
    ok "with room again it takes messages" publish t ccc
    is "$(cat "$MNT/t/0/0-")" $'a\nbb\nccc' "and shows them"
}

# A limit of the size of files (ulimit -f): an error for who publishes, and not the daemon's death by SIGXFSZ.
case_a_limit_of_the_size_of_files()
{
    (ulimit -f 1024; refused "\.reserve: File too large" "too small to start" \
        "$TOPICFS_BIN" --store "$STORE" "$MNT")
    (ulimit -f 16384; daemon_start; echo "$DAEMON_PID" >"$DIR/pid")
    daemon_adopt "$(<"$DIR/pid")"
    mkdir "$MNT/t" "$MNT/other" && publish t a || return
    fails_with "File too large" dd if=<(yes "$(printf %0100000d 0)" | head -n 200) of="$MNT/t/publish" bs=1M
    ok "others go on" publish other b
    daemon_stop
    is $? 0 "exit status"
    daemon_start || return
    ok "without the limit it goes on" publish t c
    is "$(head -n 1 "$MNT/t/0/0-"; tail -n 1 "$MNT/t/0/0-")" $'a\nc' "nothing is lost"
    is "$(cut -c1-2 "$MNT/t/0/0-" | sort -u | tr '\n' ' ')" "00 a c " "and nothing torn"
    is "$(awk 'length > 1 && length != 100000' "$MNT/t/0/0-")" "" "every message is whole"
}

begun_or_gone()
{
    grep -q ready "$1" || ! kill -0 "$DAEMON_PID" 2>/dev/null
}

# A limit of memory (ulimit -v): how little is enough depends on the machine, so it is tried.
# With a sanitizer none is.
case_little_memory_is_enough_or_said()
{
    local kib said
    [[ -z ${TOPICFS_SANITIZER:-} ]] || return 0
    for kib in 60000 90000 110000 120000 140000 160000 200000 1000000; do
        said=$DIR/said.$kib
        : >"$said"
        (ulimit -v "$kib"; exec "$TOPICFS_BIN" --store "$STORE" "$MNT") >"$said" 2>&1 &
        daemon_adopt $!
        wait_until 20 begun_or_gone "$said" || fail "$kib KiB: it starts or ends"
        kill "$DAEMON_PID" 2>/dev/null
        wait "$DAEMON_PID"
        is $? "$(grep -c 'no thread can take requests\|no threads\|no memory' "$said")" \
            "$kib KiB: the exit status says what the log says" || cat "$said"
    done
}

case_refuses_a_command_line_it_does_not_understand()
{
    refused "frobnicate" "an unknown option" \
        "$TOPICFS_BIN" --frobnicate --store "$STORE" "$MNT"
    refused "." "no mount point" "$TOPICFS_BIN" --store "$STORE"
    refused "." "no store" "$TOPICFS_BIN" "$MNT"
    ok "nothing was made" test ! -e "$STORE"
}

case_tells_its_usage_and_version()
{
    like "$("$TOPICFS_BIN" --help)" "--store" "--help"
    like "$("$TOPICFS_BIN" --version)" "^topicfs [0-9]" "--version"
}

run_cases "$@"
