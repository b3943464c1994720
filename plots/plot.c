/* Plots: the table of figures. To add one: a .c with its draw function, a line in plot_impl.h, a line here. */
#include "plots/plot_impl.h"

#include <string.h>

static const struct figure figures[] = {
    {"ratio-accuracy", "accuracy against the share of visual tokens kept, one line per compressor and number of frames",
     figure_ratio_accuracy},
    {"frames", "accuracy against the frames shown, one line per compressor and setting (Figure 4 of the DynTok paper, left)",
     figure_frames},
    {"budget", "accuracy against visual tokens a question, one line per compressor and setting (the same, right)", figure_budget},
    {"threshold", "tokens kept and accuracy against the merging threshold (Figure 3 of the DynTok paper)", figure_threshold},
    {"history", "accuracy over the revisions of a store, one line per cell that has several", figure_history},
    {"tasks", "accuracy by task type, a dot with its interval for each cell (Table 2 of the DynTok paper)", figure_tasks},
    {"pareto", "the best accuracy for so many visual tokens, and how sure that is: a bootstrap over videos", figure_pareto},
    {"cost", "where the time of a question goes, stage by stage, by itself and with what sharing left of it", figure_cost},
};

enum { FIGURES = sizeof figures / sizeof *figures };

const struct figure *figure_at(int i)
{
    return i >= 0 && i < FIGURES ? &figures[i] : NULL;
}

const struct figure *figure_find(const char *name)
{
    for (int i = 0; i < FIGURES; i++)
        if (strcmp(figures[i].name, name) == 0)
            return &figures[i];
    return NULL;
}
