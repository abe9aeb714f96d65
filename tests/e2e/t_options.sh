#!/usr/bin/env bash
# The words behind `topicfs`: what they do to a real daemon, and that the manual tells them all.
. "$(dirname "$0")/lib.sh"

# Lines "--option default" of --help; "-" where there is none.
options_of_help()
{
    "$TOPICFS_BIN" --help | awk '
        $1 ~ /^--/ { initial = $NF ~ /^\[.*\]$/ ? substr($NF, 2, length($NF) - 2) : "-"
                     print $1, initial }'
}

case_the_manual_page_tells_every_option_and_default()
{
    local option initial page
    page=$(<"$ROOT/docs/topicfs.1")
    is "$(awk 'before == ".TP" && /^\.B[I]? (\"?)\\-\\-/ { n++ } { before = $0 } END { print n }' \
        <<<"$page")" "$(options_of_help | wc -l)" "as many in --help as in the page"
    while read -r option initial; do
        # The paragraph of the option, up to the next one.
        like "$(awk -v option="${option//-/\\\\-}" '
            /^\.TP/ { on = 0 }
            { line = $0 " "; sub(/^\.B[IR]? /, "", line) }
            index(line, option " ") == 1 { on = 1 }
            on' <<<"$page")" "$([[ $initial == - ]] && echo . || echo "$initial")" "$option $initial"
    done < <(options_of_help)
}

case_the_settings_page_tells_every_setting_and_default()
{
    local option initial
    while read -r option initial; do
        option=${option#--}
        [[ $initial == - || $option == log ]] ||
            like "$(<"$ROOT/docs/settings.md")" "\\| \`${option//-/.}\` \\| $initial \\|" "$option"
    done < <(options_of_help)
}

case_a_setting_holds_for_new_topics()
{
    printf '# for tests\npartitions=3\nflush.ms=70\n' >"$DIR/config"
    daemon_start --flush-ms 60 --config "$DIR/config" --root-mode 0750 || return
    mkdir "$MNT/t"
    is "$(grep -c . "$MNT/t/.offsets")" 3 "partitions from the file"
    like "$(<"$MNT/t/.config")" $'\nflush.ms=60\n' "the command line goes before the file"
    is "$(stat -c %a "$MNT")" 750 "root.mode"
    daemon_stop
    daemon_start --partitions 5 || return
    is "$(grep -c . "$MNT/t/.offsets")" 3 "topics that exist keep theirs"
}

case_a_wrong_word_ends_with_status_2()
{
    local words
    for words in --frobnicate "--flush-ms 7d" "-o ro" "--config $DIR/none"; do
        # shellcheck disable=SC2086 # several words
        "$TOPICFS_BIN" --store "$STORE" $words "$MNT" >"$LOG" 2>&1
        is $? 2 "$words"
    done
    is "$("$TOPICFS_BIN" --store "$STORE" --flush-ms 7d "$MNT" 2>&1)" \
        "topicfs: flush.ms=7d: not a number of milliseconds" "the sentence"
    ok "nothing was made" test ! -e "$STORE"
}

case_refuses_a_store_and_a_mount_point_in_one_another()
{
    mkdir -p "$DIR/a/b"
    refused "must not lie in one another" "the same" "$TOPICFS_BIN" --store "$DIR/a" "$DIR/a"
    refused "must not lie in one another" "mount point in the store" \
        "$TOPICFS_BIN" --store "$DIR/a" "$DIR/a/b"
    refused "must not lie in one another" "store in the mount point" \
        "$TOPICFS_BIN" --store "$DIR/a/b" "$DIR/a"
    is "$(ls -A "$DIR/a/b")" "" "nothing was made"
}

case_names_the_command_line_of_who_has_the_store()
{
    local long
    mkdir other
    STORE=store MNT=mnt daemon_start || return
    refused "locked by process $DAEMON_PID \\(.*topicfs --store store mnt\\)" "it does" \
        "$TOPICFS_BIN" --store store other
    daemon_stop
    printf -v long '%0600d' 0
    STORE=store MNT=mnt daemon_start --config "/dev/../dev/./${long//0//}null" || return
    refused "locked by process $DAEMON_PID \\(.*/\\.\\.\\.\\)" "as much as there is room for" \
        "$TOPICFS_BIN" --store store other
}

case_mounts_as_mount_calls_it()
{
    local pid options=rw,noatime,nodev,nosuid,noexec,sync,dirsync,nodiratime,nofail,x-a.b=c
    within 30 "$TOPICFS_BIN" "$STORE" "$MNT" -o "$options,partitions=2" >"$LOG" 2>&1 </dev/null
    is $? 0 "exit status"
    is "$(<"$LOG")" "" "it says nothing"
    ok "the mount answers at once" mounted "$MNT"
    read -r pid _ <"$STORE/.lock"
    daemon_adopt "$pid"
    like "$(grep -F " $MNT " /proc/self/mounts)" \
        "fuse.topicfs .*sync.*nosuid,nodev,noexec.*noatime" "type and options"
    mkdir "$MNT/t"
    is "$(grep -c . "$MNT/t/.offsets")" 2 "a setting"
    umount "$MNT"
    daemon_wait
    ok "umount is a clean stop" test -s "$STORE/.clean"
}

case_logs_to_a_file_that_may_be_rotated()
{
    local pid
    cd "$DIR" || return
    within 30 "$TOPICFS_BIN" --daemon --log own.log --store store mnt >"$LOG" 2>&1 </dev/null
    read -r pid _ <"$STORE/.lock"
    daemon_adopt "$pid"
    wait_until 10 grep -q ready own.log
    like "$(<own.log)" '^20[0-9-]*T[0-9:]*[+-][0-9]* topicfs: /.*/store on /.*/mnt ready$' "with the time, and whole paths"
    mkdir "$MNT/t"
    echo "frob=1" 2>/dev/null >"$MNT/t/.config"
    wait_until 10 grep -q frob own.log
    like "$(tail -n 1 own.log)" "topicfs: t/.config line 1: frob: no such setting" "a message"
    mv own.log old.log
    kill -HUP "$pid"
    ok "SIGHUP opens it anew" wait_until 10 test -e own.log
    daemon_stop
    like "$(<own.log)" "topicfs: /.*/store on /.*/mnt stopped$" "the last line"
    fails_with "$DIR/none/log: No such file or directory" \
        "$TOPICFS_BIN" --daemon --log none/log --store store mnt
}

case_tells_systemd()
{
    command -v python3 >/dev/null || { skip "systemd is told" "no python3"; return; }
    # Prints what comes, a datagram a line, until it is told that we stop.
    python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
open(sys.argv[1] + ".bound", "w")
while True:
    text = s.recv(100).decode()
    print(text, flush=True)
    if "STOPPING" in text:
        break' "$DIR/notify" >"$DIR/told" 2>&1 &
    local listener=$!
    wait_until 10 test -e "$DIR/notify.bound"
    NOTIFY_SOCKET=$DIR/notify daemon_start || return
    ok "READY=1" wait_until 10 grep -qx READY=1 "$DIR/told"
    daemon_stop
    wait "$listener"
    is "$(<"$DIR/told")" $'READY=1\nSTOPPING=1' "both, once"
}

case_raises_its_limit_of_open_files()
{
    (ulimit -Sn 256; daemon_start; echo "$DAEMON_PID" >"$DIR/pid")
    is "$(awk '/open files/ { print $4 == $5 }' "/proc/$(<"$DIR/pid")/limits")" 1 "to the hard limit"
    daemon_adopt "$(<"$DIR/pid")"
    daemon_stop
}

# A reader that never closes: the stop gives it a second; the second signal does not.
case_a_second_signal_hurries()
{
    daemon_start || return
    mkdir "$MNT/t" && publish t a
    exec {reader}<"$MNT/t/0/0-"
    kill -TERM "$DAEMON_PID"
    kill -TERM "$DAEMON_PID" 2>/dev/null
    daemon_wait
    is $? 0 "exit status"
    ok "a clean stop all the same" test -s "$STORE/.clean"
    exec {reader}<&-
}

run_cases "$@"
