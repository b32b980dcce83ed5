/* The table of connections, and everything that is sent to them. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

enum { MOST_OWN = 65536, TRIM_FROM = 4 << 20, LONGEST_LOG = 256 << 20 };
enum outcome { DONE, BLOCKED, ENDED };

static struct connection *table;
static int *subscribers;
static size_t table_size, subscriber_count;
static int highest, epoll_descriptor;

void connections_prepare(int epoll, size_t most)
{
    epoll_descriptor = epoll;
    table_size = most;
    table = calloc(most, sizeof *table);
    subscribers = calloc(most, sizeof *subscribers);
    if (table == NULL || subscribers == NULL)
        fail("calloc");
}

struct connection *connection_at(int descriptor) { return &table[descriptor]; }

int connections_highest(void) { return highest; }

bool connection_open(int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if ((size_t)descriptor >= table_size || epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0)
        return false;
    table[descriptor] = (struct connection){.open = true};
    if (descriptor > highest)
        highest = descriptor;
    return true;
}

void connection_end(int descriptor)
{
    struct connection *connection = &table[descriptor];
    if (connection->subscribed) {
        int last = subscribers[--subscriber_count];
        subscribers[connection->place] = last;
        table[last].place = connection->place;
    }
    free(connection->own);
    free(connection->kept);
    *connection = (struct connection){0};
    close(descriptor);
}

void connection_subscribe(int descriptor)
{
    struct connection *connection = &table[descriptor];
    connection->subscribed = true;
    connection->position = connection->frame_end = log_end();
    connection->place = (uint32_t)subscriber_count;
    subscribers[subscriber_count++] = descriptor;
}

static void ask_for_room(int descriptor, bool wanted)
{
    struct connection *connection = &table[descriptor];
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.fd = descriptor};
    if (connection->waits_for_room == wanted)
        return;
    connection->waits_for_room = wanted;
    epoll_ctl(epoll_descriptor, EPOLL_CTL_MOD, descriptor, &event);
}

static enum outcome send_some(int descriptor, const void *bytes, size_t length, size_t *sent)
{
    ssize_t taken = send(descriptor, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    *sent = taken < 0 ? 0 : (size_t)taken;
    if (taken < 0 && errno != EAGAIN && errno != EINTR)
        return ENDED;
    return *sent == length ? DONE : BLOCKED;
}

static enum outcome send_log(int descriptor, uint64_t until)
{
    struct connection *connection = &table[descriptor];
    size_t sent;
    if (connection->position == until)
        return DONE;
    enum outcome outcome = send_some(
        descriptor, log_at(connection->position), (size_t)(until - connection->position), &sent);
    connection->position += sent;
    if (connection->position == log_end())
        connection->frame_end = connection->position;
    while (connection->frame_end < connection->position)
        connection->frame_end += log_frame_length(connection->frame_end);
    return outcome;
}

static enum outcome send_waiting_own(int descriptor)
{
    struct connection *connection = &table[descriptor];
    size_t sent;
    enum outcome outcome = send_some(descriptor, connection->own, connection->own_length, &sent);
    connection->own_length -= (uint32_t)sent;
    memmove(connection->own, connection->own + sent, connection->own_length);
    if (connection->own_length == 0) {
        free(connection->own);
        connection->own = NULL;
    }
    return outcome;
}

/* A connection's own frames go between two frames of the log, before those that have not begun. */
static enum outcome send_waiting(int descriptor)
{
    struct connection *connection = &table[descriptor];
    enum outcome outcome = DONE;
    if (connection->own != NULL) {
        outcome = send_log(descriptor, connection->frame_end);
        if (outcome == DONE)
            outcome = send_waiting_own(descriptor);
    }
    if (outcome != DONE)
        return outcome;
    if (connection->closing)
        return ENDED;
    return connection->subscribed ? send_log(descriptor, log_end()) : DONE;
}

/* False: the connection has ended. */
bool connection_flush(int descriptor)
{
    enum outcome outcome = send_waiting(descriptor);
    if (outcome == ENDED) {
        connection_end(descriptor);
        return false;
    }
    ask_for_room(descriptor, outcome == BLOCKED);
    return true;
}

bool connection_send_own(int descriptor, const void *bytes, size_t length)
{
    struct connection *connection = &table[descriptor];
    size_t total = connection->own_length + length;
    unsigned char *larger = total > MOST_OWN ? NULL : realloc(connection->own, total);
    if (larger == NULL) {
        connection_end(descriptor);
        return false;
    }
    memcpy(larger + connection->own_length, bytes, length);
    connection->own = larger;
    connection->own_length = (uint32_t)total;
    return connection->waits_for_room || connection_flush(descriptor);
}

bool connection_send_frame(int descriptor, int opcode, const void *payload, size_t length)
{
    unsigned char frame[MOST_OWN];
    if (length > sizeof frame - LONGEST_HEADER)
        length = sizeof frame - LONGEST_HEADER;
    size_t header = frame_header(frame, opcode, length);
    memcpy(frame + header, payload, length);
    return connection_send_own(descriptor, frame, header + length);
}

static uint64_t lowest_position(void)
{
    uint64_t lowest = log_end();
    for (size_t place = 0; place < subscriber_count; place++)
        if (table[subscribers[place]].position < lowest)
            lowest = table[subscribers[place]].position;
    return lowest;
}

/* Slow readers keep the log; too slow ones are ended, or memory would be the limit. */
static void trim_log(void)
{
    uint64_t half = log_start() + (log_end() - log_start()) / 2;
    if (log_end() - log_start() > LONGEST_LOG)
        for (size_t place = subscriber_count; place-- > 0;)
            if (table[subscribers[place]].position < half)
                connection_end(subscribers[place]);
    uint64_t lowest = lowest_position();
    if (lowest > half)
        log_forget(lowest);
}

/* From the last to the first, because the last takes the place of one that ends. */
void connections_broadcast(void)
{
    size_t behind = 0;
    for (size_t place = subscriber_count; place-- > 0;) {
        int descriptor = subscribers[place];
        if (table[descriptor].waits_for_room)
            behind++;
        else if (connection_flush(descriptor) && table[descriptor].waits_for_room)
            behind++;
    }
    if (behind == 0)
        log_forget(log_end());
    else if (log_end() - log_start() > TRIM_FROM)
        trim_log();
}
