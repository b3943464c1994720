/* Distinct texts: a hash table of the numbers they were given. */
#include "plots/report_impl.h"

#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

static size_t *texts_slot(const struct texts *texts, const char *text)
{
    size_t at = (size_t)rng_stream(text) & (texts->n_slots - 1);
    while (texts->slots[at] && strcmp(texts->all[texts->slots[at] - 1], text))
        at = (at + 1) & (texts->n_slots - 1);
    return &texts->slots[at];
}

static bool texts_grow(struct texts *texts)
{
    size_t n_slots = texts->n_slots ? 2 * texts->n_slots : 1024;
    const char **all = realloc(texts->all, n_slots / 2 * sizeof *all);
    size_t *slots = all ? calloc(n_slots, sizeof *slots) : NULL;
    texts->all = all ? all : texts->all;
    if (!slots)
        return false;
    free(texts->slots);
    texts->slots = slots;
    texts->n_slots = n_slots;
    for (size_t i = 0; i < texts->n; i++)
        *texts_slot(texts, texts->all[i]) = i + 1;
    return true;
}

long texts_number(struct texts *texts, const char *text)
{
    if (!text || texts->failed)
        return -1;
    if (texts->n >= texts->n_slots / 2 && !texts_grow(texts)) {
        texts->failed = true;
        return -1;
    }
    size_t *slot = texts_slot(texts, text);
    if (!*slot) {
        if (!(texts->all[texts->n] = arena_strdup(&texts->arena, text))) {
            texts->failed = true;
            return -1;
        }
        *slot = ++texts->n;
    }
    return (long)*slot - 1;
}

void texts_free(struct texts *texts)
{
    free(texts->all);
    free(texts->slots);
    arena_free(&texts->arena);
}
