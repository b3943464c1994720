/* Model: a checkpoint's weights, packed for the kernels, read-only once open and shared by all workers. Matrices and their biases, norms,
 * position, probe and newline are tensors (struct memory); what compressors read is the host's. */
#ifndef TOKSWEEP_ENGINE_MODEL_H
#define TOKSWEEP_ENGINE_MODEL_H

#include "core/digest.h"
#include "core/err.h"
#include "core/tokens.h"
#include "engine/kernels/kernels.h"
#include "engine/shape.h"
#include "engine/tokenizer.h"

struct safetensors;

struct vision_layer {
    const float *norm1_w, *norm1_b, *norm2_w, *norm2_b;
    struct matrix q, kv, out, fc1, fc2; /* kv: keys above values */
};

/* The tower's pooling head, which the language model never sees: one learned probe attends to the normed patches. */
struct vision_pool {
    const float *probe;       /* [width] */
    struct matrix q, kv, out; /* kv: keys above values */
    const float *norm_w, *norm_b;
    struct matrix fc1, fc2;
};

struct language_layer {
    const float *norm1_w, *norm2_w;
    struct matrix qkv, out, gate_up, down; /* gate_up packed by swiglu_gate_row */
};

struct model {
    struct model_shape shape;
    const struct kernels *kernels;
    enum dtype dtype;            /* one that the table has (kernels_computes); I8: linear layers of tower and language model, all else is in bf16 */
    enum dtype act;              /* dtype_act(dtype) */
    struct tokenizer *tokenizer;
    char digest[DIGEST_HEX];     /* of config, generation config, tokenizer and tensors */

    struct matrix patch;         /* [width][3*patch*patch] */
    const float *position;       /* [side*side][width] */
    struct vision_layer *vision_layers;
    const float *post_norm_w, *post_norm_b; /* NULL when the checkpoint lacks them */
    struct vision_pool *vision_pool;        /* NULL when the checkpoint lacks it, as all published ones do */
    struct matrix projector1, projector2;
    const float *newline;        /* [d]; NULL when the checkpoint lacks it */

    struct matrix embed;         /* [vocab][d]; the head as well when tied */
    struct language_layer *language_layers;
    const float *final_norm;
    struct matrix head;          /* [rows that may be chosen][d]: ids at and past tokenizer_size() are left out */

    const struct named_tensor *method_tensors; /* trained parts of compressors that the checkpoint holds, f32; n_method_tensors */
    size_t n_method_tensors;

    size_t weight_bytes;         /* that the weights take, or will take */
    int frames_at_once;          /* that go through the tower in one pass (vision_frames_at_once); never a matter of bits */
    bool loaded;                 /* else nothing may be computed: weights that the checkpoint has are not NULL, but nowhere */
    struct safetensors *files;   /* open until then */
    struct model_blocks *blocks; /* what is to be freed */
};

/* Opens a checkpoint folder without its weights: shape, tokenizer, digest (remembered from earlier times: safetensors_digest), and what the
 * weights will take; every tensor's name and shape is checked, leftovers that the layout does not know are refused. ERR_DATA, ERR_IO,
 * ERR_MEMORY name the file and the tensor; ERR_CONFIG when `kernels` has no int8. */
int model_examine(struct model **out, const char *folder, const struct kernels *kernels, enum dtype dtype, struct err *err);

/* Reads the weights of an examined model (rounded, or for I8 quantised, as they are read), once. Errors as above; the model is then good
 * for nothing but being closed. */
int model_load(struct model *model, struct err *err);

/* Both. */
int model_open(struct model **out, const char *folder, const struct kernels *kernels, enum dtype dtype, struct err *err);

/* A model of this shape with seeded random weights and no tokenizer, for benchmarks. */
int model_random(struct model **out, const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype, uint64_t seed,
                 struct err *err);

void model_close(struct model *model); /* NULL is fine */

/* What model_open will allocate for weights of this shape and dtype, in bytes; a pooling head and method tensors not counted. */
size_t model_bytes(const struct model_shape *shape, const struct kernels *kernels, enum dtype dtype);

#endif
