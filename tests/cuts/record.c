/* tests/cuts/record: see record.h. */
#include "tests/cuts/record.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define SMALL "segment.bytes=98304\nset.max.bytes=49152\nmessage.max.bytes=16384\nflush.ms=5\n"

const struct record_where record_where[RECORD_PARTS] = {
    {"disk", SMALL "partitions=3", 0, false, false, false},
    {"disk", NULL, 1, false, false, false},
    {"disk", NULL, 2, false, false, false},
    {"keyed", SMALL, 0, true, false, false},
    {"aged", "segment.ms=1000\nflush.ms=20", 0, false, false, false},
    {"os", SMALL "flush.sync=os", 0, false, true, false},
    {"goes", SMALL "retention.bytes=150000", 0, false, false, true},
};

struct record *record_new(void)
{
    void *at = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                    -1, 0);
    struct record *r = at;

    if (at == MAP_FAILED) {
        perror("memory");
        exit(2);
    }
    r->news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    r->orders = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->news < 0 || r->orders < 0) {
        perror("eventfd");
        exit(2);
    }
    return r;
}

void record_clear(struct record *r)
{
    for (size_t i = 0; i < RECORD_PARTS; i++) {
        struct record_part *p = &r->parts[i];

        memset(p->sets, 0, p->set_count * sizeof p->sets[0]);
        memset(p->seen, 0, sizeof p->seen);
        memset(p->recovered, 0, sizeof p->recovered);
        p->set_count = p->seen_turn = p->recovered_turn = 0;
    }
    memset(r->topics, 0, sizeof r->topics);
    r->topic_count = 0;
}

/* -- a worker and who waits for it -- */

void record_begin(struct record *r)
{
    eventfd_t said;

    (void)!eventfd_read(r->news, &said);
    (void)!eventfd_read(r->orders, &said);
    r->run++;
    r->phase = PHASE_BEGUN;
    r->stop = r->cut = false;
}

void record_reach(struct record *r, enum phase phase)
{
    r->phase = phase;
    (void)!eventfd_write(r->news, 1);
}

void record_acknowledge(struct record *r, uint64_t sets)
{
    r->acknowledged += sets;
    (void)!eventfd_write(r->news, 1);
}

bool record_listen(struct record *r, int worker, int ms)
{
    struct pollfd from[] = {{.fd = r->news, .events = POLLIN}, {.fd = worker, .events = POLLIN}};
    eventfd_t said;

    poll(from, 2, ms);
    return eventfd_read(r->news, &said) == 0;
}

void record_order_stop(struct record *r)
{
    r->stop = true;
    (void)!eventfd_write(r->orders, 1);
}

void record_order_cut(struct record *r)
{
    r->cut = true;
    (void)!eventfd_write(r->orders, 1);
}

void record_await_order(const struct record *r)
{
    struct pollfd from = {.fd = r->orders, .events = POLLIN};

    poll(&from, 1, -1);
}

/* -- what the store has promised -- */

void record_add_set(struct record_part *p, uint64_t offset, uint32_t len, uint32_t crc)
{
    uint32_t i = atomic_fetch_add(&p->set_count, 1);

    if (i >= RECORD_SETS) {
        fprintf(stderr, "more sets than there is room for\n");
        abort();
    }
    p->sets[i].offset = offset;
    p->sets[i].len = len;
    p->sets[i].crc = crc;
    p->sets[i].ready = 1;
}

void record_put_seen(struct record_seen pair[2], _Atomic uint32_t *turn, struct record_seen seen)
{
    uint32_t next = *turn + 1;

    pair[next % 2] = seen;
    *turn = next;
}

void record_object(struct record *r, const char *fmt, ...)
{
    char text[500];
    va_list ap;

    if (atomic_fetch_add(&r->lost, 1) >= 20)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    printf("# run %u: %s\n", r->run, text);
    fflush(stdout);
}
