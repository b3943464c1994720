/* Features: what the tower and the projector made of one video's frames, kept as tensors as long as the video is worked on; compressors see
 * copies of what they ask for on the host, or compare and add up what stays where it is.
 *
 * Each distinct frame is encoded once, for all grids that the video's cells ask for. One worker's. */
#ifndef TOKSWEEP_ENGINE_FEATURES_H
#define TOKSWEEP_ENGINE_FEATURES_H

#include "core/tokens.h"
#include "engine/vision.h"

/* One way from the tower's patches to the language model's grid, and what of it is to be kept. */
struct feature_grid {
    enum pool_mode mode;
    int stride;
    bool before_projector; /* pools first and projects afterwards: another model, for comparison */
    bool post_norm;        /* X is taken after the tower's final norm; H is not affected */
    unsigned keep;         /* enum compressor_needs: kept beside H on the pooled grid, which always is */
};

struct features;

/* ERR_CONFIG when the checkpoint lacks what these needs are made of: the tower's final norm, its pooling head. */
int features_check(const struct model *model, unsigned needs, struct err *err);

/* Bytes for n_frames frames, of which so many are encoded at once. */
size_t features_bytes(const struct model_shape *shape, enum dtype dtype, int frames_at_once, size_t n_frames, const struct feature_grid *grids,
                      size_t n_grids);
int features_new(struct features **out, const struct model *model, size_t n_frames, const struct feature_grid *grids, size_t n_grids,
                 struct err *err);
void features_free(struct features *features); /* NULL is fine */

/* Encodes n frames, at most the model's frames_at_once, into their slots (0..n_frames-1). rgb: the frames of all slots, one behind the other,
 * each as for vision_encode. Fails where a device does (struct memory's settle). */
int features_encode(struct features *features, struct vision_space *space, const size_t *slots, size_t n, const uint8_t *rgb, int image_side,
                    struct err *err);

/* In place of encoding, for measurements: what a grid keeps of one kind (one of enum compressor_needs), f32 [n_frames][rows][width] of the
 * host. */
int features_put(struct features *features, size_t grid, unsigned need, const float *values, struct err *err);

/* Bytes of the view below, and of what a method derives from it: as much as is copied, or the rows that it makes where they stay. */
size_t features_view_bytes(const struct model_shape *shape, const struct feature_grid *grid, unsigned needs, int T);

/* The view a compressor gets of the frames in slots[0..T) (repeats allowed): arrays gathered in f32 into `arena`, only those of
 * `needs` (enum compressor_needs), and what the checkpoint holds for methods; with NEED_DOTS or NEED_SUMS X, H and keys are not gathered, and
 * what refers to them refers to `slots` as well; rows made of them are good until the next view. video_hash is left 0. ERR_MEMORY. */
int features_view(struct features *features, size_t grid, const size_t *slots, int T, unsigned needs, struct arena *arena,
                  struct vid_view *out, struct err *err);

/* Gives back the memory of rows that a method made of the last view's. */
void features_forget(struct features *features);

/* Embedded rows [n][d], a tensor, of tokens first..first+n-1 of a laid-out plan over the same slots. Sums in f32 in tap order. ERR_MEMORY. */
int features_apply(const struct features *features, struct vision_space *space, size_t grid, const size_t *slots,
                   const struct tok_plan *plan, size_t first, size_t n, float *rows, struct err *err);

#endif
