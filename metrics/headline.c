/* Headlines: a mean of groups' means as a mean over questions. */
#include "metrics/headline.h"

#include <stdlib.h>

struct group { double sum; size_t n; };

int headline_macro(double *scores, const size_t *group, size_t n, size_t n_groups, size_t least, struct err *err)
{
    struct group *groups = calloc(n_groups ? n_groups : 1, sizeof *groups);
    if (!groups)
        return err_no_memory(err, "a mean over task types");
    for (size_t i = 0; i < n; i++) {
        groups[group[i]].sum += scores[i];
        groups[group[i]].n++;
    }
    size_t used = 0;
    double mean = 0;
    for (size_t g = 0; g < n_groups; g++)
        if (groups[g].n) {
            mean += groups[g].sum / (double)groups[g].n;
            used++;
        }
    double parts = (double)(used > least ? used : least);
    for (size_t i = 0; i < n; i++) {
        const struct group *own = &groups[group[i]];
        scores[i] = mean / parts + (scores[i] - own->sum / (double)own->n) * (double)n / ((double)own->n * parts);
    }
    free(groups);
    return 0;
}
