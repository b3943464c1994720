/* Log match: one table of rows per log, so that a benchmark of many tasks is as quick as one of one. */
#include "results/log_match.h"

#include "core/text.h"
#include "results/lmms.h"

#include <stdlib.h>
#include <string.h>

struct matching {
    const struct logged **out;
    const struct manifest *manifest;
    const struct lmms_benchmark *benchmark;
    const struct sample_log **sources; /* [n_samples] the log that answered it */
    size_t *samples;                   /* [n_rows] of the log at hand: sample + 1 by doc_id, 0 for rows that are not there */
    size_t n_rows;
    struct err *err;
};

/* The task whose rows a log's doc_ids are. */
static int find_task(const struct matching *matching, const struct sample_log *log, const char **task)
{
    const struct lmms_benchmark *benchmark = matching->benchmark;
    bool known = *log->task && lmms_is_task(benchmark, log->task);
    *task = benchmark->is_group ? log->task : benchmark->task;
    if (*log->task && !known)
        return err_set(matching->err, ERR_DATA, "'%s' is a log of task '%s', which is none of %s; name its benchmark with --benchmark",
                       log->path, log->task, benchmark->benchmark);
    if (!known && benchmark->is_group)
        return err_set(matching->err, ERR_DATA, "the name of '%s' does not tell its task, and %s has many; name it as lmms-eval does: "
                       "<stamp>_samples_%s<task>.jsonl", log->path, benchmark->benchmark, benchmark->task);
    return 0;
}

/* Room for the highest row there is; one far off is none of lmms-eval's. */
static int make_rows(struct matching *matching)
{
    enum { MOST_ROWS = 1 << 24 };
    for (size_t i = 0; i < matching->manifest->n_samples; i++) {
        int64_t row = lmms_doc_id(matching->benchmark, &matching->manifest->samples[i]);
        if (row >= (int64_t)matching->n_rows && row < MOST_ROWS)
            matching->n_rows = (size_t)row + 1;
    }
    matching->samples = malloc((matching->n_rows + 1) * sizeof *matching->samples);
    return matching->samples ? 0 : err_no_memory(matching->err, "the rows of a log");
}

static void list_rows(const struct matching *matching, const char *task)
{
    memset(matching->samples, 0, matching->n_rows * sizeof *matching->samples);
    for (size_t i = 0; i < matching->manifest->n_samples; i++) {
        char name[LMMS_TASK_NAME];
        const struct sample *sample = &matching->manifest->samples[i];
        int64_t row = lmms_doc_id(matching->benchmark, sample);
        lmms_task_name(matching->benchmark, sample, name);
        if (row >= 0 && (uint64_t)row < matching->n_rows && !strcmp(name, task))
            matching->samples[row] = i + 1;
    }
}

/* A metric names an id, MLVU's the question's text, an old one of LongVideoBench the beginning of an id. */
static bool is_asked(const struct sample *sample, const struct video_ref *video, const char *asked)
{
    size_t n = strlen(asked);
    return !strcmp(asked, sample->id) || !strcmp(asked, sample->question) || !strcmp(asked, video->id) ||
           (!strncmp(asked, sample->id, n) && sample->id[n] == '_');
}

static const char way_out[] = "give the manifest that the log was made with";

static int compare(const struct matching *matching, const struct sample_log *log, const struct logged *entry, size_t i)
{
    const struct sample *sample = &matching->manifest->samples[i];
    struct text target = {0};
    lmms_put_target(&target, matching->benchmark, sample);
    int rc = target.failed ? err_no_memory(matching->err, "a log's targets") : 0;
    if (!rc && entry->target && sample->answer >= 0 && strcmp(entry->target, target.bytes ? target.bytes : ""))
        rc = err_set(matching->err, ERR_DATA, "'%s', %s %zu: the target is '%.80s', that of question '%s' is '%.80s'; %s", log->path,
                     log->unit, entry->place, entry->target, sample->id, target.bytes ? target.bytes : "", way_out);
    else if (!rc && entry->asked && !is_asked(sample, &matching->manifest->videos[sample->video], entry->asked))
        rc = err_set(matching->err, ERR_DATA, "'%s', %s %zu: row %lld is '%.80s' in the log and '%s' in the manifest; %s", log->path,
                     log->unit, entry->place, (long long)entry->doc_id, entry->asked, sample->id, way_out);
    text_free(&target);
    return rc;
}

static int match_entry(const struct matching *matching, const struct sample_log *log, const struct logged *entry)
{
    const struct manifest *manifest = matching->manifest;
    size_t found = (uint64_t)entry->doc_id < matching->n_rows ? matching->samples[entry->doc_id] : 0;
    if (!found)
        return err_set(matching->err, ERR_DATA, "'%s', %s %zu: doc_id %lld is no row of '%s'; %s", log->path, log->unit, entry->place,
                       (long long)entry->doc_id, manifest->path, way_out);
    size_t i = found - 1;
    if (matching->out[i])
        return err_set(matching->err, ERR_DATA, "'%s', %s %zu: doc_id %lld is answered by %s %zu of '%s' already; import logs of one run",
                       log->path, log->unit, entry->place, (long long)entry->doc_id, matching->sources[i]->unit, matching->out[i]->place,
                       matching->sources[i]->path);
    matching->out[i] = entry;
    matching->sources[i] = log;
    return compare(matching, log, entry, i);
}

int log_match(const struct logged **out, const struct manifest *manifest, const struct sample_log *logs, size_t n_logs, struct err *err)
{
    size_t n = manifest->n_samples;
    struct matching matching = {.out = out, .manifest = manifest, .benchmark = lmms_find(manifest->benchmark), .err = err};
    memset(out, 0, n * sizeof *out);
    if (!matching.benchmark)
        return err_set(err, ERR_CONFIG, "lmms-eval has no task for %s, so that there is no log of it", manifest->benchmark);
    matching.sources = calloc(n + 1, sizeof *matching.sources);
    int rc = matching.sources ? make_rows(&matching) : err_no_memory(err, "the entries of a log");
    for (size_t k = 0; k < n_logs && !rc; k++) {
        const char *task;
        if ((rc = find_task(&matching, &logs[k], &task)))
            break;
        list_rows(&matching, task);
        for (size_t e = 0; e < logs[k].n_entries && !rc; e++)
            rc = match_entry(&matching, &logs[k], &logs[k].entries[e]);
    }
    free(matching.sources);
    free(matching.samples);
    return rc;
}
