/*
 * A malloc of the program's own, a call of which fails where a test says so. In
 * one file of a program; the sanitizers bring theirs, so under them there is
 * none (FAILING_MALLOC is not defined).
 */
#ifndef TESTS_UNIT_FAILING_MALLOC_H
#define TESTS_UNIT_FAILING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FAILING_MALLOC 1
#endif
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef FAILING_MALLOC
#endif
#endif

/* Without FAILING_MALLOC not every program has a use for them. */
static uint64_t fail_at __attribute__((unused)); /* this call, counted down; 0 = none */
static bool failed __attribute__((unused));

#ifdef FAILING_MALLOC
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t n);

static bool fails_now(void)
{
    if (fail_at == 0 || --fail_at > 0)
        return false;
    failed = true;
    return true;
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc has __size */
void *malloc(size_t n)
{
    return fails_now() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return fails_now() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t n)
{
    return fails_now() ? NULL : __libc_realloc(old, n);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
#endif

#endif
