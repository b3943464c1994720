/* Vision tower and projector: from pixels of frames to features. All but pixels are tensors (struct memory). */
#ifndef TOKSWEEP_ENGINE_VISION_H
#define TOKSWEEP_ENGINE_VISION_H

#include "engine/model.h"

struct vision_space; /* one worker's */

/* Frames that are best encoded in one pass: one on the host; on a card as many as fill it, up to MOST_FRAMES_AT_ONCE, if their buffers take
 * but a small part of `left` bytes. */
enum { MOST_FRAMES_AT_ONCE = 8 };
int vision_frames_at_once(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, size_t left);

/* Buffers for the model's frames_at_once. */
size_t vision_space_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, int frames_at_once, int threads);
int vision_space_new(struct vision_space **out, const struct model *model, int threads, struct err *err);
void vision_space_free(struct vision_space *space); /* NULL is fine */

/* What the tower knows of frames beside X, of one frame behind the other; NULL where not wanted, N = side*side. Computed from what the plain path leaves behind, whose
 * bits never change. All f32. */
struct vision_side {
    float *sal;   /* [N] attention received in the last layer that runs, mean over heads and queries: sums to 1 */
    float *keys;  /* [N][width] that layer's keys, heads side by side */
    float *kv;    /* [N][width/heads] mean over heads of the same */
    float *probe; /* [N] attention of the pooling head's probe, mean over heads: sums to 1; model->vision_pool must be there, */
    float *frame; /* [width] and what the pooling head makes of the frame; for this too */
};

/* X[n][side*side][width]: output of the last layer that runs, before any final norm, for n frames, at most the model's frames_at_once; the
 * same bits for any n. rgb[i], the host's, is a square of image_side pixels, RGB24; patch * side <= image_side, which on a card is at most
 * the shape's image_size. `side` may be NULL. With `each_layer` not NULL, it is called with the hidden rows after the embeddings (-1) and
 * after every layer, for tests. */
typedef void vision_probe(void *context, int layer, const float *rows);
void vision_encode(const struct model *model, struct vision_space *space, const uint8_t *const *rgb, int n, int image_side, float *X,
                   const struct vision_side *side, vision_probe *each_layer, void *context);

/* P[n][d] = projector(X[n][width]), n <= frames_at_once * side*side. */
void vision_project(const struct model *model, struct vision_space *space, const float *X, size_t n, float *P);

/* X after the tower's final norm, which the language model never sees; model->post_norm_w must be there. */
void vision_post_norm(const struct model *model, struct vision_space *space, const float *X, float *out);

#endif
