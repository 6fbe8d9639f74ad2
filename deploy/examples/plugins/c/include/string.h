/* What the generated bindings use of the C library; runtime.c has it. */
#ifndef STRING_H
#define STRING_H
#include <stddef.h>
void *memcpy(void *to, const void *from, size_t size);
size_t strlen(const char *text);
#endif
