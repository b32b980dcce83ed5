/* The shared log: every message once, as the frame that goes out; each subscriber has a position in it. */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "floor.h"

static unsigned char *bytes;
static size_t filled, capacity;
static uint64_t start;

uint64_t log_start(void) { return start; }

uint64_t log_end(void) { return start + filled; }

const unsigned char *log_at(uint64_t position) { return bytes + (position - start); }

size_t frame_header(unsigned char *header, int opcode, size_t length)
{
    size_t width = length < 126 ? 0 : length < 65536 ? 2 : 8;
    header[0] = (unsigned char)(0x80 | opcode);
    header[1] = (unsigned char)(width == 0 ? length : width == 2 ? 126 : 127);
    for (size_t index = 0; index < width; index++)
        header[2 + index] = (unsigned char)(length >> (8 * (width - 1 - index)));
    return 2 + width;
}

/* Of the frame that begins at the position. */
size_t log_frame_length(uint64_t position)
{
    const unsigned char *header = log_at(position);
    size_t length = header[1];
    size_t width = length < 126 ? 0 : length == 126 ? 2 : 8;
    if (width > 0)
        length = 0;
    for (size_t index = 0; index < width; index++)
        length = length << 8 | header[2 + index];
    return 2 + width + length;
}

static void make_room(size_t more)
{
    if (filled + more <= capacity)
        return;
    while (filled + more > capacity)
        capacity = capacity == 0 ? 65536 : capacity * 2;
    bytes = realloc(bytes, capacity);
    if (bytes == NULL)
        fail("realloc");
}

/* Spaces after the payload make it `padded` long: JSON stays JSON. */
void log_append(const unsigned char *payload, size_t length, size_t padded)
{
    size_t total = length < padded ? padded : length;
    make_room(total + LONGEST_HEADER);
    filled += frame_header(bytes + filled, TEXT, total);
    memcpy(bytes + filled, payload, length);
    memset(bytes + filled + length, ' ', total - length);
    filled += total;
}

void log_forget(uint64_t before)
{
    size_t gone = (size_t)(before - start);
    memmove(bytes, bytes + gone, filled - gone);
    filled -= gone;
    start = before;
}
