/* Revisions: the cells of a store that are one point of a sweep, from the oldest to the latest (view cell_history). */
#ifndef TOKSWEEP_HARNESS_REVISIONS_H
#define TOKSWEEP_HARNESS_REVISIONS_H

#include "core/arena.h"
#include "results/store.h"

struct revisions { /* zero-initialise; texts of the rows live in the arena */
    struct history_row *rows;
    size_t n;
    size_t chosen;  /* the latest that the name calls */
    struct arena arena;
};

/* The revisions of what `name` calls: a label, LABEL@FRAMES or the beginning of a digest. ERR_CONFIG when there is none with an answer, or
 * when it may be several points: names those. */
int revisions_find(struct revisions *out, struct store *store, const char *name, struct err *err);
void revisions_free(struct revisions *revisions);

/* The latest revision whose source revision, build or digest begins so (with four characters at least); NULL when there is none. */
const struct history_row *revisions_begin(const struct revisions *revisions, const char *beginning);

/* "2026-03-01, revision 0123abcd" or "..., build 0123abcd": when and what. */
struct revision_name { char text[80]; };
struct revision_name revision_name(const struct history_row *row);

#endif
