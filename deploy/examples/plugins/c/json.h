/* As much of a JSON reader as this plugin needs: fields of objects and
 * strings. The documents come from the operator, so they are well-formed. */
#ifndef JSON_H
#define JSON_H
#include "plugin.h"

/* Where the value of a field begins; null where `at` is no object or has no
 * such field. */
const char *json_field(const char *at, const char *end, const char *name);

/* Reads the string that begins at `at` into memory of its own. */
bool json_string(const char *at, const char *end, plugin_string_t *out);
#endif
