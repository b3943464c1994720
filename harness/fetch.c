/* Fetching: the frames that all cells of a job need, in one pass over the video. */
#include "harness/schedule.h"

#include "core/clock.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    const uint32_t *p = a, *q = b;
    return (*p > *q) - (*p < *q);
}

/* All indices of the cells, each once, ascending. */
static uint32_t *unite(const struct job_cell *cells, size_t n_cells, struct arena *arena, size_t *n)
{
    size_t total = 0;
    for (size_t c = 0; c < n_cells; c++)
        total += cells[c].n;
    uint32_t *all = arena_alloc(arena, total, sizeof *all);
    if (!all)
        return NULL;
    total = 0;
    for (size_t c = 0; c < n_cells; c++)
        for (size_t i = 0; i < cells[c].n; i++)
            all[total++] = cells[c].index[i];
    qsort(all, total, sizeof *all, by_value);
    *n = 0;
    for (size_t i = 0; i < total; i++)
        if (!i || all[i] != all[i - 1])
            all[(*n)++] = all[i];
    return all;
}

int fetch_frames(const struct sweep *sweep, const struct video_ref *ref, int frame_side, struct job *job, struct job_cell *cells, int threads,
                 struct arena *arena, enum answer_status *status, struct err *err)
{
    struct video *video = NULL;
    if (frame_side < 0) { /* nobody looks */
        for (size_t c = 0; c < job->n_cells; c++)
            cells[c].n = (size_t)cells[c].run->cell.frames;
        return 0;
    }
    if (ref->missing) {
        *status = ANSWER_MISSING_VIDEO;
        return err_set(err, ERR_DATA, "no video '%s'; looked for '%s', give the folder of the videos in the sweep file", ref->id, ref->path);
    }
    double start = now_ms();
    int rc = video_open(&video, ref, threads, err);
    if (rc)
        goto done;
    job->facts = *video_facts(video);
    job->open_ms = now_ms() - start;
    for (size_t c = 0; c < job->n_cells && !rc; c++) {
        uint32_t *index = arena_alloc(arena, (size_t)cells[c].run->cell.frames, sizeof *index);
        if (!index)
            rc = err_no_memory(err, "frame indices");
        else
            cells[c].n = plan_cell_frames(sweep, cells[c].run, &job->facts, ref, index);
        cells[c].index = index;
    }
    size_t n = 0, n_replaced = 0;
    uint32_t *all = rc ? NULL : unite(cells, job->n_cells, arena, &n);
    if (!rc && !all)
        rc = err_no_memory(err, "frame indices");
    if (!rc)
        rc = video_read(video, all, n, frame_side, &job->frames, &n_replaced, err);
done:
    video_close(video);
    if (rc)
        *status = rc == ERR_MEMORY ? ANSWER_OUT_OF_MEMORY : ANSWER_DECODE_FAILED;
    return rc;
}

int fetch_prompts(const struct sweep *sweep, size_t b, const struct job *job, struct job_sample *samples, struct arena *arena,
                  enum answer_status *status, struct err *err)
{
    const struct benchmark *benchmark = sweep->benchmarks[b].benchmark;
    struct prompting how = {.protocol = profile_protocol(sweep->profile, benchmark->name), .form = sweep->prompt_form, .video = job->video};
    struct err no_header = {0};
    int rc = 0;
    if (benchmark->needs_header && !how.video->missing)
        video_header(how.video->path, &how.header_fps, &how.header_frames, &no_header); /* zeros, as upstream has them then */
    for (size_t s = 0; s < job->n_samples && !rc; s++)
        rc = benchmark->prompt(&samples[s].prompt, samples[s].sample, &how, arena, err);
    if (rc)
        *status = rc == ERR_MEMORY ? ANSWER_OUT_OF_MEMORY : ANSWER_MISSING_VIDEO;
    return rc;
}
