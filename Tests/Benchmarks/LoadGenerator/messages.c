// Finds the time stamp and the number in what arrives, and checks them.
#include "clients.h"

#include <string.h>

enum { DIGITS_MAXIMUM = 18 };

/// Reads the digits at the beginning, behind blanks. False when there are none, or more than a number has.
static inline bool read_number(const uint8_t *text, const uint8_t *end, int64_t *number) {
    while (text < end && *text == ' ') text++;
    const uint8_t *start = text;
    int64_t value = 0;
    while (text < end && *text >= '0' && *text <= '9' && text - start <= DIGITS_MAXIMUM) {
        value = (int64_t)((uint64_t)value * 10 + (uint64_t)(*text - '0'));
        text++;
    }
    *number = value;
    return text > start && text - start <= DIGITS_MAXIMUM;
}

/// Finds the mark within [start, end), first where it was in the last message (its distance from `message`).
static inline const uint8_t *find_mark(
    const uint8_t *message, const uint8_t *start, const uint8_t *end, const char *mark, size_t length, size_t *hint) {
    if (*hint >= (size_t)(start - message) && *hint + length <= (size_t)(end - message)
        && memcmp(message + *hint, mark, length) == 0)
        return message + *hint;
    const uint8_t *found = memmem(start, (size_t)(end - start), mark, length);
    if (found != NULL) *hint = (size_t)(found - message);
    return found;
}

/// Whether this is the first arrival of an event of the step.
static bool take_number(struct clients *clients, struct connection *connection, int64_t number) {
    struct counters *counters = &clients->counters;
    const struct step_window *window = &clients->window;
    int64_t event;
    if (__builtin_mul_overflow(number, connection->parts, &event)
        || __builtin_add_overflow(event, connection->part, &event) || event >= window->end) {
        counters->foreign++;
        clients->unclean = true;
        return false;
    }
    int64_t due = connection->sequence.next;
    switch (sequence_take(&connection->sequence, number)) {
    case ARRIVAL_IN_ORDER: break;
    case ARRIVAL_AHEAD: {
        // What was skipped of former steps has been counted as lost there.
        int64_t first = (window->first - connection->part + connection->parts - 1) / connection->parts;
        if (first > number) first = number;
        counters->gaps += number - (due > first ? due : first);
        break;
    }
    case ARRIVAL_BEHIND:
        counters->disordered++;
        clients->unclean = true;
        if (event >= window->first) counters->gaps--;
        break;
    case ARRIVAL_AGAIN:
        counters->duplicates++;
        clients->unclean = true;
        return false;
    }
    if (event >= window->first) return true;
    counters->late++;
    return false;
}

static inline bool take_unnumbered(struct clients *clients, int64_t stamp) {
    if (stamp >= clients->window.started_ns) return true;
    clients->counters.late++;
    return false;
}

static inline void count_delivery(
    struct clients *clients, struct connection *connection, int64_t stamp, int64_t now) {
    connection->delivered++;
    clients->counters.delivered++;
    clients->counters.last_arrival_ns = now;
    clients->outstanding--;
    histogram_add(&clients->latencies, now - stamp);
}

/// Counts the one message within [start, end) whose time stamp's mark is at `mark`.
static void take_stamped(
    struct clients *clients, struct connection *connection, const uint8_t *message, const uint8_t *start,
    const uint8_t *mark, const uint8_t *end, size_t *hint, int64_t now) {
    const struct group_state *group = connection->group;
    const char *sequence_mark = group->options->sequence_mark;
    size_t length = group->sequence_mark_length;
    int64_t stamp;
    int64_t number;
    bool taken;
    if (!read_number(mark + clients->time_mark_length, end, &stamp)) {
        clients->counters.other++;
        return;
    }
    if (clients->options->numbered) {
        const uint8_t *found = find_mark(message, mark, end, sequence_mark, length, hint);
        if (found == NULL) found = memmem(start, (size_t)(mark - start), sequence_mark, length);
        if (found == NULL || !read_number(found + length, end, &number)) {
            clients->counters.other++;
            return;
        }
        taken = take_number(clients, connection, number);
    } else {
        taken = take_unnumbered(clients, stamp);
    }
    if (taken) count_delivery(clients, connection, stamp, now);
}

/// One frame with several messages: each reaches from behind the last one's stamp to the next one's.
static void take_multiple(
    struct clients *clients, struct connection *connection, const uint8_t *message, const uint8_t *mark,
    const uint8_t *end, int64_t now) {
    const char *time_mark = clients->options->time_mark;
    size_t length = clients->time_mark_length;
    const uint8_t *start = message;
    while (mark != NULL) {
        const uint8_t *next = memmem(mark + length, (size_t)(end - mark) - length, time_mark, length);
        size_t hint = 0;
        clients->counters.messages++;
        take_stamped(clients, connection, message, start, mark, next == NULL ? end : next, &hint, now);
        start = mark + length;
        mark = next;
    }
}

void message_received(
    struct clients *clients, struct connection *connection, const uint8_t *message, size_t length, int64_t now) {
    struct group_state *group = connection->group;
    if (connection->state == CONNECTION_GREETING && group->ready_length > 0
        && memmem(message, length, group->options->ready, group->ready_length) != NULL)
        connection_ready(clients, connection);
    if (connection->slow) return;
    const uint8_t *end = message + length;
    const char *time_mark = clients->options->time_mark;
    const uint8_t *mark =
        find_mark(message, message, end, time_mark, clients->time_mark_length, &group->hints.time);
    if (mark != NULL && group->options->multiple) {
        take_multiple(clients, connection, message, mark, end, now);
        return;
    }
    clients->counters.messages++;
    if (mark == NULL) clients->counters.other++;
    else take_stamped(clients, connection, message, message, mark, end, &group->hints.sequence, now);
}
