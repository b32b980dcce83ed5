// What a step expects and has counted.
#include "clients.h"

#include <string.h>

/// How many numbers of the part are those of events before `event`.
static int64_t numbers_before(const struct connection *connection, int64_t event) {
    if (event <= connection->part) return 0;
    return (event - connection->part - 1) / connection->parts + 1;
}

int64_t connection_expected(const struct clients *clients, const struct connection *connection) {
    if (!connection->in_step) return 0;
    const struct step_window *window = &clients->window;
    return numbers_before(connection, window->end) - numbers_before(connection, window->first);
}

int64_t clients_expected(const struct clients *clients) {
    int64_t expected = 0;
    for (size_t position = 0; position < clients->count; position++)
        expected += connection_expected(clients, &clients->connections[position]);
    return expected;
}

void clients_count_outstanding(struct clients *clients) {
    clients->outstanding = 0;
    for (size_t position = 0; position < clients->count; position++) {
        const struct connection *connection = &clients->connections[position];
        if (connection->state != CONNECTION_READY) continue;
        clients->outstanding += connection_expected(clients, connection) - connection->delivered;
    }
}

void clients_begin_step(struct clients *clients, struct step_window window) {
    struct counters between = clients->counters;
    bool publishes = clients->options->rates.count > 0;
    clients->counters = (struct counters){.closed = between.closed, .slow_closed = between.slow_closed};
    if (publishes) {
        clients->counters.duplicates = between.duplicates;
        clients->counters.disordered = between.disordered;
        clients->counters.late = between.late;
        clients->counters.foreign = between.foreign;
    }
    memset(&clients->latencies, 0, sizeof clients->latencies);
    clients->window = window;
    for (size_t position = 0; position < clients->count; position++) {
        struct connection *connection = &clients->connections[position];
        connection->in_step = connection->state == CONNECTION_READY && !connection->slow;
        connection->delivered = 0;
    }
}

void clients_reported(struct clients *clients) {
    clients->counters = (struct counters){0};
    memset(&clients->closings, 0, sizeof clients->closings);
    memset(&clients->slow_closings, 0, sizeof clients->slow_closings);
}
