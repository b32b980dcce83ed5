// The epoll loop, and the connections from connect() to their end.
#include "clients.h"
#include "frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
    INPUT_CAPACITY = 262144,
    EVENTS_PER_TURN = 256,
    CONNECTIONS_PER_ADDRESS = 20000, ///< one pair of addresses has about 28000 ports
};

static const uint64_t watched_mark = UINT64_MAX;

static int64_t part_of(const struct clients *clients, const struct group *group, uint64_t index) {
    struct bytes text = {0};
    char *end;
    template_append(&text, group->part, strlen(group->part) + 1, index, &group->tokens);
    long long part = strtoll(text.data, &end, 10);
    if (end == text.data || *end != '\0' || part < 0 || part >= clients->options->parts)
        give_up(EXIT_MISUSE, "--part wants a number below --parts, not \"%s\"", text.data);
    bytes_free(&text);
    return part;
}

static void make_group(struct clients *clients, struct group_state *state, const struct group *group) {
    const struct options *options = clients->options;
    bool publishes = options->rates.count > 0;
    *state = (struct group_state){
        .options = group,
        .sequence_mark_length = strlen(group->sequence_mark),
        .ready_length = group->ready == NULL ? 0 : strlen(group->ready),
    };
    for (int64_t index = 0; index < group->clients; index++) {
        size_t position = clients->count++;
        bool partial = group->part != NULL;
        clients->connections[position] = (struct connection){
            .descriptor = -1,
            // spread over all groups and parts
            .slow = (double)(position * 7919 % 10000) < options->slow * 10000,
            .group = state,
            .index = (uint64_t)index,
            .parts = partial ? group->parts : 1,
            .part = partial ? part_of(clients, group, (uint64_t)index) : 0,
            .sequence = {.next = publishes ? 0 : -1},
        };
    }
}

void clients_make(struct clients *clients, const struct options *options) {
    *clients = (struct clients){.options = options, .watched = -1};
    clients->time_mark_length = strlen(options->time_mark);
    clients->groups = allocate(options->group_count * sizeof *clients->groups);
    clients->connections = allocate((size_t)options->clients * sizeof *clients->connections);
    for (size_t group = 0; group < options->group_count; group++)
        make_group(clients, &clients->groups[group], &options->groups[group]);
    clients->input.capacity = INPUT_CAPACITY;
    clients->input.data = allocate(INPUT_CAPACITY);
    clients->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (clients->epoll < 0) give_up(EXIT_FINDINGS, "epoll: %s", strerror(errno));
    clients->window.end = options->rates.count > 0 ? 0 : INT64_MAX;
}

void clients_watch(struct clients *clients, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = watched_mark};
    clients->watched = descriptor;
    epoll_ctl(clients->epoll, EPOLL_CTL_ADD, descriptor, &event);
}

void clients_unwatch(struct clients *clients) {
    if (clients->watched >= 0) epoll_ctl(clients->epoll, EPOLL_CTL_DEL, clients->watched, NULL);
    clients->watched = -1;
    clients->watched_is_readable = false;
}

static void update_interest(struct clients *clients, struct connection *connection) {
    bool reads = !connection->slow || connection->state != CONNECTION_READY;
    struct epoll_event event = {
        .events = (reads ? EPOLLIN : EPOLLRDHUP) | (connection->wants_write ? (uint32_t)EPOLLOUT : 0u),
        .data.u64 = (uint64_t)(connection - clients->connections),
    };
    epoll_ctl(clients->epoll, EPOLL_CTL_MOD, connection->descriptor, &event);
}

void connection_end(struct clients *clients, struct connection *connection, const char *reason) {
    if (connection->state != CONNECTION_READY) {
        clients->failed++;
        clients->pending--;
        reasons_add(&clients->failures, reason);
    } else if (connection->slow) {
        clients->ready--;
        clients->counters.slow_closed++;
        reasons_add(&clients->slow_closings, reason);
    } else {
        clients->ready--;
        clients->unclean = true;
        clients->outstanding -= connection_expected(clients, connection) - connection->delivered;
        clients->counters.closed++;
        reasons_add(&clients->closings, reason);
    }
    if (connection->descriptor >= 0) close(connection->descriptor);
    connection->descriptor = -1;
    connection->state = CONNECTION_ENDED;
    bytes_free(&connection->rest);
    bytes_free(&connection->fragments);
    bytes_free(&connection->output);
}

static void send_close(const struct connection *connection, const uint8_t *code, size_t length) {
    struct bytes frame = {0};
    if (connection->output.length > 0) return; // it would come in the middle of another frame
    frame_append(&frame, OPCODE_CLOSE, code, length);
    send(connection->descriptor, frame.data, frame.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    bytes_free(&frame);
}

void connection_close(
    struct clients *clients, struct connection *connection, const uint8_t *code, size_t length, const char *reason) {
    send_close(connection, code, length);
    connection_end(clients, connection, reason);
}

void connection_ready(struct clients *clients, struct connection *connection) {
    connection->state = CONNECTION_READY;
    clients->pending--;
    clients->ready++;
    clients->last_ready_ns = now_ns();
    histogram_add(&clients->connect_times, clients->last_ready_ns - connection->started_ns);
    if (connection->slow) update_interest(clients, connection);
}

bool connection_flush(struct clients *clients, struct connection *connection) {
    struct bytes *output = &connection->output;
    while (output->length > 0) {
        ssize_t count = send(connection->descriptor, output->data, output->length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0) {
            connection_end(clients, connection, strerror(errno));
            return false;
        }
        bytes_remove_front(output, (size_t)count);
    }
    bool wants_write = output->length > 0;
    if (wants_write != connection->wants_write) {
        connection->wants_write = wants_write;
        update_interest(clients, connection);
    }
    if (wants_write) return true;
    bytes_free(output); // most connections write once
    if (connection->state == CONNECTION_GREETING && connection->group->ready_length == 0)
        connection_ready(clients, connection);
    return true;
}

static void url_of(const struct connection *connection, struct bytes *text) {
    const struct group *group = connection->group->options;
    template_append(text, group->url, strlen(group->url) + 1, connection->index, &group->tokens);
}

static void send_upgrade(struct clients *clients, struct connection *connection) {
    const struct group *group = connection->group->options;
    struct bytes text = {0};
    struct bytes headers = {0};
    struct bytes authority = {0};
    struct bytes target = {0};
    struct url url;
    url_of(connection, &text);
    if (!url_read(text.data, &url)) give_up(EXIT_MISUSE, "not a URL: \"%s\"", text.data);
    bytes_append(&authority, url.authority, url.authority_length);
    bytes_append_byte(&authority, '\0');
    if (*url.target != '/') bytes_append_byte(&target, '/');
    bytes_append(&target, url.target, strlen(url.target) + 1);
    if (group->subprotocol != NULL) {
        bytes_append_text(&headers, "Sec-WebSocket-Protocol: ");
        bytes_append_text(&headers, group->subprotocol);
        bytes_append_text(&headers, "\r\n");
    }
    for (size_t header = 0; header < group->headers.count; header++) {
        const struct bytes *line = &group->headers.items[header].text;
        template_append(&headers, line->data, line->length, connection->index, &group->tokens);
    }
    bytes_append_byte(&headers, '\0');
    upgrade_request_append(&connection->output, authority.data, target.data, headers.data);
    bytes_free(&text);
    bytes_free(&headers);
    bytes_free(&authority);
    bytes_free(&target);
    connection->state = CONNECTION_UPGRADING;
    connection_flush(clients, connection);
}

void connection_upgraded(struct clients *clients, struct connection *connection) {
    const struct group *group = connection->group->options;
    connection->state = CONNECTION_GREETING;
    for (size_t index = 0; index < group->messages.count; index++) {
        const struct template *message = &group->messages.items[index];
        struct bytes filled = {0};
        template_append(&filled, message->text.data, message->text.length, connection->index, &group->tokens);
        enum opcode opcode = message->binary ? OPCODE_BINARY : OPCODE_TEXT;
        frame_append(&connection->output, opcode, filled.data, filled.length);
        bytes_free(&filled);
    }
    connection_flush(clients, connection);
}

/// Binds to the source address whose turn it is. False when that fails; errno says why.
static bool bind_source(const struct clients *clients, int descriptor, size_t position) {
    int64_t sources = clients->options->sources;
    if (sources == 0 && clients->count > CONNECTIONS_PER_ADDRESS)
        sources = (int64_t)(clients->count / CONNECTIONS_PER_ADDRESS) + 1;
    if (sources == 0) return true;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(position % (size_t)sources));
    setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    return bind(descriptor, (struct sockaddr *)&source, sizeof source) == 0;
}

static void set_socket_options(const struct clients *clients, const struct connection *connection) {
    int size = (int)clients->options->receive_buffer;
    setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (size > 0 && (clients->options->slow == 0 || connection->slow))
        setsockopt(connection->descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static bool begin_connecting(struct clients *clients, struct connection *connection, size_t position) {
    struct bytes text = {0};
    struct url url;
    url_of(connection, &text);
    bool valid = url_read(text.data, &url);
    bytes_free(&text);
    errno = EDESTADDRREQ;
    if (!valid) return false;
    connection->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->descriptor < 0) return false;
    set_socket_options(clients, connection);
    if (!bind_source(clients, connection->descriptor, position)) return false;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u64 = position};
    if (epoll_ctl(clients->epoll, EPOLL_CTL_ADD, connection->descriptor, &event) != 0) return false;
    int result = connect(connection->descriptor, (struct sockaddr *)&url.address, sizeof url.address);
    return result == 0 || errno == EINPROGRESS;
}

static void start_next(struct clients *clients) {
    size_t position = clients->started++;
    struct connection *connection = &clients->connections[position];
    connection->started_ns = now_ns();
    connection->state = CONNECTION_CONNECTING;
    connection->wants_write = true;
    clients->pending++;
    if (!begin_connecting(clients, connection, position)) connection_end(clients, connection, strerror(errno));
}

static void give_up_waiting(struct clients *clients) {
    for (size_t position = 0; position < clients->count; position++) {
        struct connection *connection = &clients->connections[position];
        if (connection->state == CONNECTION_READY || connection->state == CONNECTION_ENDED) continue;
        if (connection->state == CONNECTION_UNUSED) clients->pending++;
        connection_end(clients, connection, "not ready in time");
    }
}

void clients_connect(struct clients *clients) {
    const struct options *options = clients->options;
    int64_t start = now_ns();
    while (clients->started < clients->count || clients->pending > 0) {
        double elapsed = seconds_between(start, now_ns());
        if (elapsed > options->connect_timeout) break;
        bool paced = options->connect_rate > 0;
        double due = paced ? elapsed * options->connect_rate + 1 : (double)clients->count;
        size_t allowed = due < (double)clients->count ? (size_t)due : clients->count;
        while (clients->started < allowed && clients->pending < (size_t)options->concurrency) start_next(clients);
        clients_turn(clients, paced && clients->started < clients->count ? 1 : 20);
    }
    give_up_waiting(clients);
}

static void take_connected(struct clients *clients, struct connection *connection, uint32_t events) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) connection_end(clients, connection, strerror(error));
    else if ((events & EPOLLOUT) != 0) send_upgrade(clients, connection);
    else if ((events & (EPOLLERR | EPOLLHUP)) != 0) connection_end(clients, connection, "hung up");
}

static void take_event(struct clients *clients, struct connection *connection, uint32_t events) {
    if (connection->descriptor < 0) return;
    if (connection->state == CONNECTION_CONNECTING) {
        take_connected(clients, connection, events);
        return;
    }
    if ((events & EPOLLOUT) != 0 && !connection_flush(clients, connection)) return;
    // A slow connection whose server has hung up is read after all, to learn why.
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0) connection_receive(clients, connection);
}

void clients_turn(struct clients *clients, int milliseconds) {
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(clients->epoll, events, EVENTS_PER_TURN, milliseconds);
    for (int index = 0; index < count; index++) {
        if (events[index].data.u64 == watched_mark) clients->watched_is_readable = true;
        else take_event(clients, &clients->connections[events[index].data.u64], events[index].events);
    }
}

void clients_run(struct clients *clients, double seconds) {
    int64_t end = now_ns() + (int64_t)(seconds * 1e9);
    for (int64_t now; (now = now_ns()) < end;) {
        int64_t milliseconds = (end - now) / 1000000 + 1;
        clients_turn(clients, milliseconds < 50 ? (int)milliseconds : 50);
    }
}

void clients_end(struct clients *clients) {
    const uint8_t code[] = {1000 >> 8, 1000 & 0xff};
    for (size_t position = 0; position < clients->count; position++) {
        struct connection *connection = &clients->connections[position];
        sequence_free(&connection->sequence);
        if (connection->descriptor < 0) continue;
        if (connection->state == CONNECTION_READY) send_close(connection, code, sizeof code);
        close(connection->descriptor);
    }
    close(clients->epoll);
}
