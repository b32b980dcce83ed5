// Counts of durations, in buckets that are at most 1.6 % wide.
#include "histogram.h"

static int64_t bucket_middle(size_t bucket) {
    if (bucket < 64) return (int64_t)bucket;
    int exponent = (int)(bucket / 64) + 5;
    uint64_t width = 1ull << (exponent - 6);
    return (int64_t)((1ull << exponent) + (bucket % 64) * width + width / 2);
}

int64_t histogram_quantile(const struct histogram *histogram, double part) {
    double wanted = part * (double)histogram->count;
    uint64_t counted = 0;
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        counted += histogram->buckets[bucket];
        if (counted == 0 || (double)counted < wanted) continue;
        int64_t middle = bucket_middle(bucket);
        return middle < histogram->maximum ? middle : histogram->maximum;
    }
    return histogram->maximum;
}
