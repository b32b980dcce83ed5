// What every file of the load generator needs: the C library with its Linux parts, the clock, how to give up.
#ifndef COMMON_H
#define COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NANOSECONDS 1000000000ll

enum exit_status { EXIT_CLEAN = 0, EXIT_FINDINGS = 1, EXIT_MISUSE = 2 };

static inline int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * NANOSECONDS + time.tv_nsec;
}

static inline double seconds_between(int64_t start, int64_t end) { return (double)(end - start) / 1e9; }

/// Prints one line on stderr and ends the process.
_Noreturn void give_up(enum exit_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// malloc and realloc that end the process when there is no memory.
void *allocate(size_t size);
void *reallocate(void *memory, size_t size);
char *copy_text(const char *text);

#endif
