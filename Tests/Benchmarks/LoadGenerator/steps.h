// The phases of a run: connect, be idle, a step for each rate.
#ifndef STEPS_H
#define STEPS_H

#include "publisher.h"
#include "report.h"

struct run {
    const struct options *options;
    struct clients *clients;
    struct usage_meter meter;
    struct publisher publisher;
    int64_t published;
    double best; ///< the highest rate that was delivered, in events/s
    bool backlog; ///< the last step has not been delivered as a whole
    bool clean;
};

void run_connect(struct run *run);
void run_steps(struct run *run);

#endif
