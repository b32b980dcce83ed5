// Reads a connection: the answer to the upgrade, then frames.
#include "clients.h"
#include "frames.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    ROOM_MINIMUM = 65536,
    RESPONSE_MAXIMUM = 65536,
    MESSAGE_MAXIMUM = 64 << 20,
    OUTPUT_MAXIMUM = 1 << 20, ///< a server that pings and does not read gets no more answers
    READS_IN_A_ROW = 4,       ///< then the others have their turn
};

static void end_with_protocol_error(struct clients *clients, struct connection *connection, const char *error) {
    char reason[REASON_LENGTH];
    const uint8_t code[] = {1002 >> 8, 1002 & 0xff};
    snprintf(reason, sizeof reason, "protocol: %s", error);
    connection_close(clients, connection, code, sizeof code, reason);
}

/// Answers a CLOSE with its code.
static void take_close(struct clients *clients, struct connection *connection, const struct frame *frame) {
    char reason[REASON_LENGTH];
    if (frame->length == 1) {
        end_with_protocol_error(clients, connection, "a CLOSE of one byte");
        return;
    }
    size_t text = frame->length < 2 ? 0 : frame->length - 2;
    int code = frame->length < 2 ? 1005 : frame->payload[0] << 8 | frame->payload[1];
    const char *words = text == 0 ? "" : (const char *)frame->payload + 2;
    snprintf(reason, sizeof reason, "%d%s%.*s", code, text > 0 ? " " : "", (int)text, words);
    connection_close(clients, connection, frame->payload, frame->length < 2 ? 0 : 2, reason);
}

static void take_fragment(
    struct clients *clients, struct connection *connection, const struct frame *frame, int64_t now) {
    bool begins = frame->opcode != OPCODE_CONTINUATION;
    if (begins == connection->fragmented) {
        const char *error = begins ? "a message within a fragmented one" : "a continuation of nothing";
        end_with_protocol_error(clients, connection, error);
        return;
    }
    struct bytes *fragments = &connection->fragments;
    if (fragments->length + frame->length > MESSAGE_MAXIMUM) {
        end_with_protocol_error(clients, connection, "a message of more than 64 MiB");
        return;
    }
    bytes_append(fragments, frame->payload, frame->length);
    connection->fragmented = !frame->final;
    if (!frame->final) return;
    if (fragments->length > 0)
        message_received(clients, connection, (const uint8_t *)fragments->data, fragments->length, now);
    bytes_clear(fragments);
}

/// False when the connection has ended.
static bool take_frame(
    struct clients *clients, struct connection *connection, const struct frame *frame, int64_t now) {
    switch (frame->opcode) {
    case OPCODE_TEXT:
    case OPCODE_BINARY:
    case OPCODE_CONTINUATION:
        if (frame->final && frame->opcode != OPCODE_CONTINUATION && !connection->fragmented)
            message_received(clients, connection, frame->payload, frame->length, now);
        else take_fragment(clients, connection, frame, now);
        break;
    case OPCODE_PING:
        clients->counters.pings++;
        if (connection->output.length > OUTPUT_MAXIMUM) break;
        frame_append(&connection->output, OPCODE_PONG, frame->payload, frame->length);
        return connection_flush(clients, connection);
    case OPCODE_CLOSE: take_close(clients, connection, frame); break;
    default: break; // a PONG that nobody asked for
    }
    return connection->state != CONNECTION_ENDED;
}

/// Returns how many bytes have been consumed. The connection may have ended.
static size_t take_frames(
    struct clients *clients, struct connection *connection, const uint8_t *bytes, size_t length, int64_t now) {
    size_t at = 0;
    for (;;) {
        struct frame frame;
        const char *error = NULL;
        switch (frame_read(bytes + at, length - at, &frame, &error)) {
        case FRAME_INCOMPLETE: return at;
        case FRAME_INVALID: end_with_protocol_error(clients, connection, error); return at;
        case FRAME_COMPLETE: break;
        }
        if (!take_frame(clients, connection, &frame, now)) return at;
        at += frame.size;
    }
}

/// Returns how many bytes the response has, or 0 when it is incomplete or the connection has ended.
static size_t take_upgrade_response(
    struct clients *clients, struct connection *connection, const char *bytes, size_t length) {
    char reason[REASON_LENGTH];
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (length > RESPONSE_MAXIMUM) connection_end(clients, connection, "an endless answer to the upgrade");
        return 0;
    }
    size_t size = (size_t)(end + 4 - bytes);
    if (!upgrade_accepted(bytes, size, reason, sizeof reason)) {
        connection_end(clients, connection, reason);
        return 0;
    }
    connection_upgraded(clients, connection);
    return size;
}

static void take_bytes(struct clients *clients, struct connection *connection, size_t length, size_t fresh) {
    const char *bytes = clients->input.data;
    int64_t now = now_ns();
    size_t at = 0;
    if (connection->state == CONNECTION_UPGRADING) {
        at = take_upgrade_response(clients, connection, bytes, length);
        fresh = at > 0 ? length - at : 0;
    }
    clients->counters.bytes += (int64_t)fresh;
    if (fresh > 0) clients->counters.reads++;
    if (connection->state == CONNECTION_GREETING || connection->state == CONNECTION_READY)
        at += take_frames(clients, connection, (const uint8_t *)bytes + at, length - at, now);
    if (connection->state == CONNECTION_ENDED) return;
    bytes_clear(&connection->rest);
    bytes_append(&connection->rest, bytes + at, length - at);
}

/// Puts the rest of the last read before the room for the next one. Returns its length.
static size_t prepare_input(struct clients *clients, const struct connection *connection) {
    struct bytes *input = &clients->input;
    size_t kept = connection->rest.length;
    if (input->capacity < kept + ROOM_MINIMUM) {
        input->capacity = 2 * kept + ROOM_MINIMUM;
        input->data = reallocate(input->data, input->capacity);
    }
    if (kept > 0) memcpy(input->data, connection->rest.data, kept);
    return kept;
}

void connection_receive(struct clients *clients, struct connection *connection) {
    for (int turn = 0; turn < READS_IN_A_ROW; turn++) {
        size_t kept = prepare_input(clients, connection);
        size_t room = clients->input.capacity - kept;
        ssize_t count = recv(connection->descriptor, clients->input.data + kept, room, MSG_DONTWAIT);
        if (count == 0) {
            connection_end(clients, connection, "end of stream");
            return;
        }
        if (count < 0) {
            if (errno != EAGAIN && errno != EINTR) connection_end(clients, connection, strerror(errno));
            return;
        }
        take_bytes(clients, connection, kept + (size_t)count, (size_t)count);
        bool stop = connection->state == CONNECTION_ENDED || (size_t)count < room;
        if (stop || (connection->slow && connection->state == CONNECTION_READY)) return;
    }
}
