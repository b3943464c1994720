/* checkerboard: keeps every n-th cell of each frame, shifted by one from row to row and from frame to frame.
 *
 *     cc -std=c17 -O2 -shared -fPIC -I<prefix>/include/toksweep -o checkerboard.so checkerboard.c
 *     toksweep list compressors --plugin ./checkerboard.so */
#include "compressors/plugin.h"

static const struct option options[] = {
    {.name = "every", .type = OPTION_INT, .otherwise = 2, .least = 1, .most = 64, .help = "one cell of so many is kept"},
};

static unsigned needs(const double *values)
{
    (void)values;
    return 0; /* no features: the plan depends on the grid alone */
}

static enum src_dom domain(const double *values)
{
    (void)values;
    return DOM_H_POOLED;
}

static int tokens(const double *values, const struct vid_view *video, const struct qst_view *question, const struct budget *budget,
                  struct arena *arena, struct tok_plan *out, struct err *err)
{
    (void)question;
    (void)budget;
    int T = video->T, h = video->pooled.h, w = video->pooled.w, every = (int)values[0];
    if (!tok_plan_reserve(out, T, h, w, (size_t)T * h * w, (size_t)T * h * w, arena))
        return err_no_memory(err, "a token plan");
    for (int t = 0; t < T; t++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                if ((t + y + x) % every)
                    continue;
                uint32_t source = (uint32_t)((t * h + y) * w + x), row0 = (uint32_t)out->n_taps;
                out->taps[out->n_taps++] = (struct tap){source, 1};
                tok_plan_push(out, row0, t, t + 1, y, y + 1, x, x + 1, source, 1);
            }
    return 0;
}

static double expected_ratio(const double *values, const struct vid_view *shape, enum newline native, const char **source)
{
    (void)shape;
    (void)native;
    *source = "about; markers are not counted";
    return 1 / values[0];
}

static const struct compressor checkerboard = {
    .name = "checkerboard",
    .summary = "keeps every n-th cell of each frame",
    .source = "an example",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .needs = needs,
    .domain = domain,
    .tokens = tokens,
    .expected_ratio = expected_ratio,
};

COMPRESSOR_PLUGIN(checkerboard)
