// Counts of durations, in buckets that are at most 1.6 % wide.
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include "common.h"

/// 64 linear buckets for each power of two.
enum { HISTOGRAM_BUCKETS = 64 * 64 };

struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t count;
    int64_t maximum;
};

static inline size_t histogram_bucket(uint64_t value) {
    if (value < 64) return (size_t)value;
    int exponent = 63 - __builtin_clzll(value);
    return (size_t)(exponent - 5) * 64 + ((value >> (exponent - 6)) & 63);
}

static inline void histogram_add(struct histogram *histogram, int64_t value) {
    if (value < 0) value = 0;
    histogram->buckets[histogram_bucket((uint64_t)value)]++;
    histogram->count++;
    if (value > histogram->maximum) histogram->maximum = value;
}

/// The value that `part` (0…1) of all values do not exceed; 0 when there are none.
int64_t histogram_quantile(const struct histogram *histogram, double part);

#endif
