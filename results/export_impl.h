/* What the files of exports share. Inside results/ only. */
#ifndef TOKSWEEP_RESULTS_EXPORT_IMPL_H
#define TOKSWEEP_RESULTS_EXPORT_IMPL_H

#include "core/json.h"
#include "results/export.h"

/* What formats write; as export_format.write. */
int export_lmms_samples(struct text *out, const struct export_source *source, const char *task, struct err *err);
int export_lmms_results(struct text *out, const struct export_source *source, const char *task, struct err *err);
int export_vlmevalkit_tsv(struct text *out, const struct export_source *source, const char *task, struct err *err);
int export_vlmevalkit_rating(struct text *out, const struct export_source *source, const char *task, struct err *err);
int export_videomme_leaderboard(struct text *out, const struct export_source *source, const char *task, struct err *err);
int export_mlvu_leaderboard(struct text *out, const struct export_source *source, const char *task, struct err *err);

int export_answers(struct text *out, const struct export_source *source, const char *task, struct err *err);

/* "20250601_120000" of when the cell was begun; all zeros when nothing is answered. */
void export_stamp(const struct stored_cell *cell, char stamp[16]);

/* The model's name as lmms-eval has it in paths: the last two parts of a path or Hub id, with `between` between them. */
char *export_model_name(const struct stored_cell *cell, const char *between);

static inline const struct video_ref *export_video(const struct export_source *source, size_t sample)
{
    const struct manifest *manifest = &source->cell->manifest;
    return &manifest->videos[manifest->samples[sample].video];
}

/* json_add() where neither may be there, so that a tree is built in one expression: NULL when anything in it failed. */
struct json *export_put(struct json *parent, const char *key, struct json *child);

bool export_put_text(struct json *object, const char *key, const char *text); /* NULL is null */

/* One quoted field and what ends it: a comma, a tab, or a line. NULL is an empty one. */
void export_put_field(struct text *out, const char *value, const char *end);

/* A tree as indented text. Frees the tree, which may be NULL: memory ran out. */
int export_put_tree(struct text *out, struct json *tree, struct err *err);

#endif
