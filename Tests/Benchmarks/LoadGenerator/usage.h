// What the server's processes use: CPU and memory.
#ifndef USAGE_H
#define USAGE_H

#include "options.h"

struct usage {
    double cpu_seconds; ///< exact to less than a clock tick, with the threads that have ended
    double user_seconds;
    double system_seconds;
    double rss_kb;
};

struct process_usage {
    int process;
    double cpu_seconds;
    uint64_t user_ticks;
    uint64_t system_ticks;
};

struct usage_meter {
    struct process_usage *processes;
    size_t process_count;
    struct usage total;
};

struct usage_meter usage_meter_make(const struct numbers *processes);

/// What has been used until now. Only differences mean something, and they are never negative.
struct usage usage_read(struct usage_meter *meter);

/// CPU of the calling thread.
double usage_of_this_thread(void);

#endif
