#include <zmq.h>

// SCHED_BATCH, as <sched.h> has it with _GNU_SOURCE, which Swift's importer does not set.
static const int shim_sched_batch = 3;
