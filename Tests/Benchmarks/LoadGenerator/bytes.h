// A growing array of bytes.
#ifndef BYTES_H
#define BYTES_H

#include "common.h"

struct bytes {
    char *data;
    size_t length;
    size_t capacity;
};

void bytes_append(struct bytes *bytes, const void *data, size_t length);
void bytes_append_text(struct bytes *bytes, const char *text);
void bytes_append_byte(struct bytes *bytes, unsigned char byte);
void bytes_append_number(struct bytes *bytes, uint64_t number);
void bytes_remove_front(struct bytes *bytes, size_t length);
void bytes_free(struct bytes *bytes);

/// Empties it, and gives its memory back only when that is much: an array in steady use allocates nothing.
void bytes_clear(struct bytes *bytes);

#endif
