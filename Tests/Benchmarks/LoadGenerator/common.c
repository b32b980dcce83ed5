// Giving up with one line, and memory that is there or ends the process.
#include "common.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void give_up(enum exit_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load generator: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(status);
}

void *allocate(size_t size) { return reallocate(NULL, size); }

void *reallocate(void *memory, size_t size) {
    void *result = realloc(memory, size > 0 ? size : 1);
    if (result == NULL) give_up(EXIT_FINDINGS, "out of memory");
    return result;
}

char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(allocate(size), text, size);
}
