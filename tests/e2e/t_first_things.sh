#!/usr/bin/env bash
# What somebody who does not believe it tries first, typed as they would type it.
. "$(dirname "$0")/lib.sh"

# As the table of first things has it: a topic t with one partition, empty.
start_with_t()
{
    daemon_start "$@" && mkdir "$MNT/t"
}

# typed 'COMMAND': what a shell in the mount prints for it, errors without the shell's own prefix;
# then its exit status if it is not 0.
typed()
{
    local output rc
    output=$(cd "$MNT" && bash -c "$1" 2>&1)
    rc=$?
    printf '%s' "${output#bash: line 1: }"
    ((rc == 0)) || printf ' (%d)' "$rc"
}

# Several segments: 20 lines of 400 bytes each. All in one write: alone, the last would be refused.
small_segments()
{
    cat >"$MNT/t/.config" <<'END'
message.max.bytes=1000
set.max.bytes=4000
segment.bytes=8192
END
}

# lines FROM TO: 400 bytes each.
lines()
{
    seq "$1" "$2" | awk '{ printf "%0399d\n", $1 }'
}

publish_lines()
{
    lines "$1" "$2" | cat >>"$MNT/t/publish" && sync "$MNT/t/publish"
}

case_the_table()
{
    start_with_t || return
    # shellcheck disable=SC2016 # it is the typed shell's to expand
    {
        is "$(typed "printf 'a\nbb\nccc\n' >> t/publish && sync t/publish && cat t/0/2-5")" bb \
            "publish three, read the second by its offsets"
        is "$(typed 'cat t/0/3-')" "cat: t/0/3-: Invalid argument (1)" "no message begins there"
        is "$(typed '{ printf x | tr -d y; echo z; } >> t/publish')" "" "two writers, one handle"
        is "$(typed 'sync t/publish; cat t/0/9-')" xz "one message"
        is "$(typed 'head -n 1 t/0/0+; head -n 1 t/0/0+')" $'a\na' "reading takes nothing away"
        is "$(typed 'readlink t/0/latest-')" 12- "where the end is"
        is "$(typed 'cat "t/0/@$(date -d "1 hour" +%s)-"' | sed 's/@[0-9]*/@T/')" \
            "cat: t/0/@T-: Numerical result out of range (1)" "a time that has not come"
        is "$(typed 'echo retention.ms=x > t/.config')" "echo: write error: Invalid argument (1)" \
            "a setting that is none"
        like "$(typed 'rmdir t')" "Directory not empty \(1\)$" "rmdir"
        like "$(typed 'rm -rf t')" "Operation not permitted.*\(1\)$" "rm -rf"
    }
    is "$(cat "$MNT/t/0/0-")" $'a\nbb\nccc\nxz' "nothing was lost by any of it"
}

case_a_setting_that_is_none_changes_nothing()
{
    local before
    start_with_t || return
    before=$(<"$MNT/t/.config")
    fails_with "Invalid argument" tee "$MNT/t/.config" < <(printf 'flush.ms=7\nretention.ms=x\n' | cat)
    is "$(<"$MNT/t/.config")" "$before" "with all that was written with it"
}

case_the_disk_dies()
{
    truncate -s 64M img && mkfs.ext4 -q -F img && mkdir disk && mount -o loop img disk || return
    STORE=$DIR/disk/store
    start_with_t || return
    publish t good
    ok "the disk is shut down" disk_dies "$DIR/disk"
    like "$(typed 'echo x >> t/publish && sync t/publish')" \
        "(Input/output error|Read-only file system) \(1\)$" "an error, exit 1"
    like "$(typed 'echo x >> t/publish && sync t/publish')" \
        "(Input/output error|Read-only file system) \(1\)$" "an error as often as it is tried"
    fails "a copy is told, too" cp "$ROOT/LICENSE" "$MNT/t/publish"
    daemon_kill
    detach
    umount disk && mount -o loop img disk || return
    daemon_start || return
    is "$(cat "$MNT/t/0/0-")" good "what was acknowledged is there, what was refused is not"
}

case_two_readers_one_killed()
{
    local a b
    start_with_t || return
    publish t one
    cat "$MNT/t/0/0+" >a &
    a=$!
    cat "$MNT/t/0/0+" >b &
    b=$!
    becomes one "the first reads" cat a
    becomes one "so does the other" cat b
    becomes "waiting readers: 2" "both wait" grep "^waiting readers" "$MNT/.status"
    kill -KILL "$a"
    ok "the killed one is gone" wait_until 10 ended "$a"
    becomes "waiting readers: 1" "nobody waits in its place" grep "^waiting readers" "$MNT/.status"
    publish t two
    becomes $'one\ntwo' "the other goes on" cat b
    is "$(cat a)" one "the killed one got nothing more"
    kill "$b"
    ok "a plain kill ends a waiting reader too" wait_until 10 ended "$b"
}

# -- tail

case_tail_f_from_the_end()
{
    start_with_t || return
    publish t before
    (cd "$MNT" && exec tail -f t/0/latest- >"$DIR/out" 2>"$DIR/err") &
    ok "it follows" wait_until 10 tails "$MNT/t/0"
    publish t one
    publish t two three
    becomes $'one\ntwo\nthree' "every line once, none from before" cat out
    is "$(cat err)" "" "tail has nothing to say"
}

# A tail has a file of the directory open.
tails()
{
    find /proc/[0-9]*/fd -lname "$1/*-" 2>/dev/null | grep -q .
}

case_tail_f_over_a_roll()
{
    start_with_t || return
    small_segments
    publish_lines 1 3
    tail -n +1 -f "$MNT/t/0/0-" >out 2>err &
    becomes "$(lines 1 3)" "the beginning" cat out
    publish_lines 4 90
    ok "it has rolled" test "$(find "$MNT/t/0" -name '*.log' | wc -l)" -ge 4
    becomes "$(lines 1 90)" "every line once" cat out
    is "$(cat err)" "" "tail has nothing to say"
}

case_tail_F_over_a_roll()
{
    start_with_t || return
    small_segments
    publish_lines 1 3
    tail -n +1 -F "$MNT/t/0/0-" >out 2>err &
    becomes "$(lines 1 3)" "the beginning" cat out
    publish_lines 4 90
    becomes "$(lines 1 90)" "every line once" cat out
    is "$(cat err)" "" "tail has nothing to say"
}

# tail's own file is dead after a restart, so it opens the name again and, as with any file that was
# away, begins at its beginning: which is START.
case_tail_F_over_a_restart()
{
    start_with_t || return
    publish t a b
    tail -n +1 -F "$MNT/t/0/2-" >out 2>err &
    becomes b "the beginning" cat out
    daemon_stop || return
    ok "tail notices" wait_until 10 grep -q 'become inaccessible' err
    daemon_start || return
    becomes $'b\nb' "it follows the name again, from START" cat out
    publish t c
    becomes $'b\nb\nc' "and goes on" cat out
}

# -- other tools, as on any file

case_less_follows()
{
    start_with_t || return
    publish t one
    TERM=dumb script -qfc "less +F '$MNT/t/0/0-'" out </dev/null >/dev/null 2>&1 &
    ok "less shows what is there" wait_until 10 grep -q one out
    publish t two
    ok "and what comes" wait_until 10 grep -q two out
}

# The tools that read must say the same of the mount as of a copy.
case_text_tools()
{
    local tool
    start_with_t || return
    small_segments
    publish_lines 1 50
    printf '{"n":3}\n' >>"$MNT/t/publish"
    sync "$MNT/t/publish"
    cat "$MNT"/t/0/*.log >copy
    is "$(wc -l <copy)" 51 "the segments are all of it"
    while read -r tool; do
        is "$(f=$MNT/t/0/0- bash -c "$tool" 2>&1)" "$(f=$DIR/copy bash -c "$tool" 2>&1)" "$tool"
    done <<'END'
wc <$f
wc -c <$f
grep -b 17 $f | sed 's,^.*/,,'
grep -c . $f
sort -r $f | cksum
tail -n 3 $f
tail -c 50 $f
tail -c +401 $f | cksum
head -c 50 $f
dd if=$f bs=1 skip=400 count=399 status=none
dd if=$f bs=7 status=none | cksum
tac $f | cksum
sed -n '3p;$p' $f
awk 'END { print NR }' $f
tail -n 1 $f | jq .n
cksum <$f
od -A d -c $f | tail -n 3
split -l 10 --filter=cksum $f
cmp $f $f
diff $f $f
perl -ne 'print tell(), "\n" if /17/' $f
python3 -c 'import os, sys; print(sum(1 for _ in open(os.environ["f"])))'
END
    is "$(stat -c %s "$MNT/t/0/0-")" "$(stat -c %s copy)" "stat tells its length"
    is "$(grep -b 17 "$MNT/t/0/0-" | cut -d: -f1)" 6400 "grep -b tells an offset"
    is "$(head -n 1 "$MNT/t/0/6400-")" "$(lines 17 17)" "by which it is read"
}

case_jq_reads_messages()
{
    start_with_t || return
    publish t '{"user":"ann","ms":12}' '{"user":"bob","ms":7}'
    is "$(jq -r 'select(.ms < 10).user' "$MNT/t/0/0-")" bob "jq"
    is "$(head -n 1 "$MNT/t/0/0+" | jq .ms)" 12 "jq behind a stream"
}

case_copies()
{
    start_with_t || return
    small_segments
    publish_lines 1 50
    cat "$MNT"/t/0/*.log >want
    ok "rsync -a" rsync -a "$MNT/t" rsynced/
    is "$(cat rsynced/t/0/*.log | cksum)" "$(cksum <want)" "rsync has copied every message once"
    is "$(rsync -ani "$MNT/t" rsynced/ | grep -c '\.log')" 0 "a second rsync finds nothing to do"
    publish_lines 51 51
    is "$(rsync -ani "$MNT/t" rsynced/ | grep -c '\.log')" 1 "after a message one file"
    lines 51 51 >>want
    ok "tar" tar -C "$MNT" -cf tarred.tar t
    mkdir untarred && tar -C untarred -xf tarred.tar
    is "$(cat untarred/t/0/*.log | cksum)" "$(cksum <want)" "tar has packed every message once"
    ok "tar finds no difference" tar -C "$MNT" -df tarred.tar
    ok "cp -r" cp -r "$MNT/t" copied
    is "$(cat copied/0/*.log | cksum)" "$(cksum <want)" "cp -r has copied every message once"
    is "$(grep -rch . "$MNT/t/0" | awk '{ n += $1 } END { print n }')" 51 "grep -r sees each once"
    is "$(find "$MNT" -type f -name '*.log' -size +0 | wc -l)" "$(find rsynced -name '*.log' | wc -l)" \
        "find shows what is there"
    is "$(du -sb "$MNT/t/0" | cut -f1)" "$(wc -c <want)" "du -b adds up to it"
}

run_cases "$@"
