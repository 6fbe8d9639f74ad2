/* The part of a C library that a plugin needs. Every call of a plugin starts
 * in a fresh instance, so memory is only ever taken, never given back. */
#include <stdlib.h>
#include <string.h>

/* The linker says where the program's data ends. */
extern unsigned char __heap_base;
static unsigned char *next = &__heap_base;

/* Each block has its size in front of it. */
enum { ALIGN = 16 };
enum { PAGE = 65536 };

void *malloc(size_t size) {
  if (size > 0x7fffffffu) {
    abort();
  }
  unsigned char *block = (unsigned char *)(((size_t)next + ALIGN - 1) / ALIGN * ALIGN) + ALIGN;
  size_t end = (size_t)block + size;
  size_t pages = (end + PAGE - 1) / PAGE;
  size_t have = __builtin_wasm_memory_size(0);
  if (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (size_t)-1) {
    abort();
  }
  *(size_t *)(block - ALIGN) = size;
  next = (unsigned char *)end;
  return block;
}

void *realloc(void *old, size_t size) {
  void *block = malloc(size);
  if (old) {
    size_t had = *(size_t *)((unsigned char *)old - ALIGN);
    memcpy(block, old, had < size ? had : size);
  }
  return block;
}

void free(void *old) { (void)old; }

_Noreturn void abort(void) { __builtin_trap(); }

void *memcpy(void *to, const void *from, size_t size) {
  for (size_t i = 0; i < size; i++) {
    ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
  }
  return to;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length]) {
    length++;
  }
  return length;
}
