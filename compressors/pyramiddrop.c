/* PyramidDrop (Xing et al., CVPR 2025): after each quarter of the layers, a share of the visual tokens that entered is left: those that
 * the last prompt row attends to most by the next layer's own projections. Positions are counted anew at each stage. */
#include "compressors/methods.h"

#include "compressors/layer.h"

#include <math.h>

enum { STAGES = 3 };
enum { KEEP, KEEP1, KEEP2, KEEP3, LAYER1, LAYER2, LAYER3, POSITIONS, MARKERS, SIZE_POWER };

static const char *const positions[] = {"compact", "keep", NULL};

static const struct option options[] = {
    {"keep", OPTION_REAL, 0.5, 0, 1, NULL, "share kept at each stage of what the stage before kept (the paper's lambda)"},
    {"keep1", OPTION_REAL, NAN, 0, 1, NULL, "share kept from the first stage on, of the tokens that entered; unset: keep"},
    {"keep2", OPTION_REAL, NAN, 0, 1, NULL, "from the second; unset: keep^2"},
    {"keep3", OPTION_REAL, NAN, 0, 1, NULL, "from the third; unset: keep^3"},
    {"layer1", OPTION_INT, NAN, 0, 1000, NULL, "first layer of the first stage, counted from 0; unset: a quarter of the layers"},
    {"layer2", OPTION_INT, NAN, 0, 1000, NULL, "of the second; unset: half"},
    {"layer3", OPTION_INT, NAN, 0, 1000, NULL, "of the third; unset: three quarters"},
    {"positions", OPTION_CHOICE, POSITIONS_COMPACT, 0, 0, positions, "compact: 0..n-1 at each stage, as released; keep: as they were"},
    {"markers", OPTION_CHOICE, LAYER_MARKERS_KEPT, 0, 0, layer_markers, "kept: stay and are not counted; ranked: like any token, as upstream"},
    {"size_power", OPTION_REAL, 0, -4, 4, NULL, "scores are multiplied by size^this where tokens were merged before; 0: plain, 1 favours big groups"},
};

/* First layer of stage i. Models of a few layers have no third quarter. */
static int stage_layer(const double *values, int i, int n_layers)
{
    int quarter = n_layers * (i + 1) / 4;
    return isnan(values[LAYER1 + i]) ? (quarter > i + 1 ? quarter : i + 1) : (int)values[LAYER1 + i];
}

static double stage_share(const double *values, int i)
{
    return isnan(values[KEEP1 + i]) ? pow(values[KEEP], i + 1) : values[KEEP1 + i];
}

static int stage_of(const double *values, int layer, int n_layers)
{
    for (int i = 0; i < STAGES; i++)
        if (stage_layer(values, i, n_layers) == layer)
            return i;
    return -1;
}

static int check(const double *values, struct err *err)
{
    for (int i = 1; i < STAGES; i++)
        if (stage_share(values, i) > stage_share(values, i - 1))
            return err_set(err, ERR_CONFIG, "compressor pyramiddrop: 'keep%d' is larger than the share kept before; tokens do not come back", i + 1);
    return 0;
}

static int fits(const double *values, int n_layers, struct err *err)
{
    static const char *const names[] = {"layer1", "layer2", "layer3"};
    int rc = 0;
    for (int i = 0; i < STAGES && !rc; i++) {
        if (!isnan(values[LAYER1 + i]))
            rc = layer_fits("pyramiddrop", names[i], values[LAYER1 + i], n_layers, err);
        if (!rc && i && stage_layer(values, i, n_layers) <= stage_layer(values, i - 1, n_layers))
            rc = err_set(err, ERR_CONFIG, "compressor pyramiddrop: stage %d begins at layer %d and the one before at layer %d; let them ascend",
                         i + 1, stage_layer(values, i, n_layers), stage_layer(values, i - 1, n_layers));
    }
    return rc;
}

static void want(const double *values, const void *memory, int layer, enum layer_point point, int n_layers, struct layer_want *out)
{
    (void)memory;
    out->call = point == POINT_PRE && stage_of(values, layer, n_layers) >= 0;
    out->rows = ROWS_LAST;
    out->rows_of_this_layer = true;
    out->heads = HEADS_MEAN;
}

static int layer(const double *values, enum layer_point point, const struct layer_view *view, struct arena *arena, struct layer_plan *out,
                 struct err *err)
{
    (void)point;
    int markers = (int)values[MARKERS];
    double share = stage_share(values, stage_of(values, view->layer, view->n_layers));
    size_t entered = markers == LAYER_MARKERS_RANKED ? view->n_entered : view->n_content;
    return layer_plan_best(view, markers, (size_t)(share * (double)entered), values[SIZE_POWER], (enum tok_positions)(int)values[POSITIONS],
                           arena, out, err);
}

const struct compressor compressor_pyramiddrop = {
    .name = "pyramiddrop",
    .summary = "drops tokens in stages, those that the last prompt row would hardly attend to in the next layer",
    .source = "Cooperx521/PyramidDrop llava/model/modeling_llama_pdrop.py; arXiv 2410.17247",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .flags = QDEP_LAYER,
    .check = check,
    .fits = fits,
    .want = want,
    .layer = layer,
};
