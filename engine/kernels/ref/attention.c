/* Attention and the kv cache, defined: softmax over all visible keys at once, in double; weights are not rounded. */
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <math.h>

void ref_kv_write(const struct kv *kv, size_t first, size_t n, const float *keys, const float *values, size_t ld, int threads)
{
    (void)threads;
    for (size_t i = 0; i < kv_sequences(kv) * n; i++) {
        const struct kv to = kv_sequence(kv, i / n);
        for (size_t head = 0; head < (size_t)kv->kv_heads; head++)
            for (size_t d = 0; d < (size_t)kv->head_dim; d++) {
                size_t at = i * ld + head * (size_t)kv->head_dim + d;
                value_store(kv_key_at(&to, head, first + i % n, d), keys[at], kv->dtype);
                value_store(kv_value_at(&to, head, first + i % n, d), values[at], kv->dtype);
            }
    }
}

static double score(const struct attention *a, const char *q, size_t kv_head, size_t key)
{
    double sum = 0;
    for (size_t d = 0; d < (size_t)a->kv->head_dim; d++)
        sum += (double)value_load(q + d * dtype_size(a->kv->dtype), a->kv->dtype) *
               value_load(kv_key_at(a->kv, kv_head, key, d), a->kv->dtype);
    return sum * a->scale + (a->bias ? (double)a->bias[key] : 0);
}

static void attend(const struct attention *a, const char *q, size_t kv_head, size_t visible, char *out)
{
    size_t width = (size_t)a->kv->head_dim;
    double most = -INFINITY, weights = 0, sums[ATTENTION_WIDTH] = {0};
    for (size_t key = 0; key < visible; key++)
        most = fmax(most, score(a, q, kv_head, key));
    for (size_t key = 0; key < visible; key++) {
        double weight = exp(score(a, q, kv_head, key) - most);
        weights += weight;
        for (size_t d = 0; d < width; d++)
            sums[d] += weight * value_load(kv_value_at(a->kv, kv_head, key, d), a->kv->dtype);
    }
    for (size_t d = 0; d < width; d++)
        value_store(out + d * dtype_size(a->kv->dtype), (float)(sums[d] / weights), a->kv->dtype);
}

void ref_attention(const struct attention *a, int threads)
{
    if (kv_sequences(a->kv) > 1) {
        attention_each(a, threads, ref_attention);
        return;
    }
    size_t heads = (size_t)a->heads, group = heads / (size_t)a->kv->kv_heads, size = dtype_size(a->kv->dtype);
    for (size_t i = 0; i < a->n; i++)
        for (size_t head = 0; head < heads; head++) {
            size_t column = head * (size_t)a->kv->head_dim;
            attend(a, (const char *)a->q + (i * a->ldq + column) * size, head / group, a->causal ? a->first + i + 1 : a->n_keys,
                   (char *)a->out + (i * a->ldo + column) * size);
        }
}

static void weigh(const struct attention *a, const char *q, size_t kv_head, size_t visible, float *weights)
{
    double most = -INFINITY, sum = 0;
    for (size_t key = 0; key < visible; key++)
        most = fmax(most, score(a, q, kv_head, key));
    for (size_t key = 0; key < visible; key++)
        sum += exp(score(a, q, kv_head, key) - most);
    for (size_t key = 0; key < a->n_keys; key++)
        weights[key] = key < visible ? (float)(exp(score(a, q, kv_head, key) - most) / sum) : 0;
}

void ref_attention_weights(const struct attention *a, float *weights, int threads)
{
    (void)threads;
    size_t heads = (size_t)a->heads, group = heads / (size_t)a->kv->kv_heads, size = dtype_size(a->kv->dtype);
    for (size_t i = 0; i < a->n; i++)
        for (size_t head = 0; head < heads; head++)
            weigh(a, (const char *)a->q + (i * a->ldq + head * (size_t)a->kv->head_dim) * size, head / group,
                  a->causal ? a->first + i + 1 : a->n_keys, weights + (i * heads + head) * a->n_keys);
}
