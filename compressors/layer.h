/* What methods inside the language model share: scores from attention rows, and plans that keep the best. */
#ifndef TOKSWEEP_COMPRESSORS_LAYER_H
#define TOKSWEEP_COMPRESSORS_LAYER_H

#include "compressors/compressor.h"

/* What becomes of row, frame and end markers: they stay whatever is dropped and are not counted, or are ranked like any token, as
 * upstream code does, which sees one span of rows. */
enum { LAYER_MARKERS_KEPT, LAYER_MARKERS_RANKED };

extern const char *const layer_markers[]; /* "kept", "ranked" */

bool layer_is_marker(const struct out_tok *tok);

/* Adds the span and the size of `by` to those of `tok`. */
void layer_widen(struct out_tok *tok, const struct out_tok *by);

/* For `fits`: ERR_CONFIG when the model has no layer of this number. */
int layer_fits(const char *name, const char *option, double layer, int n_layers, struct err *err);

/* The layer that a released program for models of `of` layers calls `layer`, in a model of n_layers: in proportion, to the nearest; 1 at
 * least. */
int layer_in_proportion(int layer, int of, int n_layers);

/* score[n] of each token: the mean of view->rows over rows and heads, in that order, times size^size_power. Needs no memory. */
void layer_score(const struct layer_view *view, double size_power, float *score);

/* Tokens that are ranked: all, or all but markers. */
size_t layer_ranked(const struct layer_view *view, int markers);

/* keep[i] = 1 for the `count` tokens of highest score (ties to the lower index) among those ranked, and for markers that are not;
 * 0 for the others. Overwrites scores of markers that are not ranked. Needs no memory. */
void layer_keep_best(const struct layer_view *view, int markers, size_t count, float *score, uint8_t *keep);

/* The same within each frame, budget->per_frame[t] of them: how a budget is spent between layers. Tokens across frames belong to their
 * first. `room` has layer_room(n) bytes. */
size_t layer_room(size_t n);
void layer_keep_budget(const struct layer_view *view, int markers, const struct budget *budget, float *score, void *room, uint8_t *keep);

/* The plan that keeps what is marked, as it is; nothing changes when that is all. ERR_MEMORY. */
int layer_plan_keep(const struct layer_view *view, const uint8_t *keep, enum tok_positions positions, struct arena *arena,
                    struct layer_plan *out, struct err *err);

/* The plan that keeps the `count` tokens of highest score among those ranked: FastV's rule and its like. ERR_MEMORY. */
int layer_plan_best(const struct layer_view *view, int markers, size_t count, double size_power, enum tok_positions positions,
                    struct arena *arena, struct layer_plan *out, struct err *err);

#endif
