/* The trained fusion of token base and token dynamics map, in the released form and in the paper's. */
#ifndef TOKSWEEP_COMPRESSORS_VQ_FUSION_H
#define TOKSWEEP_COMPRESSORS_VQ_FUSION_H

#include "core/arena.h"
#include "core/err.h"
#include "core/tokens.h"

#include <stddef.h>
#include <stdint.h>

/* Heads of both attentions, as released. */
enum { FUSION_HEADS = 8 };

/* The released module (VQToken/vq_attn.py), tensors model.cross_attention.*: each frame's row of N label numbers is one query of
 * `width`; queries and base are repeated to the length of the longer; one post-norm decoder layer. out[max(T, K)][width].
 * base  [K][width], label [T*N]. ERR_CONFIG names the tensor that is missing or of another shape; ERR_MEMORY. */
int fusion_released(const struct vid_view *video, const float *base, size_t K, size_t width, const uint32_t *label, size_t N,
                    struct arena *arena, const float **out, size_t *n_out, struct err *err);

/* The paper's: Mt = MLP(all T*N labels) in R^{K x width}; base as queries and keys, Mt as values. out[K][width]. No weights were
 * published for it; tensors model.vq_attention.{mlp.0, mlp.2, in_proj, out_proj}.{weight, bias}, ReLU between the two layers. */
int fusion_paper(const struct vid_view *video, const float *base, size_t K, size_t width, const uint32_t *label, size_t N,
                 struct arena *arena, const float **out, size_t *n_out, struct err *err);

#endif
