/* Writing keys and values into their packed blocks. A unit of work is one block of one kv head, so that no two threads write halves
 * of one group. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_KV_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_KV_H

struct kv_call {
    const struct kv *kv;
    size_t first, end; /* positions */
    const float *keys, *values;
    size_t ld;
    size_t blocks;     /* touched per head */
};

/* One head's row in the compute dtype. */
union kv_row {
    uint32_t group[ATTENTION_WIDTH];
    uint16_t bf16[2 * ATTENTION_WIDTH];
};

static void kv_round(union kv_row *to, const struct kv *kv, const float *row)
{
    size_t width = (size_t)kv->head_dim;
    for (size_t d = 0; d < width; d += LANES) {
        size_t n = size_min(width - d, LANES);
        act_store((char *)to + d * dtype_size(kv->dtype), kv->dtype, f32_load(row + d, n), n);
    }
}

/* A key becomes a column of its panel: one group in every PANEL. */
static void kv_write_key(const struct kv *kv, size_t head, size_t position, const float *key)
{
    union kv_row row;
    kv_round(&row, kv, key);
    char *to = kv_key_at(kv, head, position, 0);
    for (size_t g = 0; g < groups_for((size_t)kv->head_dim, kv->dtype); g++)
        memcpy(to + g * PANEL * GROUP_BYTES, &row.group[g], GROUP_BYTES);
}

/* A value becomes a row of its block, or one half of the groups of a row. */
static void kv_write_value(const struct kv *kv, size_t head, size_t position, const float *value)
{
    union kv_row row;
    kv_round(&row, kv, value);
    char *to = kv_value_at(kv, head, position, 0);
    if (kv->dtype == DTYPE_F32) {
        memcpy(to, row.group, (size_t)kv->head_dim * GROUP_BYTES);
        return;
    }
    for (size_t d = 0; d < (size_t)kv->head_dim; d++)
        memcpy(to + d * GROUP_BYTES, &row.bf16[d], sizeof row.bf16[d]);
}

static void kv_write_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct kv_call *c = call;
    size_t head = unit / c->blocks, block = c->first / KV_BLOCK + unit % c->blocks;
    size_t from = block * KV_BLOCK < c->first ? c->first : block * KV_BLOCK, to = size_min((block + 1) * KV_BLOCK, c->end);
    for (size_t position = from; position < to; position++) {
        size_t at = (position - c->first) * c->ld + head * (size_t)c->kv->head_dim;
        kv_write_key(c->kv, head, position, c->keys + at);
        kv_write_value(c->kv, head, position, c->values + at);
    }
}

static void kv_write(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads)
{
    for (size_t i = 0; i < kv_sequences(kv) && n; i++) {
        const struct kv to = kv_sequence(kv, i);
        struct kv_call c = {&to, first, first + n, keys + i * n * ld, values + i * n * ld, ld, 0};
        c.blocks = (c.end - 1) / KV_BLOCK - first / KV_BLOCK + 1;
        kernels_deal((size_t)kv->kv_heads * c.blocks, threads, kv_write_unit, &c);
    }
}

#endif
