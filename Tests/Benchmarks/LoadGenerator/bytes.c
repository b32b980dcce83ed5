// A growing array of bytes.
#include "bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_CAPACITY = 16384 };

void bytes_append(struct bytes *bytes, const void *data, size_t length) {
    if (length == 0) return;
    if (bytes->capacity - bytes->length < length) {
        size_t wanted = bytes->length + length;
        bytes->capacity = wanted < 2 * bytes->capacity ? 2 * bytes->capacity : wanted;
        bytes->data = reallocate(bytes->data, bytes->capacity);
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

void bytes_append_text(struct bytes *bytes, const char *text) { bytes_append(bytes, text, strlen(text)); }

void bytes_append_byte(struct bytes *bytes, unsigned char byte) { bytes_append(bytes, &byte, 1); }

void bytes_append_number(struct bytes *bytes, uint64_t number) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    bytes_append(bytes, digits, (size_t)length);
}

void bytes_remove_front(struct bytes *bytes, size_t length) {
    if (length == 0) return;
    bytes->length -= length;
    memmove(bytes->data, bytes->data + length, bytes->length);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}

void bytes_clear(struct bytes *bytes) {
    if (bytes->capacity > KEPT_CAPACITY) bytes_free(bytes);
    bytes->length = 0;
}
