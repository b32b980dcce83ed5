// Escapes, hexadecimal digits and placeholders in the texts of the command line.
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    return -1;
}

static int hex_pair(const char *text) {
    int high = hex_digit(text[0]);
    int low = high < 0 ? -1 : hex_digit(text[1]);
    return low < 0 ? -1 : high * 16 + low;
}

/// What the letter behind a backslash stands for, or -1.
static int escaped_byte(char letter) {
    switch (letter) {
    case 'r': return '\r';
    case 'n': return '\n';
    case 't': return '\t';
    case '0': return '\0';
    case '\\': return '\\';
    default: return -1;
    }
}

const char *text_unescape(const char *text, struct bytes *decoded) {
    for (; *text != '\0'; text++) {
        if (*text != '\\') {
            bytes_append_byte(decoded, (unsigned char)*text);
            continue;
        }
        text++;
        bool hexadecimal = *text == 'x';
        int byte = hexadecimal ? hex_pair(text + 1) : escaped_byte(*text);
        if (byte < 0) return "knows the escapes \\r \\n \\t \\0 \\\\ \\xHH";
        bytes_append_byte(decoded, (unsigned char)byte);
        if (hexadecimal) text += 2;
    }
    return NULL;
}

const char *text_from_hex(const char *text, struct bytes *decoded) {
    while (*text != '\0') {
        const char *closing = *text == '{' ? strchr(text, '}') : NULL;
        if (closing != NULL) {
            bytes_append(decoded, text, (size_t)(closing + 1 - text));
            text = closing + 1;
        } else if (*text == ' ') {
            text++;
        } else {
            int byte = hex_pair(text);
            if (byte < 0) return "wants pairs of hexadecimal digits";
            bytes_append_byte(decoded, (unsigned char)byte);
            text += 2;
        }
    }
    return NULL;
}

enum placeholder_kind { PLACEHOLDER_NONE, PLACEHOLDER_INDEX, PLACEHOLDER_MODULO, PLACEHOLDER_QUOTIENT,
    PLACEHOLDER_TOKEN };

struct placeholder {
    enum placeholder_kind kind;
    uint64_t divisor;
    size_t length;
};

static bool starts_with(const char *text, size_t length, const char *start) {
    size_t wanted = strlen(start);
    return length >= wanted && memcmp(text, start, wanted) == 0;
}

static struct placeholder placeholder_with_divisor(const char *text, size_t length) {
    struct placeholder none = {0};
    uint64_t divisor = 0;
    size_t at = 3;
    while (at < length && at < 12 && text[at] >= '0' && text[at] <= '9')
        divisor = divisor * 10 + (uint64_t)(text[at++] - '0');
    if (at == 3 || at >= length || text[at] != '}') return none;
    enum placeholder_kind kind = text[2] == '%' ? PLACEHOLDER_MODULO : PLACEHOLDER_QUOTIENT;
    return (struct placeholder){kind, divisor, at + 1};
}

/// The placeholder that the text begins with. Other braces are the payload's own.
static struct placeholder placeholder_at(const char *text, size_t length) {
    if (starts_with(text, length, "{i}")) return (struct placeholder){PLACEHOLDER_INDEX, 1, 3};
    if (starts_with(text, length, "{token}")) return (struct placeholder){PLACEHOLDER_TOKEN, 1, 7};
    if (starts_with(text, length, "{i%") || starts_with(text, length, "{i/"))
        return placeholder_with_divisor(text, length);
    return (struct placeholder){0};
}

void template_append(
    struct bytes *filled, const char *template, size_t length, uint64_t index, const struct tokens *tokens) {
    size_t at = 0;
    while (at < length) {
        const char *brace = memchr(template + at, '{', length - at);
        size_t plain = brace == NULL ? length - at : (size_t)(brace - template) - at;
        bytes_append(filled, template + at, plain);
        at += plain;
        if (brace == NULL) return;
        struct placeholder placeholder = placeholder_at(template + at, length - at);
        switch (placeholder.kind) {
        case PLACEHOLDER_NONE: bytes_append_byte(filled, '{'); break;
        case PLACEHOLDER_INDEX: bytes_append_number(filled, index); break;
        case PLACEHOLDER_MODULO: bytes_append_number(filled, index % placeholder.divisor); break;
        case PLACEHOLDER_QUOTIENT: bytes_append_number(filled, index / placeholder.divisor); break;
        case PLACEHOLDER_TOKEN: bytes_append_text(filled, tokens->lines[index % tokens->count]); break;
        }
        at += placeholder.kind == PLACEHOLDER_NONE ? 1 : placeholder.length;
    }
}

const char *template_error(const char *template, size_t length, const struct tokens *tokens) {
    for (size_t at = 0; at < length; at++) {
        struct placeholder placeholder = placeholder_at(template + at, length - at);
        if (placeholder.kind == PLACEHOLDER_TOKEN && tokens->count == 0) return "{token} needs --tokens";
        if (placeholder.kind != PLACEHOLDER_NONE && placeholder.divisor == 0) return "a divisor of 0 in a placeholder";
    }
    return NULL;
}

static void tokens_add(struct tokens *tokens, const char *line) {
    if ((tokens->count & (tokens->count - 1)) == 0) { // full at each power of two
        size_t capacity = tokens->count == 0 ? 1 : 2 * tokens->count;
        tokens->lines = reallocate(tokens->lines, capacity * sizeof *tokens->lines);
    }
    tokens->lines[tokens->count++] = copy_text(line);
}

struct tokens tokens_read(const char *path) {
    struct tokens tokens = {0};
    FILE *file = fopen(path, "re");
    if (file == NULL) give_up(EXIT_MISUSE, "--tokens %s: %s", path, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, file) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0') tokens_add(&tokens, line);
    }
    free(line);
    fclose(file);
    if (tokens.count == 0) give_up(EXIT_MISUSE, "--tokens %s: no lines", path);
    return tokens;
}
