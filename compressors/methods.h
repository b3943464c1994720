/* The methods, one per file, for the table. */
#ifndef TOKSWEEP_COMPRESSORS_METHODS_H
#define TOKSWEEP_COMPRESSORS_METHODS_H

#include "compressors/compressor.h"
#include "core/similarity.h"

/* inside the language model */
extern const struct compressor compressor_fastv;
extern const struct compressor compressor_pyramiddrop;
extern const struct compressor compressor_sparsevlm;
extern const struct compressor compressor_dycoke;
extern const struct compressor compressor_framefusion;
extern const struct compressor compressor_dytok;

/* before it */
extern const struct compressor compressor_none;
extern const struct compressor compressor_visionzip;
extern const struct compressor compressor_prumerge;
extern const struct compressor compressor_divprune;
extern const struct compressor compressor_vidcom2;
extern const struct compressor compressor_fastvid;
extern const struct compressor compressor_holitom;
extern const struct compressor compressor_prunevid;
extern const struct compressor compressor_scissor;
extern const struct compressor compressor_sttm;
extern const struct compressor compressor_pact;
extern const struct compressor compressor_flashvid;
extern const struct compressor compressor_dyntok;
extern const struct compressor compressor_pool;
extern const struct compressor compressor_uniform;
extern const struct compressor compressor_random;
extern const struct compressor compressor_dynamic_vlm;
extern const struct compressor compressor_slowfast;
extern const struct compressor compressor_tome;
extern const struct compressor compressor_vqtoken;

/* Adds a plugin's compressor to the table. ERR_CONFIG when there are too many. */
int compressor_add(const struct compressor *compressor, const char *digest, struct err *err);

/* For methods without options that change what they read: nothing, projected features, or what can be asked of them (NEED_SUMS); and the
 * pooled grid. */
unsigned needs_nothing(const double *values);
unsigned needs_h_pooled(const double *values);
unsigned needs_h_sums(const double *values);
enum src_dom domain_pooled(const double *values);

/* H of the pooled grid, wherever it is. */
struct sim_rows rows_pooled(const struct vid_view *video);

/* A plan that keeps the listed source tokens of the pooled grid, each as it is. `keep` is ascending. */
int plan_select(const struct vid_view *video, const uint32_t *keep, size_t n_keep, struct arena *arena, struct tok_plan *out,
                struct err *err);

/* FrameFusion: the share of the tokens left that is to go so that the mean share over all layers is `cost`, when merging calls have taken
 * share[n_calls] of what each found. In 0..1. */
double framefusion_share(const double *share, int n_calls, double cost, int n_layers);

/* What several methods offer: where tokens stand (each at its place, or as the released code makes them, with one marker at most), and
 * which row and frame markers stay (all, or those of rows and frames that have a token left). */
enum { ORDER_PLACE, ORDER_MADE };
enum { MARKERS_ALL, MARKERS_KEPT };
extern const char *const order_choices[], *const marker_choices[];

/* Adds a visual token that sums the taps from `first` on: its span covers their sources, its size is their number. The caller has
 * reserved enough, and the sources are those of the plan's grid. */
void plan_push_sum(struct tok_plan *plan, size_t first, uint32_t rep);

/* Adds a source as it is. */
void plan_push_source(struct tok_plan *plan, uint32_t source);

/* How many of n tokens are wanted: an allocator's budget of frame t, or round(keep * n), half to even as upstream's language rounds. */
size_t tokens_wanted(double keep, const struct budget *budget, int t, size_t n);

/* Share of `none`'s tokens, markers counted, when a plan on `grid` keeps so many; `made`: in ORDER_MADE, else with all markers. */
double kept_ratio(double tokens, const struct grid_view *grid, bool made, const struct vid_view *shape, enum newline native);

#endif
