/* The methods, one per file, for the table. */
#ifndef TOKSWEEP_COMPRESSORS_METHODS_H
#define TOKSWEEP_COMPRESSORS_METHODS_H

#include "compressors/compressor.h"

extern const struct compressor compressor_none;
extern const struct compressor compressor_dyntok;
extern const struct compressor compressor_pool;
extern const struct compressor compressor_uniform;
extern const struct compressor compressor_random;
extern const struct compressor compressor_dynamic_vlm;
extern const struct compressor compressor_slowfast;
extern const struct compressor compressor_tome;

/* For methods without options that change what they read: nothing, and the pooled grid. */
unsigned needs_nothing(const double *values);
enum src_dom domain_pooled(const double *values);

/* A plan that keeps the listed source tokens of the pooled grid, each as it is. `keep` is ascending. */
int plan_select(const struct vid_view *video, const uint32_t *keep, size_t n_keep, struct arena *arena, struct tok_plan *out,
                struct err *err);

#endif
