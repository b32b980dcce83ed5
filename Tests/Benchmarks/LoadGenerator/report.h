// The lines of output.
#ifndef REPORT_H
#define REPORT_H

#include "clients.h"
#include "usage.h"

/// What was used between two readings.
struct used {
    double seconds;
    double cpu_seconds;
    double user_seconds;
    double system_seconds;
    double rss_kb;     ///< at its end
    double client_cpu; ///< seconds of the receiving thread
};

struct step_record {
    double rate;
    int64_t published;
    int64_t expected;
    int64_t lost;
    double seconds;
    double in_time;
    int64_t publisher_lag_max_ns;
    bool publisher_failed;
    const char *publisher_words; ///< `name=number …`
    struct used used;
};

struct idle_record {
    double rss_before_kb;
    int64_t pings;
    int64_t bytes;
    struct used used;
};

void report_connect(const struct clients *clients, double seconds, const struct used *used);
void report_idle(const struct clients *clients, const struct idle_record *record);
void report_step(const struct clients *clients, const struct step_record *record);

#endif
