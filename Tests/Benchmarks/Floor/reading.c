/* What clients send: the request for the upgrade, then frames. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "floor.h"

enum { INPUT_SIZE = 65536, SHORTEST_HEADER = 2, MASK = 4 };
enum { INCOMPLETE = 0, ENDED = -1 };

static unsigned char input[INPUT_SIZE];
static const char *answer_text;

void reading_prepare(const char *answer) { answer_text = answer; }

static ssize_t refuse(int descriptor)
{
    static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    connection_at(descriptor)->closing = true;
    connection_send_own(descriptor, refusal, sizeof refusal - 1);
    return ENDED;
}

/* The bytes of the request, 0 when its end is not there yet, -1 when the connection ends. */
static ssize_t upgrade(int descriptor, const unsigned char *bytes, size_t length)
{
    char accept[ACCEPT_LENGTH + 1], response[256];
    const unsigned char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL)
        return INCOMPLETE;
    size_t head = (size_t)(end - bytes) + 4;
    if (!handshake_accept((const char *)bytes, head, accept))
        return refuse(descriptor);
    int written = snprintf(
        response, sizeof response,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    connection_at(descriptor)->upgraded = true;
    return connection_send_own(descriptor, response, (size_t)written) ? (ssize_t)head : ENDED;
}

/* False: the connection has ended. */
static bool answer_frame(int descriptor, int opcode, const unsigned char *payload, size_t length)
{
    struct connection *connection = connection_at(descriptor);
    switch (opcode) {
    case TEXT:
        if (connection->subscribed)
            return true;
        connection_subscribe(descriptor);
        return answer_text == NULL
            || connection_send_frame(descriptor, TEXT, answer_text, strlen(answer_text));
    case PING:
        return connection_send_frame(descriptor, PONG, payload, length);
    case CLOSE:
        connection->closing = true;
        return connection_send_frame(descriptor, CLOSE, payload, length < 2 ? 0 : 2);
    default:
        return true;
    }
}

/* The bytes of the frame's header with the mask, 0 when it is incomplete. */
static size_t frame_size(const unsigned char *bytes, size_t length, uint64_t *payload)
{
    size_t width = (bytes[1] & 0x7F) < 126 ? 0 : (bytes[1] & 0x7F) == 126 ? 2 : 8;
    size_t header = SHORTEST_HEADER + width + MASK;
    if (length < header)
        return 0;
    *payload = width == 0 ? bytes[1] & 0x7F : 0;
    for (size_t index = 0; index < width; index++)
        *payload = *payload << 8 | bytes[SHORTEST_HEADER + index];
    return header;
}

/* As `upgrade`, for one frame. A frame must be masked, and fit in the input. */
static ssize_t read_frame(int descriptor, unsigned char *bytes, size_t length)
{
    uint64_t payload = 0;
    if (length < SHORTEST_HEADER)
        return INCOMPLETE;
    size_t header = frame_size(bytes, length, &payload);
    if ((bytes[1] & 0x80) == 0 || payload > INPUT_SIZE - SHORTEST_HEADER - 8 - MASK) {
        connection_end(descriptor);
        return ENDED;
    }
    if (header == 0 || length < header + payload)
        return INCOMPLETE;
    const unsigned char *mask = bytes + header - MASK;
    for (size_t index = 0; index < payload; index++)
        bytes[header + index] ^= mask[index % MASK];
    if (!answer_frame(descriptor, bytes[0] & 0x0F, bytes + header, (size_t)payload))
        return ENDED;
    return (ssize_t)(header + payload);
}

/* How much was used; -1 when nothing is to be kept any more. */
static ssize_t consume(int descriptor, unsigned char *bytes, size_t length)
{
    struct connection *connection = connection_at(descriptor);
    size_t used = 0;
    while (used < length) {
        if (connection->closing)
            return (ssize_t)length;
        ssize_t taken = connection->upgraded ? read_frame(descriptor, bytes + used, length - used)
                                             : upgrade(descriptor, bytes + used, length - used);
        if (taken == ENDED)
            return ENDED;
        if (taken == INCOMPLETE)
            break;
        used += (size_t)taken;
    }
    return (ssize_t)used;
}

static void keep(struct connection *connection, const unsigned char *bytes, size_t length)
{
    unsigned char *kept = length == 0 ? NULL : malloc(length);
    if (kept != NULL)
        memcpy(kept, bytes, length);
    else if (length > 0)
        fail("malloc");
    free(connection->kept);
    connection->kept = kept;
    connection->kept_length = (uint32_t)length;
}

/* One buffer for all; a connection keeps memory only while something is incomplete. */
void connection_read(int descriptor)
{
    struct connection *connection = connection_at(descriptor);
    size_t length = connection->kept_length;
    if (length > 0)
        memcpy(input, connection->kept, length);
    ssize_t got = length == INPUT_SIZE ? 0 : recv(descriptor, input + length, INPUT_SIZE - length, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        connection_end(descriptor);
        return;
    }
    length += (size_t)got;
    ssize_t used = consume(descriptor, input, length);
    if (used != ENDED && (connection->kept != NULL || (size_t)used < length))
        keep(connection, input + used, length - (size_t)used);
}
