// Follows the numbers that one connection receives: tells a late number from one that comes twice.
#ifndef SEQUENCE_H
#define SEQUENCE_H

#include "common.h"

struct missing;

struct sequence {
    int64_t next;            ///< the number that is due; negative: any may come first
    struct missing *missing; ///< what has been skipped; NULL as long as nothing has
};

enum arrival { ARRIVAL_IN_ORDER, ARRIVAL_AHEAD, ARRIVAL_BEHIND, ARRIVAL_AGAIN };

/// Slow path of sequence_take.
enum arrival sequence_take_unexpected(struct sequence *sequence, int64_t number);

static inline enum arrival sequence_take(struct sequence *sequence, int64_t number) {
    if (number != sequence->next) return sequence_take_unexpected(sequence, number);
    sequence->next++;
    return ARRIVAL_IN_ORDER;
}

void sequence_free(struct sequence *sequence);

#endif
