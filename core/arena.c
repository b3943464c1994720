/* Arena: a list of chunks, the newest in front; each allocation is carved from the front chunk. */
#include "core/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, FIRST_CHUNK = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used; /* payload bytes */
    unsigned char *payload;
};

static struct arena_chunk *chunk_new(size_t size)
{
    struct arena_chunk *chunk = malloc(sizeof *chunk);
    if (!chunk)
        return NULL;
    *chunk = (struct arena_chunk){.size = size, .payload = aligned_alloc(ALIGNMENT, size)};
    if (!chunk->payload) {
        free(chunk);
        return NULL;
    }
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t n, size_t size)
{
    if (size && n > (SIZE_MAX / 2) / size)
        return NULL;
    size_t bytes = (n * size + ALIGNMENT) / ALIGNMENT * ALIGNMENT; /* at least one unit, so that every pointer is its own */
    struct arena_chunk *chunk = arena->chunks;
#ifndef TOKSWEEP_ARENA_MALLOC
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t grown = chunk ? chunk->size * 2 : FIRST_CHUNK;
        chunk = chunk_new(grown > bytes ? grown : bytes);
#else
    {
        chunk = chunk_new(bytes);
#endif
        if (!chunk)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    void *out = chunk->payload + chunk->used;
    chunk->used += bytes;
    arena->total += bytes;
    memset(out, 0, bytes);
    return out;
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *out = arena_alloc(arena, length + 1, 1);
    if (out)
        memcpy(out, text, length);
    return out;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *out = n < 0 ? NULL : arena_alloc(arena, (size_t)n + 1, 1);
    if (out)
        vsnprintf(out, (size_t)n + 1, format, again);
    va_end(again);
    return out;
}

static void chunks_free(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        free(chunk->payload);
        free(chunk);
        chunk = next;
    }
}

void arena_reset(struct arena *arena)
{
#ifdef TOKSWEEP_ARENA_MALLOC
    arena_free(arena);
#else
    if (arena->chunks) {
        chunks_free(arena->chunks->next);
        arena->chunks->next = NULL;
        arena->chunks->used = 0;
    }
    arena->total = 0;
#endif
}

void arena_free(struct arena *arena)
{
    chunks_free(arena->chunks);
    *arena = (struct arena){0};
}
