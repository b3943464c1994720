/* Shape of a model: every number of its architecture and protocol, from its config files or from the table of published models.
 * Enough to plan memory, tokens and work without weights. */
#ifndef TOKSWEEP_ENGINE_SHAPE_H
#define TOKSWEEP_ENGINE_SHAPE_H

#include "core/err.h"
#include "core/tokens.h"

#include <stdbool.h>
#include <stdint.h>

struct vision_shape {
    int image_size, patch, side; /* side = image_size / patch patches per row: 27 */
    int width, layers, heads, ff; /* layers that run: 26 */
    float eps;
};

struct language_shape {
    int width, layers, heads, kv_heads, head_dim, ff;
    int vocab;                   /* rows of the embedding */
    float eps;
    double rope_theta;
    bool tied;                   /* one tensor is embedding and head */
};

enum checkpoint_layout { LAYOUT_LMMS, LAYOUT_HF };

struct model_shape {
    enum checkpoint_layout layout;
    struct vision_shape vision;
    struct language_shape language;
    enum pool_mode pool_mode;    /* as the checkpoint asks; a sweep may override */
    int pool_stride;
    enum newline newline;
    int context;                 /* most rows of a prompt with its reply */
    double repetition_penalty;   /* generation_config.json; 1 without */
    int32_t eos[8];
    int n_eos;
    int32_t first_placeholder;   /* llava-hf: ids from here on stand for pictures and have random rows; INT32_MAX elsewhere */
};

/* Reads config.json and generation_config.json of a checkpoint folder. ERR_DATA names the file and the key. */
int model_shape_load(struct model_shape *out, const char *folder, struct err *err);

/* The published model of this Hub id; false if it is not in the table. */
bool model_shape_published(struct model_shape *out, const char *name);

/* Multiply-adds counted as two: one frame through tower and projector; one prompt of n rows through the language model. */
double vision_flops(const struct model_shape *shape);
double prefill_flops(const struct model_shape *shape, double n);

#endif
