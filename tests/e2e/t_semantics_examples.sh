#!/usr/bin/env bash
# docs/filesystem-semantics.md: its examples with two processes, run as they stand there.
. "$(dirname "$0")/semantics.sh"

# example NUMBER NAME: the block of that number, over a new topic.
example()
{
    start_t && python3 -B "$ROOT/tests/e2e/transcript.py" \
        "$ROOT/docs/filesystem-semantics.md" "$MNT" "$1" "$2"
}

case_a_writer_and_a_follower()
{
    example 1 "E1: a writer and a follower"
}

case_two_writers()
{
    example 2 "E2: two writers"
}

case_a_job_and_its_retry()
{
    example 3 "E3: a job and its retry"
}

case_a_place_kept_in_a_file()
{
    example 4 "E4: a place kept in a file"
}

run_cases "$@"
