/* The HTML report: a store as one file that any browser opens without a network or a server.
 *
 * The page is plots/report/: its script finds the store's contents as JSON in the file, in columns. What comes from the store is never
 * markup: it is escaped JSON here and text nodes there, and a Content-Security-Policy lets no other script run. */
#ifndef TOKSWEEP_PLOTS_REPORT_H
#define TOKSWEEP_PLOTS_REPORT_H

#include "core/err.h"
#include "results/store.h"

struct report_options {
    const char *out;     /* path of the page */
    const char *where;   /* restricts the cells, as in store_each_cell; NULL for all */
    const char *title;   /* NULL: made from what is shown */
    const char *store;   /* what the page calls the store: its path */
    const char *program; /* who wrote it: "toksweep 0.1.0" */
};

struct report_counts { size_t cells, answers, bytes; };

/* Writes the page, in the place of one that is there. ERR_CONFIG when no cell is chosen, ERR_IO, ERR_MEMORY. */
int report_write(struct store *store, const struct report_options *options, struct report_counts *out, struct err *err);

#endif
