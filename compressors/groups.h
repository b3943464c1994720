/* Partitions of a video's tokens, and the plan in which each part becomes its mean.
 *
 * Union-find whose root is the part's smallest member, so that the result does not depend on the order of the joins. */
#ifndef TOKSWEEP_COMPRESSORS_GROUPS_H
#define TOKSWEEP_COMPRESSORS_GROUPS_H

#include "core/arena.h"
#include "core/err.h"
#include "core/tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct groups {
    uint32_t *parent; /* [n]; parent[i] <= i */
    size_t n, count;  /* count: parts */
};

/* n parts of one member each. false when memory is out. */
bool groups_new(struct groups *groups, size_t n, struct arena *arena);

/* The smallest member of i's part. */
uint32_t groups_root(struct groups *groups, uint32_t i);

/* Makes one part of two; false when they were one already. */
bool groups_join(struct groups *groups, uint32_t a, uint32_t b);

/* One token per part: the mean of its members in source order, the bounding box as its span, the smallest member as its
 * representative, ascending. Members are sources of the T x h x w grid that groups->n counts. ERR_MEMORY. */
int groups_plan(struct groups *groups, int T, int h, int w, struct arena *arena, struct tok_plan *out, struct err *err);

#endif
