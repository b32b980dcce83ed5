// The load generator: many WebSocket connections from one thread, events at given rates, a check of each delivery.
#include "steps.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { OTHER_DESCRIPTORS = 32 };

static void allow_descriptors(int64_t connections) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    if ((uint64_t)connections + OTHER_DESCRIPTORS > limit.rlim_cur)
        give_up(EXIT_MISUSE, "%lld connections need %lld descriptors, but only %llu are allowed",
            (long long)connections, (long long)connections + OTHER_DESCRIPTORS, (unsigned long long)limit.rlim_cur);
}

int main(int count, char **arguments) {
    struct options options = options_read(count, arguments);
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors(options.clients);
    struct clients *clients = allocate(sizeof *clients);
    clients_make(clients, &options);
    struct run run = {.options = &options, .clients = clients, .meter = usage_meter_make(&options.processes)};
    run_connect(&run);
    run_steps(&run);
    clients_end(clients);
    return run.clean ? EXIT_CLEAN : EXIT_FINDINGS;
}
