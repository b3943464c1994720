/* GEMM over packed panels. A unit of work is up to UNIT_PANELS panels by up to UNIT_TILES register tiles of rows, walked in pieces along
 * n_in: a piece's rows and sums and the panel at hand share L2, a tile's rows stay in L1, and the epilogue runs on each tile as it is
 * finished. Long pieces pay: a tile's sums are then rarely loaded and stored. */
#ifndef TOKSWEEP_ENGINE_KERNELS_CPU_GEMM_H
#define TOKSWEEP_ENGINE_KERNELS_CPU_GEMM_H

enum {
    UNIT_PANELS = 6,
    UNIT_TILES = 24,
    UNIT_ROWS = UNIT_TILES * TILE_ROWS,
    UNIT_INPUTS = 576, /* 32-bit inputs of a row in one piece: 324 KiB of rows, 144 KiB of a panel */
    THREAD_UNITS = 4,  /* least units a thread, so that none waits long for the last */
};

struct gemm_plan {
    const struct gemm *g;
    size_t groups;                 /* along n_in */
    size_t pieces;                 /* a panel is walked in this many pieces of equal length */
    size_t panels, panel_units;
    size_t tiles, row_units;
};

/* What one unit works in. */
struct gemm_scratch {
    _Alignas(64) float sums[UNIT_PANELS][UNIT_ROWS][PANEL];
    _Alignas(64) char rows[UNIT_ROWS * UNIT_INPUTS * GROUP_BYTES];
    _Alignas(64) float columns[TILE_WIDENS ? UNIT_INPUTS * PANEL : 1];
};

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

/* One unit: panels from `panel`, register tiles first..end-1 of the rows; and the piece it is at, groups from..to-1. */
struct gemm_unit {
    const struct gemm_plan *plan;
    struct gemm_scratch *scratch;
    size_t panel, panels, first, end;
    size_t from, to;
    const char *rows; /* of the piece, as inputs */
    size_t stride;    /* bytes from row to row */
};

/* Makes inputs of n rows of x. */
static void gemm_rows_write(struct gemm_unit *unit, const char *x, size_t n, size_t row_bytes, size_t values)
{
    enum dtype dtype = unit->plan->g->w->dtype;
    unit->rows = unit->scratch->rows;
    unit->stride = tile_input_bytes(unit->to - unit->from, dtype);
    for (size_t r = 0; r < n; r++) {
        if (r + ROWS_AHEAD < n)
            tile_prefetch(x + (r + ROWS_AHEAD) * row_bytes, values * dtype_size(dtype));
        tile_input_write(unit->scratch->rows + r * unit->stride, x + r * row_bytes, values, dtype);
    }
}

/* The piece's rows: x itself where it holds inputs and its rows end with whole groups. */
static void gemm_rows(struct gemm_unit *unit)
{
    const struct gemm *g = unit->plan->g;
    enum dtype dtype = g->w->dtype;
    size_t first = tile_start(unit->first, g->n), start = unit->from * group_values(dtype), row_bytes = g->ldx * dtype_size(dtype);
    const char *x = (const char *)g->x + first * row_bytes + start * dtype_size(dtype);
    unit->rows = x;
    unit->stride = row_bytes;
    if (tile_input_dtype(dtype) != dtype || (dtype == DTYPE_BF16 && g->w->n_in % 2 != 0))
        gemm_rows_write(unit, x, tile_start(unit->end, g->n) - first, row_bytes,
                        size_min(g->w->n_in, unit->to * group_values(dtype)) - start);
}

/* The piece's columns of panel `p`, packed or widened. */
static struct tile gemm_columns(const struct gemm_unit *unit, size_t p)
{
    const struct matrix *w = unit->plan->g->w;
    const char *panel = (const char *)w->panels + (unit->panel + p) * matrix_panel_bytes(w->n_in, w->dtype);
    struct tile t = {.b = panel + unit->from * PANEL * GROUP_BYTES, .b_stride = PANEL * GROUP_BYTES, .n = unit->to - unit->from,
                     .dtype = w->dtype};
    if (tile_input_dtype(w->dtype) == w->dtype || unit->end - unit->first < TILE_WIDEN)
        return t;
    tile_widen_columns(unit->scratch->columns, t.b, t.n, PANEL);
    t.b = (const char *)unit->scratch->columns;
    t.n *= 2;
    t.dtype = DTYPE_F32;
    return t;
}

/* Turns whole sums of a finished register tile into what they stand for, in place. */
static void gemm_scale(const struct gemm *g, float *c, size_t row, size_t rows, size_t panel)
{
    const float *of_column = matrix_scales(g->w) + panel * PANEL;
    for (size_t r = 0; r < rows; r++) {
        const struct row_scale *of_row = &g->scales[row + r];
        for (size_t j = 0; j < PANEL; j += LANES) {
            float *at = c + r * PANEL + j;
            vec_store(at, vec_mul(vec_from_i32(at, 128 * of_row->sum), vec_mul(vec_set(of_row->scale), vec_load(of_column + j))));
        }
    }
}

/* Adds the piece of panel `p` of the unit to its sums, and finishes the tiles when it is the last piece. Where it is the only one, the
 * sums of a tile need no place of their own. */
static void gemm_panel(const struct gemm_unit *unit, size_t p)
{
    const struct gemm *g = unit->plan->g;
    size_t first = tile_start(unit->first, g->n);
    struct tile t = gemm_columns(unit, p);
    const char *columns = t.b;
    t.a_stride = unit->stride;
    t.c_stride = PANEL;
    t.resume = unit->from > 0;
    for (size_t i = unit->first; i < unit->end; i++) {
        size_t row = tile_start(i, g->n), n = tile_start(i + 1, g->n) - row;
        t.a = unit->rows + (row - first) * unit->stride;
        t.b = columns;
        t.c = unit->plan->pieces == 1 ? unit->scratch->sums[0][0] : unit->scratch->sums[p][row - first];
        tile_run(&t, n, PANEL);
        if (unit->to < unit->plan->groups)
            continue;
        if (g->w->dtype == DTYPE_I8)
            gemm_scale(g, t.c - PANEL, row, n, unit->panel + p);
        gemm_finish(g, t.c - PANEL, row, n, unit->panel + p);
    }
}

static void gemm_unit_run(const void *call, size_t number, int worker)
{
    (void)worker;
    const struct gemm_plan *plan = call;
    struct gemm_scratch scratch;
    size_t part = number % plan->row_units, group = number / plan->row_units;
    struct gemm_unit unit = {
        .plan = plan,
        .scratch = &scratch,
        .panel = group * plan->panels / plan->panel_units,
        .first = part * plan->tiles / plan->row_units,
        .end = (part + 1) * plan->tiles / plan->row_units,
    };
    unit.panels = (group + 1) * plan->panels / plan->panel_units - unit.panel;
    for (size_t piece = 0; piece < plan->pieces; piece++) {
        unit.from = piece * plan->groups / plan->pieces;
        unit.to = (piece + 1) * plan->groups / plan->pieces;
        gemm_rows(&unit);
        for (size_t p = 0; p < unit.panels; p++)
            gemm_panel(&unit, p);
    }
}

/* How a call is cut up. One tile of rows, as in decoding, reads each panel once from end to end. */
static struct gemm_plan gemm_plan_make(const struct gemm *g, int threads)
{
    size_t groups = groups_for(g->w->n_in, g->w->dtype), panels = (g->w->n_out + PANEL - 1) / PANEL, tiles = tile_count(g->n);
    size_t row_units = (tiles + UNIT_TILES - 1) / UNIT_TILES, longest = UNIT_INPUTS * GROUP_BYTES / tile_input_bytes(1, g->w->dtype);
    size_t least = (THREAD_UNITS * (size_t)threads + row_units - 1) / row_units;
    size_t panel_units = tiles == 1 ? panels : (panels + UNIT_PANELS - 1) / UNIT_PANELS;
    return (struct gemm_plan){
        .g = g,
        .groups = groups,
        .pieces = (groups + longest - 1) / longest,
        .panels = panels,
        .panel_units = panel_units < least ? size_min(least, panels) : panel_units,
        .tiles = tiles,
        .row_units = row_units,
    };
}

static void gemm(const struct gemm *g, int threads)
{
    if (!g->n)
        return;
    struct gemm_plan plan = gemm_plan_make(g, threads);
    kernels_deal(plan.panel_units * plan.row_units, threads, gemm_unit_run, &plan);
}

#endif
