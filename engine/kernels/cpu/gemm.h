/* GEMM over packed panels. A unit of work is one panel by up to UNIT_ROWS rows; within it the inputs stay in L1, the panel in L2,
 * and the epilogue runs on each register tile as it is finished. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_GEMM_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_GEMM_H

enum {
    UNIT_ROWS = 96,
    UNIT_GROUPS = 1024, /* longest piece of a panel between two visits to the same sums: 256 KiB, to fit L2 */
};

struct gemm_plan {
    const struct gemm *g;
    size_t groups;    /* along n_in */
    size_t pieces;    /* a panel is walked in this many pieces of equal length */
    size_t row_units; /* units per panel */
};

/* What one unit works in. */
struct gemm_scratch {
    _Alignas(64) float sums[UNIT_ROWS * PANEL];
    _Alignas(64) char inputs[TILE_ROWS * UNIT_GROUPS * (1 + TILE_WIDENS) * GROUP_BYTES];
};

/* Whether x can be read in place: it holds inputs, and its rows end with whole groups. */
static bool gemm_reads_in_place(const struct gemm *g)
{
    return tile_input_dtype(g->w->dtype) == g->w->dtype && g->w->n_in % group_values(g->w->dtype) == 0;
}

/* Sums of rows row..row+rows-1 of x over groups from..to-1 of a panel, into c[rows][PANEL]. */
static void gemm_sum(const struct gemm_plan *plan, size_t row, size_t rows, const char *panel, size_t from, size_t to, float *c,
                     char *inputs)
{
    const struct matrix *w = plan->g->w;
    size_t row_bytes = plan->g->ldx * dtype_size(w->dtype), first = from * group_values(w->dtype);
    const char *x = (const char *)plan->g->x + row * row_bytes + first * dtype_size(w->dtype);
    struct tile t = {
        .a = x,
        .a_stride = row_bytes,
        .b = panel + from * PANEL * GROUP_BYTES,
        .b_stride = PANEL * GROUP_BYTES,
        .n = to - from,
        .c = c,
        .c_stride = PANEL,
        .dtype = w->dtype,
        .resume = from > 0,
    };
    if (!gemm_reads_in_place(plan->g)) {
        t.a = inputs;
        t.a_stride = tile_input_bytes(t.n, w->dtype);
        for (size_t r = 0; r < rows; r++)
            tile_input_write(inputs + r * t.a_stride, x + r * row_bytes, size_min(w->n_in - first, t.n * group_values(w->dtype)),
                             w->dtype);
    }
    tile_run(t, rows, PANEL);
}

static inline __attribute__((always_inline)) vec gemm_activate(const enum epilogue epilogue, vec v)
{
    return epilogue == EPILOGUE_GELU_TANH ? vec_gelu_tanh(v) : epilogue == EPILOGUE_GELU_ERF ? vec_gelu_erf(v) : v;
}

static inline vec gemm_biased(const float *c, const float *bias)
{
    return bias ? vec_add(vec_load(c), vec_load(bias)) : vec_load(c);
}

/* One row of sums to `columns` <= PANEL outputs. */
static inline __attribute__((always_inline)) void gemm_finish_row(const enum epilogue epilogue, const struct gemm *g, const float *c,
                                                                  const float *bias, char *y, size_t columns)
{
    for (size_t j = 0; j < columns; j += LANES) {
        size_t n = size_min(columns - j, LANES);
        vec v = gemm_biased(c + j, bias ? bias + j : NULL);
        char *to = y + j * dtype_size(g->out_dtype);
        if (epilogue == EPILOGUE_SWIGLU)
            v = vec_mul(vec_silu(v), gemm_biased(c + j + PANEL / 2, bias ? bias + j + PANEL / 2 : NULL));
        else if (epilogue == EPILOGUE_ADD)
            v = vec_add(f32_load((const float *)to, n), v);
        else
            v = gemm_activate(epilogue, v);
        act_store(to, g->out_dtype, v, n);
    }
}

static inline __attribute__((always_inline)) void gemm_finish_as(const enum epilogue epilogue, const struct gemm *g, const float *c,
                                                                 size_t row, size_t rows, size_t panel)
{
    size_t width = epilogue == EPILOGUE_SWIGLU ? PANEL / 2 : PANEL;
    size_t n_out = epilogue == EPILOGUE_SWIGLU ? g->w->n_out / 2 : g->w->n_out, first = panel * width;
    const float *bias = g->w->bias ? g->w->bias + panel * PANEL : NULL;
    for (size_t r = 0; r < rows; r++) {
        char *y = (char *)g->y + ((row + r) * g->ldy + first) * dtype_size(g->out_dtype);
        gemm_finish_row(epilogue, g, c + r * PANEL, bias, y, size_min(n_out - first, width));
    }
}

/* Epilogue of a finished register tile: sums c[rows][PANEL] to y, rows from `row`. */
static void gemm_finish(const struct gemm *g, const float *c, size_t row, size_t rows, size_t panel)
{
    switch (g->epilogue) {
    case EPILOGUE_NONE:
        gemm_finish_as(EPILOGUE_NONE, g, c, row, rows, panel);
        break;
    case EPILOGUE_GELU_TANH:
        gemm_finish_as(EPILOGUE_GELU_TANH, g, c, row, rows, panel);
        break;
    case EPILOGUE_GELU_ERF:
        gemm_finish_as(EPILOGUE_GELU_ERF, g, c, row, rows, panel);
        break;
    case EPILOGUE_ADD:
        gemm_finish_as(EPILOGUE_ADD, g, c, row, rows, panel);
        break;
    case EPILOGUE_SWIGLU:
        gemm_finish_as(EPILOGUE_SWIGLU, g, c, row, rows, panel);
        break;
    }
}

/* Panel `panel` for rows first..end-1: piece by piece along n_in, register tile by register tile down the rows. */
static void gemm_unit_rows(const struct gemm_plan *plan, size_t panel, size_t first, size_t end)
{
    const struct gemm *g = plan->g;
    struct gemm_scratch scratch;
    const char *b = (const char *)g->w->panels + panel * matrix_panel_bytes(g->w->n_in, g->w->dtype);
    for (size_t piece = 0; piece < plan->pieces; piece++) {
        size_t from = piece * plan->groups / plan->pieces, to = (piece + 1) * plan->groups / plan->pieces;
        for (size_t i = 0; i < tile_count(end - first); i++) {
            size_t row = first + tile_start(i, end - first), rows = first + tile_start(i + 1, end - first) - row;
            float *c = plan->pieces == 1 ? scratch.sums : scratch.sums + (row - first) * PANEL;
            gemm_sum(plan, row, rows, b, from, to, c, scratch.inputs);
            if (to == plan->groups)
                gemm_finish(g, c, row, rows, panel);
        }
    }
}

static void gemm_unit(const void *call, size_t unit, int worker)
{
    (void)worker;
    const struct gemm_plan *plan = call;
    size_t part = unit % plan->row_units, n = plan->g->n;
    gemm_unit_rows(plan, unit / plan->row_units, part * n / plan->row_units, (part + 1) * n / plan->row_units);
}

static void gemm(const struct gemm *g, int threads)
{
    struct gemm_plan plan = {.g = g, .groups = groups_for(g->w->n_in, g->w->dtype), .row_units = (g->n + UNIT_ROWS - 1) / UNIT_ROWS};
    plan.pieces = (plan.groups + UNIT_GROUPS - 1) / UNIT_GROUPS;
    kernels_deal((g->w->n_out + PANEL - 1) / PANEL * plan.row_units, threads, gemm_unit, &plan);
}

#endif
