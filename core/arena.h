/* Arena: memory with one lifetime, given back all at once.
 *
 * Three lifetimes exist in the program (process, cell, sample), and each that allocates many small things owns an arena.
 * Pointers stay valid until arena_reset() or arena_free(). Not thread-safe: one owner. A build with TOKSWEEP_ARENA_MALLOC gives
 * every allocation its own malloc block, so that the address sanitizer sees overruns between neighbours. */
#ifndef TOKSWEEP_CORE_ARENA_H
#define TOKSWEEP_CORE_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena { /* zero-initialise: struct arena a = {0}; */
    struct arena_chunk *chunks;
    size_t total; /* bytes handed out since the last reset */
};

/* n * size bytes, zeroed, aligned to 64; NULL when memory is out or the product overflows. n * size == 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t n, size_t size);

/* Copies of text, terminated by NUL; NULL when memory is out. */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets all allocations; keeps the largest chunk for the next round. */
void arena_reset(struct arena *arena);

/* Gives everything back; the arena can be used again. */
void arena_free(struct arena *arena);

#endif
