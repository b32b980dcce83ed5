// The framing of RFC 6455: what a client sends is masked, what it receives is not.
#ifndef FRAMES_H
#define FRAMES_H

#include "bytes.h"

enum opcode { OPCODE_CONTINUATION = 0, OPCODE_TEXT = 1, OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9,
    OPCODE_PONG = 10 };

enum { FRAME_LENGTH_MAXIMUM = 16 << 20 };

struct frame {
    const uint8_t *payload;
    size_t length;
    size_t size; ///< with its header
    uint8_t opcode;
    bool final;
};

enum frame_state { FRAME_COMPLETE, FRAME_INCOMPLETE, FRAME_INVALID };

/// Slow path of frame_read: what is wrong with the frame whose first two bytes are these, or NULL.
const char *frame_error(const uint8_t *bytes);

/// Reads the frame at the beginning of `bytes`, without copying. `error` is set when it is invalid.
static inline enum frame_state frame_read(
    const uint8_t *bytes, size_t available, struct frame *frame, const char **error) {
    if (available < 2) return FRAME_INCOMPLETE;
    // Text and binary in one unmasked frame is nearly everything.
    if ((bytes[0] != 0x81 && bytes[0] != 0x82) || (bytes[1] & 0x80) != 0) {
        *error = frame_error(bytes);
        if (*error != NULL) return FRAME_INVALID;
    }
    size_t header = 2;
    uint64_t length = bytes[1];
    if (length >= 126) {
        size_t width = length == 126 ? 2 : 8;
        header += width;
        if (available < header) return FRAME_INCOMPLETE;
        length = 0;
        for (size_t at = 2; at < header; at++) length = length << 8 | bytes[at];
        if (length > FRAME_LENGTH_MAXIMUM) {
            *error = "a frame of more than 16 MiB";
            return FRAME_INVALID;
        }
    }
    if (available - header < length) return FRAME_INCOMPLETE;
    *frame = (struct frame){bytes + header, length, header + length, bytes[0] & 15, (bytes[0] & 0x80) != 0};
    return FRAME_COMPLETE;
}

/// Appends a masked frame.
void frame_append(struct bytes *output, enum opcode opcode, const void *payload, size_t length);

/// Appends the request for the upgrade; `headers` are whole lines with their ends.
void upgrade_request_append(struct bytes *output, const char *authority, const char *target, const char *headers);

/// Whether the response accepts the upgrade. Otherwise `reason` gets its status line or what is missing.
bool upgrade_accepted(const char *response, size_t length, char *reason, size_t reason_size);

#endif
