// Follows the numbers that one connection receives: tells a late number from one that comes twice.
#include "sequence.h"

#include <stdlib.h>
#include <string.h>

/// Beyond this many holes the oldest is given up: what still comes of it then counts as a duplicate.
enum { RANGES_MAXIMUM = 256 };

struct range {
    int64_t start;
    int64_t end;
};

struct missing {
    size_t count;
    size_t capacity;
    struct range ranges[];
};

static struct missing *with_room(struct missing *missing) {
    if (missing != NULL && missing->count < missing->capacity) return missing;
    if (missing != NULL && missing->capacity == RANGES_MAXIMUM) {
        missing->count--;
        memmove(missing->ranges, missing->ranges + 1, missing->count * sizeof *missing->ranges);
        return missing;
    }
    size_t capacity = missing == NULL ? 4 : 2 * missing->capacity;
    struct missing *grown = reallocate(missing, sizeof *missing + capacity * sizeof *missing->ranges);
    if (missing == NULL) grown->count = 0;
    grown->capacity = capacity;
    return grown;
}

static void insert_range(struct sequence *sequence, size_t at, struct range range) {
    size_t before = sequence->missing == NULL ? 0 : sequence->missing->count;
    struct missing *missing = sequence->missing = with_room(sequence->missing);
    if (missing->count < before && at > 0) at--; // the oldest had to go
    memmove(missing->ranges + at + 1, missing->ranges + at, (missing->count - at) * sizeof range);
    missing->ranges[at] = range;
    missing->count++;
}

static void remove_range(struct missing *missing, size_t at) {
    missing->count--;
    memmove(missing->ranges + at, missing->ranges + at + 1, (missing->count - at) * sizeof *missing->ranges);
}

/// Whether the number was missing; it no longer is then.
static bool find_missing(struct sequence *sequence, int64_t number) {
    struct missing *missing = sequence->missing;
    for (size_t at = missing == NULL ? 0 : missing->count; at-- > 0;) {
        struct range *range = &missing->ranges[at];
        if (number >= range->end) return false;
        if (number < range->start) continue;
        struct range behind = {number + 1, range->end};
        range->end = number;
        bool nothing_before = range->start == range->end;
        if (nothing_before && behind.start == behind.end) remove_range(missing, at);
        else if (nothing_before) *range = behind;
        else if (behind.start < behind.end) insert_range(sequence, at + 1, behind);
        return true;
    }
    return false;
}

enum arrival sequence_take_unexpected(struct sequence *sequence, int64_t number) {
    if (sequence->next >= 0 && number < sequence->next)
        return find_missing(sequence, number) ? ARRIVAL_BEHIND : ARRIVAL_AGAIN;
    enum arrival arrival = sequence->next < 0 ? ARRIVAL_IN_ORDER : ARRIVAL_AHEAD;
    if (arrival == ARRIVAL_AHEAD) {
        size_t at = sequence->missing == NULL ? 0 : sequence->missing->count;
        insert_range(sequence, at, (struct range){sequence->next, number});
    }
    sequence->next = number + 1;
    return arrival;
}

void sequence_free(struct sequence *sequence) {
    free(sequence->missing);
    sequence->missing = NULL;
}
