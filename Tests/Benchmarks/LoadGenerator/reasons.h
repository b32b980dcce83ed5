// Counts of the reasons for which connections failed or ended.
#ifndef REASONS_H
#define REASONS_H

#include "common.h"

/// Further reasons are counted together, so that a server that makes them up costs no memory.
enum { REASON_KINDS = 32, REASON_LENGTH = 160 };

struct reasons {
    struct {
        char text[REASON_LENGTH];
        uint64_t count;
    } kinds[REASON_KINDS];
    size_t kind_count;
};

void reasons_add(struct reasons *reasons, const char *text);

#endif
