/* What methods before the language model cost, on made-up features of a model's shape. */
#ifndef TOKSWEEP_HARNESS_BENCH_METHODS_H
#define TOKSWEEP_HARNESS_BENCH_METHODS_H

#include "core/arena.h"
#include "engine/model.h"

enum { BENCH_FRAMES = 64 }; /* of a made-up video */

/* The settings that are measured, in the order of docs/compressors.md; NULL past the end. */
struct bench_method { const char *name, *options; };
const struct bench_method *bench_method_at(int i);

/* Runs one `repeats` + 1 times where the model's features are and leaves seconds[repeats] of all but the first, which is a warm-up; label in
 * `arena`. The features look like a video's: patches of one thing are alike, and most things stay from frame to frame. *n: tokens it made of them. */
int bench_method_run(const struct bench_method *method, const struct model *model, int repeats, double *seconds, size_t *n, const char **label,
                     struct arena *arena, struct err *err);

#endif
