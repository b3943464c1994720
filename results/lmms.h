/* What lmms-eval calls things: the task of a question, its row, its target, and the fields of its metric, as of August 2026 (75571cf). */
#ifndef TOKSWEEP_RESULTS_LMMS_H
#define TOKSWEEP_RESULTS_LMMS_H

#include "core/sample.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

enum { LMMS_TASK_NAME = 96 };

struct lmms_benchmark {
    const char *benchmark;   /* this program's name */
    const char *task;        /* theirs; of a group the beginning of its tasks' names, which end with the task type */
    const char *older;       /* an earlier name of the task; NULL if there was none */
    bool is_group;
    const char *metric;      /* its key in logs and results */
    double scale;            /* what all right is: 100, or 1 */
    int digits;              /* behind the point, to which its number is rounded; 0: not at all */
};

const struct lmms_benchmark *lmms_find(const char *benchmark); /* NULL if lmms-eval has no such task */

/* The task of a sample. A sample of a group without a task type has none: "". */
void lmms_task_name(const struct lmms_benchmark *benchmark, const struct sample *sample, char name[LMMS_TASK_NAME]);
bool lmms_is_task(const struct lmms_benchmark *benchmark, const char *task); /* whether a log's task is one of this benchmark */

/* Row of the task's data set, from 0; -1 when a group's sample has an id of another form than "<task type>-<row>". */
int64_t lmms_doc_id(const struct lmms_benchmark *benchmark, const struct sample *sample);

/* What logs give as the target of a sample, and the members of its metric. */
void lmms_put_target(struct text *out, const struct lmms_benchmark *benchmark, const struct sample *sample);

struct lmms_reply {
    const char *bare;        /* as it is scored: without reasoning */
    int letter;              /* 0 for A, -1 for none */
    bool right;
};
void lmms_put_metric(struct text *out, const struct lmms_benchmark *benchmark, const struct sample *sample, const struct video_ref *video,
                     const struct lmms_reply *reply);

#endif
