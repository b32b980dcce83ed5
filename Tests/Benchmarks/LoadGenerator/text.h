// Escapes, hexadecimal digits and placeholders in the texts of the command line.
#ifndef TEXT_H
#define TEXT_H

#include "bytes.h"

struct tokens {
    char **lines;
    size_t count;
};

/// Decodes \r \n \t \0 \\ \xHH. Returns what is wrong, or NULL.
const char *text_unescape(const char *text, struct bytes *decoded);

/// Decodes pairs of hexadecimal digits; placeholders in braces stay as they are. Returns what is wrong, or NULL.
const char *text_from_hex(const char *text, struct bytes *decoded);

/// Appends the template with {i}, {i%K}, {i/K} and {token} filled in.
void template_append(
    struct bytes *filled, const char *template, size_t length, uint64_t index, const struct tokens *tokens);

/// What keeps the template from being filled in, or NULL.
const char *template_error(const char *template, size_t length, const struct tokens *tokens);

/// The lines of a file that are not empty. Ends the process when there are none.
struct tokens tokens_read(const char *path);

#endif
