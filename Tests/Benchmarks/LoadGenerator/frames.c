// The framing of RFC 6455: what a client sends is masked, what it receives is not.
#include "frames.h"

#include <stdio.h>
#include <string.h>

// One key for all: the server's answer then is a constant, too, and needs no SHA-1 here.
static const char upgrade_key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char upgrade_answer[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

const char *frame_error(const uint8_t *bytes) {
    unsigned opcode = bytes[0] & 15;
    if ((bytes[1] & 0x80) != 0) return "a masked frame";
    if ((bytes[0] & 0x70) != 0) return "a reserved bit is set";
    if ((opcode > OPCODE_BINARY && opcode < OPCODE_CLOSE) || opcode > OPCODE_PONG) return "an unknown opcode";
    if (opcode >= OPCODE_CLOSE && (bytes[0] & 0x80) == 0) return "a fragmented control frame";
    if (opcode >= OPCODE_CLOSE && (bytes[1] & 0x7f) > 125) return "a control frame of more than 125 bytes";
    return NULL;
}

static uint32_t next_mask(void) {
    static uint64_t state = 0x9e3779b97f4a7c15ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)state;
}

static void append_length(struct bytes *output, size_t length) {
    if (length < 126) {
        bytes_append_byte(output, (unsigned char)(0x80 | length));
        return;
    }
    int width = length < 65536 ? 2 : 8;
    bytes_append_byte(output, width == 2 ? 0x80 | 126 : 0x80 | 127);
    for (int byte = width - 1; byte >= 0; byte--) bytes_append_byte(output, (unsigned char)(length >> (8 * byte)));
}

void frame_append(struct bytes *output, enum opcode opcode, const void *payload, size_t length) {
    uint32_t number = next_mask();
    unsigned char mask[4];
    memcpy(mask, &number, sizeof mask);
    bytes_append_byte(output, (unsigned char)(0x80 | opcode));
    append_length(output, length);
    bytes_append(output, mask, sizeof mask);
    size_t start = output->length;
    bytes_append(output, payload, length);
    for (size_t at = 0; at < length; at++) output->data[start + at] ^= (char)mask[at & 3];
}

void upgrade_request_append(struct bytes *output, const char *authority, const char *target, const char *headers) {
    const char *parts[] = {
        "GET ", target, " HTTP/1.1\r\nHost: ", authority,
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
        upgrade_key, "\r\n", headers, "\r\n",
    };
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) bytes_append_text(output, parts[part]);
}

bool upgrade_accepted(const char *response, size_t length, char *reason, size_t reason_size) {
    const char *end = memchr(response, '\r', length);
    size_t line = end == NULL ? length : (size_t)(end - response);
    bool switching = length >= 12 && memcmp(response, "HTTP/1.1 101", 12) == 0;
    if (!switching) {
        snprintf(reason, reason_size, "%.*s", (int)(line < 100 ? line : 100), response);
        return false;
    }
    if (memmem(response, length, upgrade_answer, sizeof upgrade_answer - 1) != NULL) return true;
    snprintf(reason, reason_size, "wrong Sec-WebSocket-Accept");
    return false;
}
