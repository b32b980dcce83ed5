// The built-in publisher: a thread with a TCP socket. Orders and results pass through pipes: nothing is shared.
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 65536,
    BATCH_MESSAGES = 1024,
    CONNECT_SECONDS = 10,
    OVERTIME_NS = 1000000000, ///< how long a step may go on when the server pushes back
};

struct sender {
    const struct options *options;
    pthread_t thread;
    int orders;
    int results;
    int socket;
    bool closed;
    struct bytes output;
    size_t ends[BATCH_MESSAGES]; ///< where in `output` each message of the batch ends
    size_t end_count;
    char *padding;
};

static void append_prefix(struct bytes *output, const struct bytes *prefix, int64_t length, int64_t part) {
    static const char length_mark[] = "{len}";
    static const char part_mark[] = "{part}";
    for (size_t at = 0; at < prefix->length;) {
        const char *rest = prefix->data + at;
        size_t left = prefix->length - at;
        if (left >= sizeof length_mark - 1 && memcmp(rest, length_mark, sizeof length_mark - 1) == 0) {
            bytes_append_number(output, (uint64_t)length);
            at += sizeof length_mark - 1;
        } else if (left >= sizeof part_mark - 1 && memcmp(rest, part_mark, sizeof part_mark - 1) == 0) {
            bytes_append_number(output, (uint64_t)part);
            at += sizeof part_mark - 1;
        } else {
            bytes_append_byte(output, (unsigned char)*rest);
            at++;
        }
    }
}

static void append_message(struct sender *sender, int64_t event, int64_t due) {
    const struct options *options = sender->options;
    struct bytes *output = &sender->output;
    append_prefix(output, &options->prefix, options->size, event % options->parts);
    size_t end = output->length + (size_t)options->size;
    bytes_append_text(output, "{\"t0\":");
    bytes_append_number(output, (uint64_t)due);
    bytes_append_text(output, ",\"seq\":");
    bytes_append_number(output, (uint64_t)event);
    if (options->parts > 1) {
        bytes_append_text(output, ",\"part\":");
        bytes_append_number(output, (uint64_t)(event / options->parts));
    }
    bytes_append_text(output, ",\"pad\":\"");
    bytes_append(output, sender->padding, end - 2 - output->length);
    bytes_append_text(output, "\"}");
    bytes_append(output, options->suffix.data, options->suffix.length);
    sender->ends[sender->end_count++] = output->length;
}

/// Reads and forgets what the server says; a NATS server wants its PINGs answered.
static void discard_input(struct sender *sender) {
    char buffer[65536];
    for (;;) {
        ssize_t count = recv(sender->socket, buffer, sizeof buffer, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count <= 0) {
            sender->closed = true;
            return;
        }
        if (memmem(buffer, (size_t)count, "PING\r\n", 6) != NULL)
            send(sender->socket, "PONG\r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/// Sends the output, until the deadline at most. Returns how many bytes of it were sent.
static size_t send_output(struct sender *sender, int64_t deadline) {
    size_t at = 0;
    while (at < sender->output.length && !sender->closed) {
        size_t length = sender->output.length - at;
        ssize_t count = send(sender->socket, sender->output.data + at, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            at += (size_t)count;
            continue;
        }
        if (errno != EAGAIN && errno != EINTR) {
            sender->closed = true;
            break;
        }
        int64_t left = (deadline - now_ns()) / 1000000;
        if (left <= 0) break;
        struct pollfd writable = {.fd = sender->socket, .events = POLLIN | POLLOUT};
        poll(&writable, 1, left < 1000 ? (int)left : 1000);
        if ((writable.revents & POLLIN) != 0) discard_input(sender);
    }
    return at;
}

/// Sends the batch. Returns how many of its messages have left, the last one perhaps in part: the rest of that one is
/// kept for later, as half a message would spoil all that follow. Nothing more can be sent in this step then.
static int64_t send_batch(struct sender *sender, int64_t deadline) {
    size_t sent = send_output(sender, deadline);
    size_t left = 0;
    while (left < sender->end_count && (left == 0 ? 0 : sender->ends[left - 1]) < sent) left++;
    sender->output.length = left == 0 ? sent : sender->ends[left - 1];
    bytes_remove_front(&sender->output, sent);
    sender->end_count = 0;
    return (int64_t)left;
}

static void sleep_until(int64_t time) {
    struct timespec due = {time / NANOSECONDS, time % NANOSECONDS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR) continue;
}

/// Sends what a former step left of a message. False when that does not go either.
static bool send_remains(struct sender *sender, int64_t deadline) {
    size_t sent = send_output(sender, deadline);
    bytes_remove_front(&sender->output, sent);
    return sender->output.length == 0 && !sender->closed;
}

static struct publisher_result publish(struct sender *sender, const struct publisher_order *order) {
    struct publisher_result result = {.start_ns = now_ns()};
    double interval = 1e9 / order->rate;
    int64_t deadline = result.start_ns + (int64_t)((double)order->count * interval) + OVERTIME_NS;
    bool goes = send_remains(sender, deadline);
    while (goes && result.sent < order->count) {
        int64_t now = now_ns();
        int64_t due = result.start_ns + (int64_t)((double)result.sent * interval);
        if (now >= deadline) break;
        if (due > now) {
            sleep_until(due);
            now = now_ns();
        }
        int64_t event = result.sent;
        if (now - due > result.lag_max_ns) result.lag_max_ns = now - due;
        // What is due goes out in one write, so that a late publisher catches up.
        while (event < order->count && due <= now && sender->end_count < BATCH_MESSAGES
               && sender->output.length < BATCH_BYTES) {
            append_message(sender, order->first + event, due);
            due = result.start_ns + (int64_t)((double)++event * interval);
        }
        int64_t sent = send_batch(sender, deadline);
        goes = result.sent + sent == event && sender->output.length == 0 && !sender->closed;
        result.sent += sent;
        discard_input(sender);
    }
    result.end_ns = now_ns();
    result.failed = sender->closed;
    return result;
}

static void *run(void *argument) {
    struct sender *sender = argument;
    prctl(PR_SET_TIMERSLACK, 1ul); // to be on time within less than 50 us
    for (;;) {
        struct pollfd inputs[] = {
            {.fd = sender->orders, .events = POLLIN},
            {.fd = sender->closed ? -1 : sender->socket, .events = POLLIN},
        };
        if (poll(inputs, 2, -1) < 0) continue;
        if (inputs[1].revents != 0) discard_input(sender);
        if (inputs[0].revents == 0) continue;
        struct publisher_order order;
        if (read(sender->orders, &order, sizeof order) != sizeof order) return NULL;
        struct publisher_result result = publish(sender, &order);
        if (write(sender->results, &result, sizeof result) != sizeof result) return NULL;
    }
}

static int connect_to(const char *text) {
    struct sockaddr_in address;
    struct timeval timeout = {.tv_sec = CONNECT_SECONDS};
    address_read(text, strlen(text), &address);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) give_up(EXIT_FINDINGS, "--publish-to %s: %s", text, strerror(errno));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0)
        give_up(EXIT_FINDINGS, "--publish-to %s: %s", text, strerror(errno));
    return descriptor;
}

static void send_first(struct sender *sender) {
    const struct templates *messages = &sender->options->publish_first;
    for (size_t index = 0; index < messages->count; index++)
        bytes_append(&sender->output, messages->items[index].text.data, messages->items[index].text.length);
    if (!send_remains(sender, now_ns() + CONNECT_SECONDS * NANOSECONDS))
        give_up(EXIT_FINDINGS, "--publish-to: the server does not take the first messages");
}

void sender_start(struct publisher *publisher, const struct options *options) {
    int orders[2];
    int results[2];
    struct sender *sender = allocate(sizeof *sender);
    *sender = (struct sender){.options = options, .socket = connect_to(options->publish_to)};
    sender->padding = allocate((size_t)options->size);
    memset(sender->padding, 'x', (size_t)options->size);
    send_first(sender);
    if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(results, O_CLOEXEC) != 0)
        give_up(EXIT_FINDINGS, "no pipes for the publisher: %s", strerror(errno));
    sender->orders = orders[0];
    sender->results = results[1];
    publisher->orders = orders[1];
    publisher->answers = results[0];
    publisher->sender = sender;
    if (pthread_create(&sender->thread, NULL, run, sender) != 0) give_up(EXIT_FINDINGS, "no thread to publish from");
    publisher->state = PUBLISHER_IDLE;
}

void sender_go(struct publisher *publisher) {
    if (write(publisher->orders, &publisher->order, sizeof publisher->order) != sizeof publisher->order)
        publisher->state = PUBLISHER_FAILED;
}

void sender_take(struct publisher *publisher) {
    ssize_t count = read(publisher->answers, &publisher->result, sizeof publisher->result);
    bool failed = count != sizeof publisher->result || publisher->result.failed;
    if (failed) fprintf(stderr, "load generator: the server has ended the publisher's connection\n");
    publisher->state = failed ? PUBLISHER_FAILED : PUBLISHER_IDLE;
}

void sender_end(struct publisher *publisher) {
    struct sender *sender = publisher->sender;
    close(publisher->orders);
    pthread_join(sender->thread, NULL);
    close(publisher->answers);
    close(sender->orders);
    close(sender->results);
    close(sender->socket);
    bytes_free(&sender->output);
    free(sender->padding);
    free(sender);
}
