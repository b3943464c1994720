/* Exports: a cell in the files of other programs, as text. */
#ifndef TOKSWEEP_RESULTS_EXPORT_H
#define TOKSWEEP_RESULTS_EXPORT_H

#include "core/err.h"
#include "core/text.h"
#include "results/store.h"

struct export_reply {
    const char *bare;           /* as the profile scores it: stripped, and without reasoning if that drops it; NULL: there is no reply */
    const char *filtered, *raw; /* the same, and the reply in full, with the blanks at their ends of an imported log */
    const char *prompt;         /* what was asked; NULL where it is not known */
};

struct export_source {
    const struct stored_cell *cell;
    const struct protocol *protocol;    /* its profile's, of its benchmark */
    const struct export_reply *replies; /* [n_samples] */
};

struct export_format {
    const char *name;           /* "lmms-eval-samples" */
    const char *summary;        /* one line for help */
    const char *benchmark;      /* the only one it is made for; NULL: all that lmms-eval has */
    bool by_task;               /* a file for each of lmms-eval's tasks */
    const char *file;           /* its name in a folder: %S is the cell's stamp, %M its model's name, %T the task */

    /* Appends the file's text. `task` is NULL unless by_task. Replies that failed are left out, or told as the format has it. ERR_DATA
     * when the cell lacks what the format needs, ERR_MEMORY. */
    int (*write)(struct text *out, const struct export_source *source, const char *task, struct err *err);
};

const struct export_format *export_format_at(int i); /* NULL past the end */
const struct export_format *export_format_find(const char *name);

/* Whether the cell can be written so: ERR_CONFIG says which benchmark it would have to be of. */
int export_check(const struct export_format *format, const struct stored_cell *cell, struct err *err);

/* Tasks of the cell's samples in the manifest's order, each once: to be freed as one block, as is each name with it; ends with NULL.
 * NULL when memory is out. */
char **export_tasks(const struct stored_cell *cell);

/* The file's name, malloc'ed; NULL when memory is out. */
char *export_file_name(const struct export_format *format, const struct stored_cell *cell, const char *task);

#endif
