/* Features: storage by frame slot and grid, and the one place where token plans meet embeddings. */
#include "engine/features.h"

#include "compressors/compressor.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* What can be kept of a frame, and where a view shows it. H is kept in the compute dtype: it is what the language model's first matrix
 * would round anyway. What decides stays f32. */
enum kept_width { WIDTH_ONE, WIDTH_KEY, WIDTH_X, WIDTH_H };
enum kept_rows { ROWS_POOLED, ROWS_RAW, ROW_OF_FRAME };

static const struct kept {
    unsigned need;
    enum kept_rows rows;
    enum kept_width width;
    size_t at;  /* of the pointer in struct vid_view */
    size_t far; /* of that to rows which stay here; 0: they are always copied */
} kinds[] = {
    {NEED_H_POOLED, ROWS_POOLED, WIDTH_H, offsetof(struct vid_view, pooled.H), offsetof(struct vid_view, pooled.far_H)},
    {NEED_H_RAW, ROWS_RAW, WIDTH_H, offsetof(struct vid_view, raw.H), offsetof(struct vid_view, raw.far_H)},
    {NEED_X_POOLED, ROWS_POOLED, WIDTH_X, offsetof(struct vid_view, pooled.X), offsetof(struct vid_view, pooled.far_X)},
    {NEED_X_RAW, ROWS_RAW, WIDTH_X, offsetof(struct vid_view, raw.X), offsetof(struct vid_view, raw.far_X)},
    {NEED_SAL_POOLED, ROWS_POOLED, WIDTH_ONE, offsetof(struct vid_view, pooled.sal), 0},
    {NEED_SAL_RAW, ROWS_RAW, WIDTH_ONE, offsetof(struct vid_view, raw.sal), 0},
    {NEED_PROBE_POOLED, ROWS_POOLED, WIDTH_ONE, offsetof(struct vid_view, pooled.sal), 0},
    {NEED_KV_POOLED, ROWS_POOLED, WIDTH_KEY, offsetof(struct vid_view, pooled.kv), offsetof(struct vid_view, pooled.far_kv)},
    {NEED_KV_RAW, ROWS_RAW, WIDTH_KEY, offsetof(struct vid_view, raw.kv), offsetof(struct vid_view, raw.far_kv)},
    {NEED_KEYS_RAW, ROWS_RAW, WIDTH_X, offsetof(struct vid_view, raw.kv), offsetof(struct vid_view, raw.far_kv)},
    {NEED_FRAME, ROW_OF_FRAME, WIDTH_X, offsetof(struct vid_view, pooled.frame), 0},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

struct grid_store {
    struct feature_grid grid;
    int side;          /* of the pooled grid */
    void *kept[KINDS]; /* [n_frames][rows][width] or NULL */
};

struct features {
    const struct model *model;
    size_t n_frames, n_grids;
    struct grid_store *grids;
    unsigned keep;              /* of all grids */
    float *X, *P;               /* of the frames in work, [frames][patches][width] and [frames][patches][d] */
    struct vision_side side;    /* of the same */
    float *normed;              /* one frame's, [patches][width] */
    float *pooled_x, *pooled;   /* [patches][width], [patches][widest] */
    float *made[KINDS];         /* rows that a method made of those it has a view of */
    void *memory;
};

static size_t kind_of(unsigned need)
{
    size_t k = 0;
    while (kinds[k].need != need)
        k++;
    return k;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t patches(const struct model_shape *shape)
{
    return (size_t)(shape->vision.side * shape->vision.side);
}

static size_t rows_of(const struct model_shape *shape, const struct feature_grid *grid, enum kept_rows rows)
{
    size_t side = (size_t)pool_side(grid->mode, shape->vision.side, grid->stride);
    return rows == ROWS_POOLED ? side * side : rows == ROWS_RAW ? patches(shape) : 1;
}

static size_t width_of(const struct model_shape *shape, enum kept_width width)
{
    const struct vision_shape *v = &shape->vision;
    return (size_t)(width == WIDTH_H ? shape->language.width : width == WIDTH_X ? v->width : width == WIDTH_KEY ? v->width / v->heads : 1);
}

static enum dtype dtype_of(enum kept_width width, enum dtype dtype)
{
    return width == WIDTH_H ? dtype_act(dtype) : DTYPE_F32;
}

/* Values of a kind in one frame. */
static size_t values_of(const struct model_shape *shape, const struct feature_grid *grid, const struct kept *kind)
{
    return rows_of(shape, grid, kind->rows) * width_of(shape, kind->width);
}

static bool keeps(const struct feature_grid *grid, const struct kept *kind)
{
    return kind->need == NEED_H_POOLED || grid->keep & kind->need;
}

static size_t kind_bytes(const struct model_shape *shape, enum dtype dtype, size_t n_frames, const struct feature_grid *grid, const struct kept *kind)
{
    return keeps(grid, kind) ? rounded(n_frames * values_of(shape, grid, kind) * dtype_size(dtype_of(kind->width, dtype))) : 0;
}

/* Of the frames in work: x, p, one (value a patch), key and row; of one frame: patch_x and pooled. */
struct buffers { size_t x, p, one, key, row, patch_x, pooled; };

static struct buffers frame_buffers(const struct model_shape *shape, int frames_at_once)
{
    size_t n = patches(shape), all = (size_t)frames_at_once * n, x = width_of(shape, WIDTH_X), h = width_of(shape, WIDTH_H), size = sizeof(float);
    return (struct buffers){.x = rounded(all * x * size), .p = rounded(all * h * size), .one = rounded(all * size),
                            .key = rounded(all * width_of(shape, WIDTH_KEY) * size), .row = rounded((size_t)frames_at_once * x * size),
                            .patch_x = rounded(n * x * size), .pooled = rounded(n * (x > h ? x : h) * size)};
}

size_t features_bytes(const struct model_shape *shape, enum dtype dtype, int frames_at_once, size_t n_frames, const struct feature_grid *grids,
                      size_t n_grids)
{
    struct buffers b = frame_buffers(shape, frames_at_once);
    size_t total = 2 * b.x + 2 * b.patch_x + b.p + 2 * b.one + b.key + b.row + b.pooled;
    for (size_t i = 0; i < n_grids; i++)
        for (size_t k = 0; k < KINDS; k++)
            total += kind_bytes(shape, dtype, n_frames, &grids[i], &kinds[k]);
    return total;
}

int features_check(const struct model *model, unsigned needs, struct err *err)
{
    if (needs & NEED_X_POST_NORM && !model->post_norm_w)
        return err_set(err, ERR_CONFIG, "the checkpoint lacks the vision tower's final norm (post_layernorm); use features before it");
    if (needs & (NEED_PROBE_POOLED | NEED_FRAME) && !model->vision_pool)
        return err_set(err, ERR_CONFIG, "the checkpoint lacks the vision tower's pooling head (vision_model.head.*), as LLaVA's do; "
                       "add the head of the SigLIP checkpoint to its tensors, or use the method without it");
    return 0;
}

static void *carve(char **at, size_t bytes)
{
    void *here = bytes ? *at : NULL;
    *at += bytes;
    return here;
}

static void carve_frame(struct features *features, char **at)
{
    struct buffers b = frame_buffers(&features->model->shape, features->model->frames_at_once);
    features->X = carve(at, b.x);
    features->normed = carve(at, b.patch_x);
    features->pooled_x = carve(at, b.patch_x);
    features->P = carve(at, b.p);
    features->pooled = carve(at, b.pooled);
    features->side = (struct vision_side){.keys = carve(at, b.x), .sal = carve(at, b.one), .probe = carve(at, b.one), .kv = carve(at, b.key),
                                          .frame = carve(at, b.row)};
}

int features_new(struct features **out, const struct model *model, size_t n_frames, const struct feature_grid *grids, size_t n_grids,
                 struct err *err)
{
    const struct model_shape *shape = &model->shape;
    size_t total = features_bytes(shape, model->act, model->frames_at_once, n_frames, grids, n_grids);
    struct features *features = calloc(1, sizeof *features);
    struct grid_store *stores = calloc(n_grids, sizeof *stores);
    char *memory = model->kernels->memory->take(total);
    *out = NULL;
    if (!features || !stores || !memory) {
        free(features);
        free(stores);
        model->kernels->memory->release(memory);
        return err_set(err, ERR_MEMORY, "out of memory for the features of %zu frames (%zu MiB)", n_frames, total >> 20);
    }
    char *at = memory;
    *features = (struct features){.model = model, .n_frames = n_frames, .n_grids = n_grids, .grids = stores, .memory = memory};
    carve_frame(features, &at);
    for (size_t i = 0; i < n_grids; i++) {
        stores[i] = (struct grid_store){.grid = grids[i], .side = pool_side(grids[i].mode, shape->vision.side, grids[i].stride)};
        features->keep |= grids[i].keep;
        for (size_t k = 0; k < KINDS; k++)
            stores[i].kept[k] = carve(&at, kind_bytes(shape, model->act, n_frames, &grids[i], &kinds[k]));
    }
    *out = features;
    return 0;
}

void features_free(struct features *features)
{
    if (!features)
        return;
    features_forget(features);
    free(features->grids);
    features->model->kernels->memory->release(features->memory);
    free(features);
}

/* ---- encoding ------------------------------------------------------------------------------------------------------------ */

/* Values of a kind on the tower's own grid, of frame i of those in work. */
static const float *raw_values(const struct features *features, const struct feature_grid *grid, const struct kept *kind, size_t i)
{
    const struct model_shape *shape = &features->model->shape;
    size_t n = patches(shape), x = n * width_of(shape, WIDTH_X);
    switch (kind->need) {
    case NEED_H_POOLED:
    case NEED_H_RAW:
        return features->P + i * n * width_of(shape, WIDTH_H);
    case NEED_SAL_POOLED:
    case NEED_SAL_RAW:
        return features->side.sal + i * n;
    case NEED_PROBE_POOLED:
        return features->side.probe + i * n;
    case NEED_KV_POOLED:
    case NEED_KV_RAW:
        return features->side.kv + i * n * width_of(shape, WIDTH_KEY);
    case NEED_KEYS_RAW:
        return features->side.keys + i * x;
    case NEED_FRAME:
        return features->side.frame + i * width_of(shape, WIDTH_X);
    default:
        return grid->post_norm ? features->normed : features->X + i * x;
    }
}

/* Rounds a frame's values of a kind into their slot. */
static void keep_values(const struct model *model, const float *values, size_t n, enum dtype dtype, void *to)
{
    if (dtype == DTYPE_F32)
        model->kernels->memory->move(to, values, n * sizeof *values);
    else
        model->kernels->convert(1, n, values, n, to, n, dtype, 1);
}

int features_put(struct features *features, size_t grid, unsigned need, const float *values, struct err *err)
{
    const struct memory *memory = features->model->kernels->memory;
    size_t k = kind_of(need), n = values_of(&features->model->shape, &features->grids[grid].grid, &kinds[k]);
    enum dtype dtype = dtype_of(kinds[k].width, features->model->act);
    char *room = malloc(n * dtype_size(dtype));
    if (!room)
        return err_no_memory(err, "the features of a frame");
    for (size_t t = 0; t < features->n_frames; t++) {
        dtype_convert(room, dtype, values + t * n, DTYPE_F32, n);
        memory->put((char *)features->grids[grid].kept[k] + t * n * dtype_size(dtype), room, n * dtype_size(dtype));
    }
    free(room);
    return memory->settle(err);
}

/* Of frame i of those in work. */
static void fill_kind(struct features *features, struct vision_space *space, struct grid_store *store, size_t k, size_t i, size_t slot)
{
    const struct model *model = features->model;
    const struct feature_grid *grid = &store->grid;
    const struct kept *kind = &kinds[k];
    const float *values = raw_values(features, grid, kind, i);
    int side = model->shape.vision.side, dx = model->shape.vision.width;
    size_t n = values_of(&model->shape, grid, kind);
    enum dtype dtype = dtype_of(kind->width, model->act);
    if (kind->need == NEED_H_POOLED && grid->before_projector) {
        model->kernels->pool(grid->mode, grid->stride, side, dx, features->X + i * patches(&model->shape) * (size_t)dx, features->pooled_x);
        vision_project(model, space, features->pooled_x, rows_of(&model->shape, grid, ROWS_POOLED), features->pooled);
        values = features->pooled;
    } else if (kind->rows == ROWS_POOLED) {
        model->kernels->pool(grid->mode, grid->stride, side, (int)width_of(&model->shape, kind->width), values, features->pooled);
        values = features->pooled;
    }
    keep_values(model, values, n, dtype, (char *)store->kept[k] + slot * n * dtype_size(dtype));
}

static void fill_grid(struct features *features, struct vision_space *space, struct grid_store *store, size_t i, size_t slot)
{
    const struct model *model = features->model;
    if (store->grid.post_norm)
        vision_post_norm(model, space, features->X + i * patches(&model->shape) * width_of(&model->shape, WIDTH_X), features->normed);
    for (size_t k = 0; k < KINDS; k++)
        if (store->kept[k])
            fill_kind(features, space, store, k, i, slot);
}

int features_encode(struct features *features, struct vision_space *space, const size_t *slots, size_t n, const uint8_t *rgb, int image_side,
                    struct err *err)
{
    const struct model *model = features->model;
    const uint8_t *frames[MOST_FRAMES_AT_ONCE] = {NULL};
    unsigned keep = features->keep;
    struct vision_side side = {.sal = keep & (NEED_SAL_POOLED | NEED_SAL_RAW) ? features->side.sal : NULL,
                               .keys = keep & NEED_KEYS_RAW ? features->side.keys : NULL,
                               .kv = keep & (NEED_KV_POOLED | NEED_KV_RAW) ? features->side.kv : NULL,
                               .probe = keep & NEED_PROBE_POOLED ? features->side.probe : NULL,
                               .frame = keep & NEED_FRAME ? features->side.frame : NULL};
    for (size_t i = 0; i < n; i++)
        frames[i] = rgb + slots[i] * (size_t)(image_side * image_side) * 3;
    vision_encode(model, space, frames, (int)n, image_side, features->X, &side, NULL, NULL);
    vision_project(model, space, features->X, n * patches(&model->shape), features->P);
    for (size_t i = 0; i < n; i++)
        for (size_t g = 0; g < features->n_grids; g++)
            fill_grid(features, space, &features->grids[g], i, slots[i]);
    return model->kernels->memory->settle(err);
}

/* ---- views --------------------------------------------------------------------------------------------------------------- */

size_t features_view_bytes(const struct model_shape *shape, const struct feature_grid *grid, unsigned needs, int T)
{
    enum { COMPARED_BYTES = 128 }; /* a row: what of pairs and their dots lies on both sides, of four pairs at most, and what is made of them */
    size_t total = 0;
    for (size_t k = 0; k < KINDS; k++) {
        size_t values = values_of(shape, grid, &kinds[k]) * sizeof(float), rows = rows_of(shape, grid, kinds[k].rows);
        if (!(needs & kinds[k].need))
            continue;
        bool far = kinds[k].far && needs & (NEED_DOTS | NEED_SUMS);
        total += rounded((size_t)T * (!far ? 2 * values : needs & NEED_SUMS ? values + COMPARED_BYTES * rows : COMPARED_BYTES * rows));
    }
    return total;
}

/* On the host, in f32. */
static const float *gather(const struct memory *memory, const void *store, enum dtype dtype, size_t per_frame, const size_t *slots, int T,
                           struct arena *arena)
{
    size_t bytes = per_frame * dtype_size(dtype);
    float *out = store ? arena_alloc(arena, (size_t)T * per_frame, sizeof *out) : NULL;
    void *fetched = out && !memory->host ? arena_alloc(arena, bytes, 1) : NULL;
    for (int t = 0; t < T && out && (fetched || memory->host); t++) {
        const void *frame = (const char *)store + slots[t] * bytes;
        if (fetched)
            memory->get(fetched, frame, bytes);
        dtype_convert(out + (size_t)t * per_frame, DTYPE_F32, fetched ? fetched : frame, dtype, per_frame);
    }
    return fetched || memory->host ? out : NULL;
}

/* ---- rows that stay here ------------------------------------------------------------------------------------------------- */

/* A view's rows of one kind where they are stored, and behind them those made of them. */
struct stored_rows {
    struct far_rows far;
    struct features *features;
    size_t kind;
    const void *store;
    enum dtype dtype;
    size_t n, n_stored; /* of the view; of all frames */
    size_t per_frame, width;
    const size_t *slots;
};

static const struct stored_rows *stored(const struct far_rows *far)
{
    return (const struct stored_rows *)far;
}

static const struct kernels *kernels_of(const struct stored_rows *rows)
{
    return rows->features->model->kernels;
}

static float *made_rows(const struct stored_rows *rows, size_t first)
{
    return rows->features->made[rows->kind] + (first - rows->n) * rows->width;
}

static struct row_set row_set(const struct stored_rows *rows)
{
    return (struct row_set){.rows = rows->store, .dtype = rows->dtype, .n = rows->n_stored, .made = rows->features->made[rows->kind]};
}

static uint32_t stored_row(const struct stored_rows *rows, size_t row)
{
    return (uint32_t)(row >= rows->n ? rows->n_stored + (row - rows->n) : rows->slots[row / rows->per_frame] * rows->per_frame + row % rows->per_frame);
}

/* What became of a request that waited for its result. */
static int answered(const struct stored_rows *rows, bool done, struct err *err)
{
    int rc = kernels_of(rows)->memory->settle(err);
    return rc || done ? rc : err_no_memory(err, "a comparison of tokens");
}

static int stored_room(const struct far_rows *far, size_t n, struct err *err)
{
    const struct stored_rows *rows = stored(far);
    float **made = &rows->features->made[rows->kind];
    kernels_of(rows)->memory->release(*made);
    *made = kernels_of(rows)->memory->take(n * rows->width * sizeof **made);
    return *made ? 0 : err_no_memory(err, "rows made of tokens");
}

static int stored_put(const struct far_rows *far, size_t first, size_t n, const float *values, struct err *err)
{
    (void)err;
    kernels_of(stored(far))->memory->put(made_rows(stored(far), first), values, n * stored(far)->width * sizeof *values);
    return 0;
}

static int stored_get(const struct far_rows *far, size_t first, size_t n, float *out, struct err *err)
{
    kernels_of(stored(far))->memory->get(out, made_rows(stored(far), first), n * stored(far)->width * sizeof *out);
    return answered(stored(far), true, err);
}

static int stored_sum(const struct far_rows *far, const struct sim_sums *sums, struct err *err)
{
    const struct stored_rows *rows = stored(far);
    size_t n = sums->begin[sums->n];
    struct tap *taps = malloc((n + 1) * sizeof *taps);
    if (!taps)
        return err_no_memory(err, "rows made of tokens");
    for (size_t i = 0; i < n; i++)
        taps[i] = (struct tap){stored_row(rows, sums->taps[i].src), sums->taps[i].w};
    struct merge merge = {.n = sums->n, .D = rows->width, .begin = sums->begin, .taps = taps, .source = row_set(rows), .divide = sums->divide,
                          .out = made_rows(rows, sums->first)};
    if (merge.n)
        kernels_of(rows)->merge(&merge);
    free(taps);
    return 0;
}

/* Numbers of stored rows; NULL when memory is out. */
static uint32_t *stored_list(const struct stored_rows *rows, struct row_list list)
{
    uint32_t *out = malloc((list.n + 1) * sizeof *out);
    for (size_t i = 0; i < list.n && out; i++)
        out[i] = stored_row(rows, list.of ? list.of[i] : list.first + i);
    return out;
}

static int stored_total(const struct far_rows *far, const struct sim_totals *totals, double *out, struct err *err)
{
    const struct stored_rows *rows = stored(far);
    uint32_t *src = stored_list(rows, (struct row_list){.of = totals->src, .n = totals->begin[totals->n]});
    struct wide_sums wanted = {.n = totals->n, .D = rows->width, .begin = totals->begin, .src = src, .scale = totals->scale, .rows = row_set(rows),
                               .out = out};
    bool done = src && (!wanted.n || kernels_of(rows)->wide_sums(&wanted));
    free(src);
    return answered(rows, done, err);
}

static int stored_pairs(const struct far_rows *far, const struct row_pair *pairs, size_t n, bool rounded, float *out, struct err *err)
{
    const struct stored_rows *rows = stored(far);
    struct row_pair *numbers = malloc((n + 1) * sizeof *numbers);
    struct dots dots = {.n = n, .D = rows->width, .pairs = numbers, .rows = row_set(rows), .rounded = rounded, .out = out};
    for (size_t i = 0; i < n && numbers; i++)
        numbers[i] = (struct row_pair){stored_row(rows, pairs[i].a), stored_row(rows, pairs[i].b)};
    bool done = numbers && (!n || kernels_of(rows)->dots(&dots));
    free(numbers);
    return answered(rows, done, err);
}

static bool same_list(struct row_list a, struct row_list b)
{
    return a.of == b.of && a.first == b.first && a.n == b.n;
}

static int stored_block(const struct far_rows *far, struct row_list a, struct row_list b, enum sim_term term, float *out, struct err *err)
{
    const struct stored_rows *rows = stored(far);
    uint32_t *of_a = stored_list(rows, a), *of_b = same_list(a, b) ? of_a : stored_list(rows, b);
    struct block block = {.n_a = a.n, .n_b = b.n, .D = rows->width, .a = of_a, .b = of_b, .rows = row_set(rows), .term = term, .out = out};
    bool done = of_a && of_b && (!a.n || !b.n || kernels_of(rows)->block(&block));
    if (of_b != of_a)
        free(of_b);
    free(of_a);
    return answered(rows, done, err);
}

static int stored_choose(const struct far_rows *far, const struct sim_choice *choice, uint32_t *out, struct err *err)
{
    const struct stored_rows *rows = stored(far);
    struct picks wanted = {.n = choice->n, .D = rows->width, .k = choice->k, .rows = made_rows(rows, choice->first), .weight = choice->weight,
                            .out = out};
    return answered(rows, !choice->k || kernels_of(rows)->choose(&wanted), err);
}

static const struct far_rows far_functions = {
    .room = stored_room,
    .put = stored_put,
    .get = stored_get,
    .sum = stored_sum,
    .total = stored_total,
    .pairs = stored_pairs,
    .block = stored_block,
    .choose = stored_choose,
};

void features_forget(struct features *features)
{
    for (size_t k = 0; k < KINDS; k++) {
        features->model->kernels->memory->release(features->made[k]);
        features->made[k] = NULL;
    }
}

/* NULL when memory is out. */
static const struct far_rows *refer(struct features *features, const struct grid_store *store, size_t k, const size_t *slots, int T,
                                    struct arena *arena)
{
    const struct model *model = features->model;
    size_t per_frame = rows_of(&model->shape, &store->grid, kinds[k].rows);
    struct stored_rows *rows = store->kept[k] ? arena_alloc(arena, 1, sizeof *rows) : NULL;
    if (rows)
        *rows = (struct stored_rows){.far = far_functions, .features = features, .kind = k, .store = store->kept[k], .slots = slots,
                                     .dtype = dtype_of(kinds[k].width, model->act), .per_frame = per_frame, .n = (size_t)T * per_frame,
                                     .n_stored = features->n_frames * per_frame, .width = width_of(&model->shape, kinds[k].width)};
    return rows ? &rows->far : NULL;
}

/* ---- views --------------------------------------------------------------------------------------------------------------- */

static struct grid_view empty_view(const struct model_shape *shape, int side, bool all_heads)
{
    const struct vision_shape *v = &shape->vision;
    return (struct grid_view){.h = side, .w = side, .dx = v->width, .d = shape->language.width, .dk = all_heads ? v->width : v->width / v->heads};
}

int features_view(struct features *features, size_t grid, const size_t *slots, int T, unsigned needs, struct arena *arena,
                  struct vid_view *out, struct err *err)
{
    const struct grid_store *store = &features->grids[grid];
    const struct model_shape *shape = &features->model->shape;
    features_forget(features);
    *out = (struct vid_view){.T = T, .mode = store->grid.mode, .stride = store->grid.stride, .tensors = features->model->method_tensors,
                             .n_tensors = features->model->n_method_tensors};
    out->raw = empty_view(shape, shape->vision.side, needs & NEED_KEYS_RAW);
    out->pooled = empty_view(shape, store->side, false);
    for (size_t k = 0; k < KINDS; k++) {
        if (!(needs & kinds[k].need))
            continue;
        bool far = kinds[k].far && needs & (NEED_DOTS | NEED_SUMS);
        const void *rows = far ? (const void *)refer(features, store, k, slots, T, arena)
                               : gather(features->model->kernels->memory, store->kept[k], dtype_of(kinds[k].width, features->model->act),
                                        values_of(shape, &store->grid, &kinds[k]), slots, T, arena);
        if (!rows)
            return err_no_memory(err, "the features a compressor reads");
        memcpy((char *)out + (far ? kinds[k].far : kinds[k].at), &rows, sizeof rows);
    }
    out->raw.frame = out->pooled.frame;
    return features->model->kernels->memory->settle(err);
}

/* ---- applying a plan ----------------------------------------------------------------------------------------------------- */

/* The source rows of a domain: what is stored of them, and how many there are in a frame. */
struct sources { const void *store; enum dtype dtype; size_t per_frame, width; };

static struct sources sources_of(const struct features *features, const struct grid_store *store, enum src_dom dom)
{
    static const unsigned need[] = {[DOM_H_POOLED] = NEED_H_POOLED, [DOM_H_RAW] = NEED_H_RAW, [DOM_X_RAW] = NEED_X_RAW};
    size_t k = kind_of(need[dom]);
    const struct model_shape *shape = &features->model->shape;
    return (struct sources){store->kept[k], dtype_of(kinds[k].width, features->model->act), rows_of(shape, &store->grid, kinds[k].rows),
                            width_of(shape, kinds[k].width)};
}

/* The taps of some tokens of a plan, with rows of the store as their sources. */
struct mapped { uint32_t *begin; struct tap *taps; size_t n; };

static bool mapped_new(struct mapped *out, const struct out_tok *tok, size_t n)
{
    size_t most = n;
    for (size_t i = 0; i < n; i++)
        most += tok[i].kind == TOK_VISUAL ? tok[i].row1 - tok[i].row0 : 0;
    *out = (struct mapped){.begin = malloc((n + 1) * sizeof *out->begin), .taps = malloc((most + 1) * sizeof *out->taps)};
    if (out->begin)
        out->begin[0] = 0;
    return out->begin && out->taps;
}

static void mapped_free(struct mapped *mapped)
{
    free(mapped->begin);
    free(mapped->taps);
}

/* A visual token's sum; of the others a marker is a copy of the newline, and a dense one is no sum at all. */
static void map_token(struct mapped *mapped, const struct sources *from, const size_t *slots, const struct tok_plan *plan, const struct out_tok *tok)
{
    uint32_t used = mapped->begin[mapped->n];
    for (uint32_t k = tok->row0; tok->kind == TOK_VISUAL && k < tok->row1; k++) {
        size_t src = plan->taps[k].src, at = slots[src / from->per_frame] * from->per_frame + src % from->per_frame;
        mapped->taps[used++] = (struct tap){(uint32_t)at, plan->taps[k].w};
    }
    if (tok->kind != TOK_VISUAL && tok->kind != TOK_DENSE)
        mapped->taps[used++] = (struct tap){MERGE_FILL, 1};
    mapped->begin[++mapped->n] = used;
}

static void merge_mapped(const struct model *model, const struct mapped *mapped, const struct sources *from, const struct tok_plan *plan, size_t D,
                         float *out)
{
    struct merge merge = {.n = mapped->n, .D = D, .begin = mapped->begin, .taps = mapped->taps,
                          .source = {.rows = from->store, .dtype = from->dtype}, .fill = model->newline, .round_each = plan->round_each, .out = out};
    if (mapped->n)
        model->kernels->merge(&merge);
}

/* Sums of vision features are projected together, and then go where their tokens are. */
static void project_sums(const struct features *features, struct vision_space *space, const struct sources *from, const struct tok_plan *plan,
                         const struct out_tok *tok, size_t n, const struct mapped *sums, float *rows)
{
    const struct model *model = features->model;
    size_t d = (size_t)model->shape.language.width, sum = 0, run;
    merge_mapped(model, sums, from, plan, from->width, features->X);
    if (sums->n)
        vision_project(model, space, features->X, sums->n, features->P);
    for (size_t i = 0; i < n; i += run) {
        bool visual = tok[i].kind == TOK_VISUAL;
        run = 1;
        while (visual && i + run < n && tok[i + run].kind == TOK_VISUAL)
            run++;
        if (visual)
            model->kernels->memory->move(rows + i * d, features->P + sum * d, run * d * sizeof *rows);
        else if (tok[i].kind != TOK_DENSE)
            model->kernels->memory->move(rows + i * d, model->newline, d * sizeof *rows);
        sum += visual ? run : 0;
    }
}

/* At most `patches` tokens. */
static int apply_some(const struct features *features, struct vision_space *space, const struct sources *from, const size_t *slots,
                      const struct tok_plan *plan, const struct out_tok *tok, size_t n, float *rows, struct err *err)
{
    const struct model *model = features->model;
    size_t d = (size_t)model->shape.language.width;
    bool project = plan->dom == DOM_X_RAW;
    struct mapped mapped;
    if (!mapped_new(&mapped, tok, n)) {
        mapped_free(&mapped);
        return err_no_memory(err, "the rows of a prompt");
    }
    for (size_t i = 0; i < n; i++)
        if (!project || tok[i].kind == TOK_VISUAL)
            map_token(&mapped, from, slots, plan, &tok[i]);
    if (project)
        project_sums(features, space, from, plan, tok, n, &mapped, rows);
    else
        merge_mapped(model, &mapped, from, plan, d, rows);
    for (size_t i = 0; i < n; i++)
        if (tok[i].kind == TOK_DENSE)
            model->kernels->memory->put(rows + i * d, plan->dense + (size_t)tok[i].row0 * d, d * sizeof *rows);
    mapped_free(&mapped);
    return 0;
}

int features_apply(const struct features *features, struct vision_space *space, size_t grid, const size_t *slots,
                   const struct tok_plan *plan, size_t first, size_t n, float *rows, struct err *err)
{
    struct sources from = sources_of(features, &features->grids[grid], plan->dom);
    size_t most = patches(&features->model->shape), d = (size_t)features->model->shape.language.width;
    int rc = 0;
    for (size_t done = 0; done < n && !rc; done += most)
        rc = apply_some(features, space, &from, slots, plan, plan->tok + first + done, n - done < most ? n - done : most, rows + done * d, err);
    return rc;
}
