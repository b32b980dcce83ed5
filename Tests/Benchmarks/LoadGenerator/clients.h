// The connections, served by one epoll loop, and what is counted of them.
#ifndef CLIENTS_H
#define CLIENTS_H

#include "histogram.h"
#include "options.h"
#include "reasons.h"
#include "sequence.h"

#include <sys/epoll.h>

enum connection_state {
    CONNECTION_UNUSED,
    CONNECTION_CONNECTING,
    CONNECTION_UPGRADING,
    CONNECTION_GREETING, ///< upgraded, but its first messages are not written or --ready has not come
    CONNECTION_READY,
    CONNECTION_ENDED,
};

/// Where the marks were in the last message: there they mostly are in the next one, too.
struct mark_hints {
    size_t time;
    size_t sequence;
};

/// A group at work.
struct group_state {
    const struct group *options;
    size_t sequence_mark_length;
    size_t ready_length;
    struct mark_hints hints;
};

struct connection {
    int descriptor;
    enum connection_state state;
    bool slow;
    bool wants_write;
    bool fragmented;
    bool in_step; ///< it was ready when the step began: expects every event of it
    struct group_state *group;
    uint64_t index; ///< within its group
    int64_t parts;
    int64_t part;
    int64_t started_ns;
    struct sequence sequence;
    int64_t delivered; ///< in this step
    struct bytes rest; ///< what has been read of an incomplete frame
    struct bytes fragments;
    struct bytes output;
};

/// The events of the current step: [first, end).
struct step_window {
    int64_t first;
    int64_t end;
    int64_t started_ns; ///< without numbers this tells late messages
};

struct counters {
    int64_t delivered; ///< first arrivals of the step's events
    int64_t gaps;      ///< skipped and not made good
    int64_t duplicates;
    int64_t disordered;
    int64_t late;    ///< of a former step
    int64_t foreign; ///< with a number that has not been published
    int64_t other;   ///< without a time stamp
    int64_t messages;
    int64_t reads;
    int64_t bytes;
    int64_t pings;
    int64_t closed;
    int64_t slow_closed;
    int64_t last_arrival_ns;
};

struct clients {
    const struct options *options;
    struct group_state *groups;
    struct connection *connections;
    size_t count;
    size_t started;
    int epoll;
    struct bytes input; ///< all connections are read into this one

    size_t pending;
    size_t ready;
    size_t failed;
    int64_t last_ready_ns;
    struct histogram connect_times;
    struct reasons failures;

    size_t time_mark_length;
    struct step_window window;
    struct counters counters;
    struct histogram latencies;
    struct reasons closings;
    struct reasons slow_closings;
    int64_t outstanding; ///< deliveries that are still to come; kept since clients_count_outstanding
    bool unclean;        ///< something has ended, been doubled or disordered, whether reported or not

    int watched; ///< the publisher's descriptor, or -1
    bool watched_is_readable;
};

void clients_make(struct clients *clients, const struct options *options);

/// Notes when the descriptor is readable, in `watched_is_readable`, until clients_unwatch.
void clients_watch(struct clients *clients, int descriptor);
void clients_unwatch(struct clients *clients);

/// Starts connections as the options say, until all are ready or failed or the time is over.
void clients_connect(struct clients *clients);

/// Waits for events, at most so long, and handles them.
void clients_turn(struct clients *clients, int milliseconds);
void clients_run(struct clients *clients, double seconds);

/// Counts from 0 again, except what else would be seen by nobody: what came between the steps.
void clients_begin_step(struct clients *clients, struct step_window window);
void clients_count_outstanding(struct clients *clients);
int64_t clients_expected(const struct clients *clients);

/// Forgets what has been reported.
void clients_reported(struct clients *clients);

/// Says goodbye to the server.
void clients_end(struct clients *clients);

// Between clients.c, receive.c, messages.c and counting.c:

/// How many events of the step it should get.
int64_t connection_expected(const struct clients *clients, const struct connection *connection);

void connection_end(struct clients *clients, struct connection *connection, const char *reason);

/// Sends a CLOSE with this code, if there is room for it, and ends the connection.
void connection_close(
    struct clients *clients, struct connection *connection, const uint8_t *code, size_t length, const char *reason);
void connection_upgraded(struct clients *clients, struct connection *connection);
void connection_ready(struct clients *clients, struct connection *connection);

/// Writes what there is to write. False when the connection has ended.
bool connection_flush(struct clients *clients, struct connection *connection);

void connection_receive(struct clients *clients, struct connection *connection);

void message_received(
    struct clients *clients, struct connection *connection, const uint8_t *message, size_t length, int64_t now);

#endif
