/* What the parts of the report share: JSON as it is written, text by text. */
#ifndef TOKSWEEP_PLOTS_REPORT_IMPL_H
#define TOKSWEEP_PLOTS_REPORT_IMPL_H

#include "core/text.h"
#include "plots/report.h"

#include <stdbool.h>

extern const char report_page[], report_style[], report_script[]; /* plots/report/, made by embed.cmake */

/* A JSON string that can stand in a <script>: no '<'; bytes that are no UTF-8 are U+FFFD. NULL is null. */
void json_put_text(struct text *out, const char *string);

/* The shortest of the numbers that read back with so many digits; NaN is null. */
void json_put_real(struct text *out, double value, int digits);

/* Appends everything that the page shows as one JSON object. */
int report_data(struct text *out, struct store *store, const struct report_options *options, struct report_counts *counts, struct err *err);

#endif
