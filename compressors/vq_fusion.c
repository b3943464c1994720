#include "compressors/vq_fusion.h"

#include "core/similarity.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* y = W x + b, W [out][in]. */
struct linear { const float *w, *b; size_t in, out; };

struct norm { const float *w, *b; };

struct attention { struct linear q, k, v, out; };

/* Where tensors come from, and what went wrong first. */
struct loader { const struct vid_view *video; const char *prefix; int rc; struct err *err; };

/* ---- tensors ------------------------------------------------------------------------------------------------------------- */

static const float *load(struct loader *loader, const char *name, size_t rows, size_t columns)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s", loader->prefix, name);
    const struct named_tensor *tensor = vid_tensor(loader->video, full);
    if (tensor && tensor->rows == rows && tensor->columns == columns)
        return tensor->values;
    if (!loader->rc && !tensor)
        loader->rc = err_set(loader->err, ERR_CONFIG, "compressor vqtoken: the checkpoint has no '%s'; use one that was trained with it, or form: base", full);
    else if (!loader->rc)
        loader->rc = err_set(loader->err, ERR_CONFIG, "compressor vqtoken: '%s' is %zu x %zu, this video needs %zu x %zu; use the frames and the grid that it was trained for, or form: base",
                             full, tensor->rows, tensor->columns, rows, columns);
    return NULL;
}

/* Rows and columns that the tensor itself decides; 0 when it is missing. */
static size_t rows_of(struct loader *loader, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s", loader->prefix, name);
    const struct named_tensor *tensor = vid_tensor(loader->video, full);
    return tensor ? tensor->rows : 0;
}

static struct linear load_linear(struct loader *loader, const char *name, size_t out, size_t in)
{
    char part[128];
    struct linear linear = {.in = in, .out = out};
    snprintf(part, sizeof part, "%s.weight", name);
    linear.w = load(loader, part, out, in);
    snprintf(part, sizeof part, "%s.bias", name);
    linear.b = load(loader, part, out, 1);
    return linear;
}

static struct norm load_norm(struct loader *loader, const char *name, size_t width)
{
    struct linear both = load_linear(loader, name, width, 1); /* a vector has one column */
    return (struct norm){both.w, both.b};
}

/* torch's MultiheadAttention: the three projections of the input above each other. */
static struct attention load_attention(struct loader *loader, const char *in_weight, const char *in_bias, const char *out, size_t width)
{
    const float *w = load(loader, in_weight, 3 * width, width), *b = load(loader, in_bias, 3 * width, 1);
    struct attention attention = {.out = load_linear(loader, out, width, width)};
    struct linear *parts[3] = {&attention.q, &attention.k, &attention.v};
    for (size_t i = 0; i < 3 && w && b; i++)
        *parts[i] = (struct linear){w + i * width * width, b + i * width, width, width};
    return attention;
}

/* ---- arithmetic ---------------------------------------------------------------------------------------------------------- */

static void apply_linear(const struct linear *linear, const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++) {
        sim_dots(x + i * linear->in, linear->w, linear->out, linear->in, y + i * linear->out);
        for (size_t o = 0; o < linear->out; o++)
            y[i * linear->out + o] += linear->b[o];
    }
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

static void apply_norm(const struct norm *norm, float *x, size_t n, size_t width)
{
    for (size_t i = 0; i < n; i++) {
        float *row = x + i * width;
        double mean = 0, variance = 0;
        for (size_t c = 0; c < width; c++)
            mean += (double)row[c] / (double)width;
        for (size_t c = 0; c < width; c++)
            variance += ((double)row[c] - mean) * ((double)row[c] - mean) / (double)width;
        for (size_t c = 0; c < width; c++)
            row[c] = (float)(((double)row[c] - mean) / sqrt(variance + 1e-5)) * norm->w[c] + norm->b[c];
    }
}

static void relu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > 0 ? x[i] : 0;
}

static void softmax(float *x, size_t n)
{
    float most = x[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        most = fmaxf(most, x[i]);
    for (size_t i = 0; i < n; i++)
        sum += (double)(x[i] = expf(x[i] - most));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] / sum);
}

/* One query's head: softmax(q k / sqrt(size)) v, over n keys `stride` apart. */
static void attend_head(const float *q, const float *k, const float *v, size_t n, size_t stride, size_t size, float *weight, float *out)
{
    for (size_t j = 0; j < n; j++)
        weight[j] = sim_dot(q, k + j * stride, size) / sqrtf((float)size);
    softmax(weight, n);
    memset(out, 0, size * sizeof *out);
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < size; c++)
            out[c] += weight[j] * v[j * stride + c];
}

/* y[n] = attention of x[n] over keys and values, n of each. false when memory is out. */
static bool attend(const struct attention *attention, const float *x, const float *keys, const float *values, size_t n, struct arena *arena, float *y)
{
    size_t width = attention->out.in, size = width / FUSION_HEADS;
    float *q = arena_alloc(arena, n * width, sizeof *q), *k = arena_alloc(arena, n * width, sizeof *k), *v = arena_alloc(arena, n * width, sizeof *v);
    float *mixed = arena_alloc(arena, n * width, sizeof *mixed), *weight = arena_alloc(arena, n, sizeof *weight);
    if (!q || !k || !v || !mixed || !weight)
        return false;
    apply_linear(&attention->q, x, n, q);
    apply_linear(&attention->k, keys, n, k);
    apply_linear(&attention->v, values, n, v);
    for (size_t i = 0; i < n; i++)
        for (size_t head = 0; head < width; head += size)
            attend_head(q + i * width + head, k + head, v + head, n, width, size, weight, mixed + i * width + head);
    apply_linear(&attention->out, mixed, n, y);
    return true;
}

static int check_width(size_t width, struct err *err)
{
    if (width % FUSION_HEADS == 0)
        return 0;
    return err_set(err, ERR_CONFIG, "compressor vqtoken: %d heads do not divide features of %zu; use form: base", FUSION_HEADS, width);
}

/* ---- as released --------------------------------------------------------------------------------------------------------- */

struct decoder { struct linear query, up, down; struct attention self, cross; struct norm norm1, norm2, norm3; };

static int load_decoder(const struct vid_view *video, size_t N, size_t width, struct decoder *out, struct err *err)
{
    struct loader module = {video, "model.cross_attention.", 0, err};
    struct loader layer = {video, "model.cross_attention.transformer_decoder.layers.0.", 0, err};
    out->query = load_linear(&module, "to_q_proj", width, N);
    if (module.rc)
        return module.rc;
    size_t ff = rows_of(&layer, "linear1.weight");
    out->self = load_attention(&layer, "self_attn.in_proj_weight", "self_attn.in_proj_bias", "self_attn.out_proj", width);
    out->cross = load_attention(&layer, "multihead_attn.in_proj_weight", "multihead_attn.in_proj_bias", "multihead_attn.out_proj", width);
    out->up = load_linear(&layer, "linear1", ff, width);
    out->down = load_linear(&layer, "linear2", width, ff);
    out->norm1 = load_norm(&layer, "norm1", width);
    out->norm2 = load_norm(&layer, "norm2", width);
    out->norm3 = load_norm(&layer, "norm3", width);
    return layer.rc;
}

/* torch's TransformerDecoderLayer without dropout: x[n] over base[n], in place. */
static bool decode(const struct decoder *decoder, float *x, const float *base, size_t n, size_t width, struct arena *arena)
{
    float *y = arena_alloc(arena, n * width, sizeof *y), *hidden = arena_alloc(arena, n * decoder->up.out, sizeof *hidden);
    if (!y || !hidden || !attend(&decoder->self, x, x, x, n, arena, y))
        return false;
    add(x, y, n * width);
    apply_norm(&decoder->norm1, x, n, width);
    if (!attend(&decoder->cross, x, base, base, n, arena, y))
        return false;
    add(x, y, n * width);
    apply_norm(&decoder->norm2, x, n, width);
    apply_linear(&decoder->up, x, n, hidden);
    relu(hidden, n * decoder->up.out);
    apply_linear(&decoder->down, hidden, n, y);
    add(x, y, n * width);
    apply_norm(&decoder->norm3, x, n, width);
    return true;
}

/* Label numbers as they are: floats. */
static void number_rows(const uint32_t *label, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)label[i];
}

int fusion_released(const struct vid_view *video, const float *base, size_t K, size_t width, const uint32_t *label, size_t N,
                    struct arena *arena, const float **out, size_t *n_out, struct err *err)
{
    struct decoder decoder;
    size_t T = (size_t)video->T, n = T > K ? T : K;
    int rc = check_width(width, err);
    if (rc || (rc = load_decoder(video, N, width, &decoder, err)))
        return rc;
    float *map = arena_alloc(arena, T * N, sizeof *map), *x = arena_alloc(arena, n * width, sizeof *x), *tiled = arena_alloc(arena, n * width, sizeof *tiled);
    if (!map || !x || !tiled)
        return err_no_memory(err, "the fused tokens");
    number_rows(label, T * N, map);
    apply_linear(&decoder.query, map, T, x);
    for (size_t i = T; i < n; i++)
        memcpy(x + i * width, x + i % T * width, width * sizeof *x);
    for (size_t i = 0; i < n; i++)
        memcpy(tiled + i * width, base + i % K * width, width * sizeof *tiled);
    if (!decode(&decoder, x, tiled, n, width, arena))
        return err_no_memory(err, "the fused tokens");
    *out = x;
    *n_out = n;
    return 0;
}

/* ---- as written in the paper --------------------------------------------------------------------------------------------- */

int fusion_paper(const struct vid_view *video, const float *base, size_t K, size_t width, const uint32_t *label, size_t N,
                 struct arena *arena, const float **out, size_t *n_out, struct err *err)
{
    struct loader module = {video, "model.vq_attention.", 0, err};
    size_t all = (size_t)video->T * N, hidden = rows_of(&module, "mlp.0.weight");
    int rc = check_width(width, err);
    if (rc)
        return rc;
    struct linear first = load_linear(&module, "mlp.0", hidden, all), second = load_linear(&module, "mlp.2", K * width, hidden);
    struct attention attention = load_attention(&module, "in_proj.weight", "in_proj.bias", "out_proj", width);
    if (module.rc)
        return module.rc;
    float *map = arena_alloc(arena, all, sizeof *map), *middle = arena_alloc(arena, hidden, sizeof *middle);
    float *motion = arena_alloc(arena, K * width, sizeof *motion), *fused = arena_alloc(arena, K * width, sizeof *fused);
    if (!map || !middle || !motion || !fused)
        return err_no_memory(err, "the fused tokens");
    number_rows(label, all, map);
    apply_linear(&first, map, 1, middle);
    relu(middle, hidden);
    apply_linear(&second, middle, 1, motion);
    if (!attend(&attention, base, base, motion, K, arena, fused))
        return err_no_memory(err, "the fused tokens");
    *out = fused;
    *n_out = K;
    return 0;
}
