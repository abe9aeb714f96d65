#!/usr/bin/env bash
# scripts/topicfs@.service: what it takes from the daemon the daemon does not need.
. "$(dirname "$0")/lib.sh"

UNIT=$ROOT/scripts/topicfs@.service

case_its_capabilities_are_enough()
{
    local caps
    caps=$(sed -n 's/^CapabilityBoundingSet=//p' "$UNIT" | sed 's/CAP_\([A-Z_]*\) */,+\L\1/g')
    printf '#!/bin/sh\nexec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all%s %q "$@"\n' \
        "$caps" "$TOPICFS_BIN" >daemon && chmod +x daemon || return
    mkdir "$STORE" && chown 65534:65534 "$STORE" "$MNT" && chmod 700 "$STORE" "$MNT" || return
    TOPICFS_BIN=$DIR/daemon daemon_start || return
    isnt "$(grep CapBnd "/proc/$DAEMON_PID/status")" "$(grep CapBnd /proc/self/status)" "it has no others"
    mkdir "$MNT/t"
    publish t a bb
    is "$(cat "$MNT/t/0/0-")" $'a\nbb' "it serves another user's store on another user's directory"
    daemon_stop
    is "$?" 0 "it stops cleanly"
    fails "and unmounts" mounted "$MNT"
}

# In one nobody but the daemon would see the mount.
case_it_has_no_mount_namespace()
{
    is "$(grep -E '^(Private|Protect|ProcSubset|Read(Only|Write)Paths|(Inaccessible|Exec|NoExec)Paths|Root|Bind|TemporaryFileSystem|MountFlags|MountAPIVFS|DynamicUser)' \
        "$UNIT")" "" "nothing that makes one"
}

run_cases "$@"
