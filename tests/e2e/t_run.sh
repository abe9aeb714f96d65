#!/usr/bin/env bash
# scripts/run: a mount with one line, however often, and whatever was before.
. "$(dirname "$0")/lib.sh"

# A source tree in which everything is installed and made already.
source_tree()
{
    mkdir -p src/scripts src/build/bin && cp "$ROOT/scripts/run" src/scripts/ &&
        ln -s "$TOPICFS_BIN" src/build/bin/topicfs && echo all: >src/Makefile &&
        ln -s /bin/true src/scripts/install-deps && MNT=$DIR/src/mnt STORE=$DIR/src/data
}

# What it says is next, typed.
next_of()
{
    sed 's/.*next: //; s/ *(to stop.*//' <<<"$1" | bash
}

# run [DATA [MNT]]: what it says on both outputs, from another directory.
run()
{
    local said rc
    said=$(cd src && env -u MAKEFLAGS -u MAKELEVEL scripts/run "$@" 2>&1 {PAUSE}>&-)
    rc=$?
    echo "$said"
    return "$rc"
}

adopt()
{
    local pid
    read -r pid _ <"$STORE/.lock" && daemon_adopt "$pid"
}

case_a_mount_with_one_line()
{
    source_tree || return
    is "$(run)" "topicfs: $MNT is ready over $STORE; next: mkdir $MNT/t && echo hello >> $MNT/t/publish && \
sync $MNT/t/publish && cat $MNT/t/0/0-   (to stop: umount $MNT)" "it says what is next"
    adopt
    is "$(next_of "$(run)")" hello "again does no harm, and what it says works"
    daemon_kill
    like "$(run)" "detached it"$'\n'".*is ready" "after a kill"
    adopt
    is "$(cat "$MNT/t/0/0-")" hello "what was there is there"
    ok "as it says" umount "$MNT"
    like "$(run)" "^topicfs: .* is ready" "after umount"
    adopt
    is "$(cat "$MNT/t/0/0-")" hello "what was there is there still"
    daemon_stop
}

case_other_directories()
{
    source_tree || return
    MNT="$DIR/src/a b/m" STORE=$DIR/elsewhere
    mkdir "src/a b"
    like "$(run ../elsewhere "a b/m")" "$MNT is ready over $STORE;" "they are named"
    adopt
    is "$(next_of "$(run ../elsewhere "a b/m")")" hello "again, and what it says works"
    like "$(run data "a b/m"; echo "rc $?")" "run: $MNT is mounted already, not over $DIR/src/data: .*$STORE.*rc 1" \
        "not over another store"
    daemon_stop
    mount -t tmpfs none "$MNT"
    like "$(run data "a b/m"; echo "rc $?")" "run: $MNT is mounted already.*tmpfs.*rc 1" "nor over another mount"
    umount "$MNT"
    ok "no store was made" test ! -e src/data
    like "$(run --help; echo "rc $?")" "^usage: scripts/run.*rc 2" "usage"
}

run_cases "$@"
