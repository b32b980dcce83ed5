// Writes one JSON object a line on stdout.
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool first_member = true;

/// How many bytes the UTF-8 character at the beginning has; 0 when it is none.
static size_t character_length(const unsigned char *text) {
    size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3
        : text[0] < 0xf5 ? 4 : 0;
    for (size_t at = 1; at < length; at++)
        if ((text[at] & 0xc0) != 0x80) return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool outside = (text[0] == 0xed && text[1] >= 0xa0) || (text[0] == 0xf4 && text[1] >= 0x90);
    return overlong || outside ? 0 : length;
}

static void write_text(const char *text) {
    putchar('"');
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t length = character_length(at);
        if (length == 0) putchar('?'); // what a server says as a reason can be anything
        else if (*at == '"' || *at == '\\') printf("\\%c", *at);
        else if (*at < 0x20) printf("\\u%04x", *at);
        else fwrite(at, 1, length, stdout);
        at += length == 0 ? 1 : length;
    }
    putchar('"');
}

static void write_name(const char *name) {
    if (!first_member) putchar(',');
    first_member = false;
    write_text(name);
    putchar(':');
}

void json_begin(const char *kind, const char *label) {
    putchar('{');
    first_member = true;
    json_text("kind", kind);
    if (label != NULL) json_text("label", label);
}

void json_end(void) {
    fputs("}\n", stdout);
    fflush(stdout);
}

void json_text(const char *name, const char *value) {
    write_name(name);
    write_text(value);
}

void json_integer(const char *name, int64_t value) {
    write_name(name);
    printf("%" PRId64, value);
}

void json_decimal(const char *name, double value, int digits) {
    write_name(name);
    printf("%.*f", digits, isfinite(value) ? value : 0.0);
}

void json_number(const char *name, double value) {
    write_name(name);
    printf("%.15g", isfinite(value) ? value : 0.0);
}

void json_object_begin(const char *name) {
    write_name(name);
    putchar('{');
    first_member = true;
}

void json_object_end(void) {
    putchar('}');
    first_member = false;
}
