// Counts of the reasons for which connections failed or ended.
#include "reasons.h"

#include <stdio.h>
#include <string.h>

void reasons_add(struct reasons *reasons, const char *text) {
    char shortened[REASON_LENGTH];
    snprintf(shortened, sizeof shortened, "%s", text);
    for (size_t kind = 0; kind < reasons->kind_count; kind++) {
        if (strcmp(reasons->kinds[kind].text, shortened) != 0) continue;
        reasons->kinds[kind].count++;
        return;
    }
    if (reasons->kind_count == REASON_KINDS) {
        reasons->kinds[REASON_KINDS - 1].count++;
        return;
    }
    size_t kind = reasons->kind_count++;
    bool last = kind == REASON_KINDS - 1;
    snprintf(reasons->kinds[kind].text, REASON_LENGTH, "%s", last ? "further reasons" : shortened);
    reasons->kinds[kind].count = 1;
}
