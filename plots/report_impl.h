/* What the parts of the report share: JSON as it is written, text by text. */
#ifndef TOKSWEEP_PLOTS_REPORT_IMPL_H
#define TOKSWEEP_PLOTS_REPORT_IMPL_H

#include "core/arena.h"
#include "core/text.h"
#include "plots/report.h"

#include <stdbool.h>

extern const char report_page[], report_style[], report_script[]; /* plots/report/, made by embed.cmake */

/* A JSON string that can stand in a <script>: no '<'; bytes that are no UTF-8 are U+FFFD. NULL is null. */
void json_put_text(struct text *out, const char *string);

/* The shortest of the numbers that read back with so many digits; NaN is null. */
void json_put_real(struct text *out, double value, int digits);

/* Numbers for distinct texts, in the order they come. Zero-initialise. */
struct texts {
    const char **all;      /* [n] */
    size_t *slots;         /* [n_slots] number + 1, 0 for none; open addressing, at most half full */
    size_t n, n_slots;
    bool failed;           /* memory ran out */
    struct arena arena;
};

long texts_number(struct texts *texts, const char *text); /* from 0; -1 for NULL, and when memory is out */
void texts_free(struct texts *texts);

/* A manifest that some cell answers, and what pictures are wanted of its videos. */
struct pictured {
    struct manifest manifest;
    unsigned char *seen;   /* [n_samples] bit 0: some cell is wrong; bit 1: some is right */
};
struct wanted_groups { size_t manifest, video, digest; }; /* digest: number in report.digests */

struct report { /* zero-initialise, but for the first three */
    struct store *store;
    const struct report_options *options;
    struct report_counts *counts;
    struct text cells, manifests;  /* JSON arrays without their ends */
    struct texts replies, known, digests; /* known: benchmark and digest of the manifests that are there */
    struct pictured *pictured;     /* [known.n] */
    struct wanted_groups *wanted;  /* [n_wanted] each once for a video */
    size_t n_wanted;
    size_t most_videos;
    struct err err;                /* of what is read for a cell */
};

/* Reads the store and appends what the page shows of it as one JSON object. */
int report_data(struct text *out, struct report *report, struct err *err);

/* Appends frames and token groups as one JSON object: plots/report/film.js reads it. */
int report_pictures(struct text *out, struct report *report, struct err *err);

#endif
