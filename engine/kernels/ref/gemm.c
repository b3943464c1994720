/* GEMM, defined: each output is one double sum over n_in, then the epilogue in double, rounded once at the store. */
#include "engine/kernels/layout.h"
#include "engine/kernels/ref/ref.h"

#include <math.h>

/* Value k of row i, which starts at x. */
static double input(const struct gemm *g, const char *x, size_t i, size_t k)
{
    if (g->w->dtype == DTYPE_I8)
        return (double)((const int8_t *)x)[k] * g->scales[i].scale;
    return value_load(x + k * dtype_size(g->w->dtype), g->w->dtype);
}

static double linear(const struct gemm *g, size_t i, size_t row)
{
    const char *x = (const char *)g->x + i * g->ldx * dtype_size(g->w->dtype);
    double sum = 0;
    for (size_t k = 0; k < g->w->n_in; k++)
        sum += input(g, x, i, k) * matrix_value(g->w, row, k);
    return g->w->bias ? sum + g->w->bias[row] : sum;
}

static double gelu_tanh(double v)
{
    return 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
}

static double gelu_erf(double v)
{
    return 0.5 * v * erfc(-v / sqrt(2)); /* 1 + erf(u) without the cancellation below zero */
}

static double silu(double v)
{
    return v / (1 + exp(-v));
}

static double output(const struct gemm *g, size_t i, size_t column, float before)
{
    switch (g->epilogue) {
    case EPILOGUE_NONE:
        return linear(g, i, column);
    case EPILOGUE_GELU_TANH:
        return gelu_tanh(linear(g, i, column));
    case EPILOGUE_GELU_ERF:
        return gelu_erf(linear(g, i, column));
    case EPILOGUE_ADD:
        return before + linear(g, i, column);
    case EPILOGUE_SWIGLU:
        return silu(linear(g, i, swiglu_gate_row(column))) * linear(g, i, swiglu_gate_row(column) + 32);
    }
    return 0;
}

void ref_gemm(const struct gemm *g, int threads)
{
    (void)threads;
    size_t columns = g->epilogue == EPILOGUE_SWIGLU ? g->w->n_out / 2 : g->w->n_out;
    for (size_t i = 0; i < g->n; i++)
        for (size_t column = 0; column < columns; column++) {
            char *y = (char *)g->y + (i * g->ldy + column) * dtype_size(g->out_dtype);
            float before = g->epilogue == EPILOGUE_ADD ? value_load(y, g->out_dtype) : 0;
            value_store(y, (float)output(g, i, column, before), g->out_dtype);
        }
}
