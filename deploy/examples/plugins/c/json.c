#include "json.h"
#include <stdlib.h>
#include <string.h>

static const char *space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
    at++;
  }
  return at;
}

/* The end of a string with its quotes. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++) {
    if (*at == '\\') {
      at++;
    }
  }
  return at < end ? at + 1 : end;
}

/* The end of any value. */
static const char *skip(const char *at, const char *end) {
  int depth = 0;
  while (at < end) {
    if (*at == '"') {
      at = skip_string(at, end);
    } else if (*at == '{' || *at == '[') {
      depth++;
      at++;
    } else if (*at == '}' || *at == ']') {
      if (depth == 0) {
        return at;
      }
      depth--;
      at++;
    } else if (*at == ',' && depth == 0) {
      return at;
    } else {
      at++;
    }
    if (depth == 0 && (at[-1] == '}' || at[-1] == ']')) {
      return at;
    }
  }
  return end;
}

static bool same(plugin_string_t text, const char *name) {
  if (text.len != strlen(name)) {
    return false;
  }
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] != (uint8_t)name[i]) {
      return false;
    }
  }
  return true;
}

const char *json_field(const char *at, const char *end, const char *name) {
  at = space(at, end);
  if (at >= end || *at != '{') {
    return NULL;
  }
  at = space(at + 1, end);
  while (at < end && *at == '"') {
    plugin_string_t key;
    if (!json_string(at, end, &key)) {
      return NULL;
    }
    at = space(skip_string(at, end), end);
    if (at >= end || *at != ':') {
      return NULL;
    }
    at = space(at + 1, end);
    if (same(key, name)) {
      return at;
    }
    at = space(skip(at, end), end);
    if (at < end && *at == ',') {
      at = space(at + 1, end);
    }
  }
  return NULL;
}

static uint32_t hex(const char *at) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    uint32_t digit = c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
    value = value * 16 + (digit & 15);
  }
  return value;
}

static size_t utf8(uint32_t c, uint8_t *to) {
  if (c < 0x80) {
    to[0] = c;
    return 1;
  }
  size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
  to[0] = lead[more] | (c >> (6 * more));
  for (size_t i = 1; i <= more; i++) {
    to[i] = 0x80 | ((c >> (6 * (more - i))) & 0x3f);
  }
  return more + 1;
}

bool json_string(const char *at, const char *end, plugin_string_t *out) {
  if (at >= end || *at != '"') {
    return false;
  }
  /* What is written is never longer than what it is written as. */
  out->ptr = malloc(end - at);
  out->len = 0;
  for (at++; at < end && *at != '"'; at++) {
    if (*at != '\\') {
      out->ptr[out->len++] = *at;
      continue;
    }
    at++;
    if (at >= end) {
      return false;
    }
    uint32_t c = *at;
    switch (*at) {
    case 'n': c = '\n'; break;
    case 't': c = '\t'; break;
    case 'r': c = '\r'; break;
    case 'b': c = '\b'; break;
    case 'f': c = '\f'; break;
    case 'u':
      if (end - at < 5) {
        return false;
      }
      c = hex(at + 1);
      at += 4;
      /* Two escapes make one character outside the basic plane. */
      if (c >= 0xd800 && c < 0xdc00 && end - at >= 7 && at[1] == '\\' && at[2] == 'u') {
        c = 0x10000 + ((c - 0xd800) << 10) + (hex(at + 3) - 0xdc00);
        at += 6;
      }
      break;
    }
    out->len += utf8(c, out->ptr + out->len);
  }
  return at < end;
}
