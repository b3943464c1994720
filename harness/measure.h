/* Measures: what a cell's answers come to, alone or as a change from another cell, with an interval over videos. */
#ifndef TOKSWEEP_HARNESS_MEASURE_H
#define TOKSWEEP_HARNESS_MEASURE_H

#include "metrics/interval.h"
#include "results/store.h"

enum quantity { QUANTITY_ACCURACY, QUANTITY_RATIO, QUANTITY_TOKENS }; /* percent; percent of the tokens; visual tokens a question */

/* A cell's replies. Owns its rows and their texts. */
struct scores {
    struct scored_row *rows; /* by sample */
    size_t n;
    bool macro;              /* of the cell's headline */
    int macro_types;
    struct arena arena;
};

int scores_load(struct scores *out, struct store *store, const struct cell_row *cell, struct err *err);
void scores_free(struct scores *scores);

struct estimate {
    double value;
    struct interval interval; /* 95 %; infinite with fewer than two videos */
    size_t n, videos;         /* questions it is made of; 0: there is nothing to say, and value is NaN */
};

/* The measure of `cell`, or with `base` the change from that: over the questions that both answered, paired. `task` restricts the questions
 * to one task type, NULL does not. A change of accuracy is never taken to be known better than as if one question had changed sides. */
int measure_cell(const struct scores *cell, const struct scores *base, const char *task, enum quantity quantity, struct estimate *out,
                 struct err *err);

#endif
