/* Shown: what became of one video's tokens under some cells, gathered while a runner works on them; for `inspect`, which draws and counts
 * it. */
#ifndef TOKSWEEP_HARNESS_SHOWN_H
#define TOKSWEEP_HARNESS_SHOWN_H

#include "harness/table.h"

#include "core/err.h"
#include "plots/token_groups.h"
#include "runners/runner.h"

/* The tokens of a cell as they enter the language model; for cells that act inside of it, in a run of its layers. */
struct shown_row {
    size_t cell;                   /* of the job */
    int first_layer, last_layer;   /* -1: before the language model */
    struct token_groups groups;    /* coloured */
    size_t content_before, markers_before, unpooled; /* without compression: tokens, markers, the tower's patches */
    struct measure *measures;      /* the cell's; none in rows after its first */
    int n_measures;
};

struct shown { /* zero-initialise, but for job */
    const struct job *job;         /* one question */
    struct shown_row *rows;        /* in the order of the cells, once sorted by shown_finish */
    size_t n, room;
    struct err err;                /* why it stopped, if it did; or how a cell failed */
    struct arena arena;
};

/* A job's viewer and sink; context is a struct shown. The sink notes the first failure. */
token_viewer shown_add;
answer_sink shown_fail;

/* Orders the rows as the cells are. */
void shown_finish(struct shown *shown);
void shown_free(struct shown *shown);

/* "dyntok threshold=0.6", "fastv layer=1, layers 1 to 2"; with the number of frames where cells differ in it. In the arena; NULL when
 * memory is out. */
const char *shown_label(struct shown *shown, const struct shown_row *row);

/* Which frames are drawn: places in the video's frames as all cells together show them, from 1: "1,3,5-8", "all"; NULL: a few that are
 * spread over all. `title` and `note` stand above. Frames are read once more, in their own size, and drawn `width` pixels wide.
 * ERR_CONFIG for a place that is not there, and for what token_picture_draw refuses; ERR_DATA, ERR_IO, ERR_MEMORY. */
int shown_draw(struct shown *shown, const char *places, int width, const char *title, const char *note, const char *out, struct err *err);

/* Counts: for people a block per row, else one table of (method, what, of, value). false when memory ran out. */
bool shown_count(struct shown *shown, enum table_format format, struct text *out);

#endif
