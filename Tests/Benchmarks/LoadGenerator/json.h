// Writes one JSON object a line on stdout.
#ifndef JSON_H
#define JSON_H

#include "common.h"

void json_begin(const char *kind, const char *label);
void json_end(void);
void json_text(const char *name, const char *value);
void json_integer(const char *name, int64_t value);
void json_decimal(const char *name, double value, int digits);
void json_number(const char *name, double value);
void json_object_begin(const char *name);
void json_object_end(void);

#endif
