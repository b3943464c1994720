/* Plan: from cells and manifests to jobs. Jobs are in manifest order of their videos, so that an interrupted run has whole videos. */
#include "harness/plan.h"

#include <stdlib.h>
#include <string.h>

static bool is_listed(const char *id, const char *const *list)
{
    if (!list)
        return true;
    for (; *list; list++)
        if (!strcmp(*list, id))
            return true;
    return false;
}

static int check_sample_ids(const struct sweep *sweep, const char *const *ids, struct err *err)
{
    for (; ids && *ids; ids++) {
        bool found = false;
        for (size_t b = 0; b < sweep->n_benchmarks && !found; b++)
            for (size_t s = 0; s < sweep->benchmarks[b].manifest.n_samples && !found; s++)
                found = !strcmp(sweep->benchmarks[b].manifest.samples[s].id, *ids);
        if (!found)
            return err_set(err, ERR_CONFIG, "--samples: no manifest of the sweep has a sample '%s'; the first of '%s' is '%s'", *ids,
                           sweep->benchmarks[0].manifest.path, sweep->benchmarks[0].manifest.samples[0].id);
    }
    return 0;
}

static int push_job(struct plan *plan, size_t *room, const struct plan_job *job, struct err *err)
{
    if (!job->n_wanted)
        return 0;
    if (plan->n_jobs == *room) {
        size_t grown_room = *room ? 2 * *room : 64;
        struct plan_job *grown = realloc(plan->jobs, grown_room * sizeof *grown);
        if (!grown)
            return err_no_memory(err, "a plan");
        plan->jobs = grown;
        *room = grown_room;
    }
    plan->jobs[plan->n_jobs++] = *job;
    plan->n_wanted += job->n_wanted;
    return 0;
}

static int new_job(struct plan_job *job, size_t benchmark, size_t video, size_t most_cells, size_t most_samples, struct arena *arena,
                   struct err *err)
{
    *job = (struct plan_job){.benchmark = benchmark, .video = video};
    job->cells = arena_alloc(arena, most_cells, sizeof *job->cells);
    job->samples = arena_alloc(arena, most_samples, sizeof *job->samples);
    job->wanted = arena_alloc(arena, most_cells * most_samples, sizeof *job->wanted);
    return job->cells && job->samples && job->wanted ? 0 : err_no_memory(err, "a plan");
}

struct video_samples { size_t *sample, n; };

/* Which cells are to be in a video's job: those that still want any of its samples, and those that such a control matches. */
static void mark_cells(const struct sweep *sweep, size_t benchmark, const struct video_samples *on, const bool *const *done, bool *in_job)
{
    for (size_t c = 0; c < sweep->n_cells; c++) {
        bool any = false;
        for (size_t s = 0; s < on->n && sweep->cells[c].benchmark == benchmark; s++)
            any |= !(done && done[c] && done[c][on->sample[s]]);
        in_job[c] |= any;
        if (any && sweep->cells[c].match != SIZE_MAX)
            in_job[sweep->cells[c].match] = true;
    }
}

/* One job for the video: every cell of its benchmark that still wants any of its samples. */
static int add_shared(struct plan *plan, size_t *room, const struct sweep *sweep, size_t benchmark, size_t video,
                      const struct video_samples *on, const bool *const *done, struct err *err)
{
    struct plan_job job;
    bool *in_job = arena_alloc(&plan->arena, sweep->n_cells, sizeof *in_job);
    int rc = in_job ? new_job(&job, benchmark, video, sweep->n_cells, on->n, &plan->arena, err) : err_no_memory(err, "a plan");
    if (rc)
        return rc;
    mark_cells(sweep, benchmark, on, done, in_job);
    memcpy(job.samples, on->sample, on->n * sizeof *job.samples);
    job.n_samples = on->n;
    for (size_t c = 0; c < sweep->n_cells; c++) {
        if (sweep->cells[c].benchmark != benchmark)
            continue;
        for (size_t s = 0; s < on->n; s++) {
            bool wanted = !(done && done[c] && done[c][on->sample[s]]);
            job.wanted[job.n_cells * on->n + s] = wanted;
            job.n_wanted += wanted;
            plan->n_stored += !wanted;
        }
        if (in_job[c])
            job.cells[job.n_cells++] = c;
    }
    return push_job(plan, room, &job, err);
}

static int add_singles(struct plan *plan, size_t *room, const struct sweep *sweep, size_t benchmark, size_t video,
                       const struct video_samples *on, const bool *const *done, struct err *err)
{
    for (size_t c = 0; c < sweep->n_cells; c++)
        for (size_t s = 0; s < on->n && sweep->cells[c].benchmark == benchmark; s++) {
            struct plan_job job;
            if (done && done[c] && done[c][on->sample[s]]) {
                plan->n_stored++;
                continue;
            }
            int rc = new_job(&job, benchmark, video, 2, 1, &plan->arena, err);
            if (rc)
                return rc;
            if (sweep->cells[c].match != SIZE_MAX)
                job.cells[job.n_cells++] = sweep->cells[c].match;
            job.wanted[job.n_cells] = true;
            job.cells[job.n_cells++] = c;
            job.samples[job.n_samples++] = on->sample[s];
            job.n_wanted = 1;
            if ((rc = push_job(plan, room, &job, err)))
                return rc;
        }
    return 0;
}

/* The chosen samples of a manifest, grouped by video; videos in the order of their first sample. */
static int group_samples(const struct manifest *manifest, const struct plan_options *options, struct arena *arena, struct video_samples **out,
                         struct err *err)
{
    struct video_samples *on = arena_alloc(arena, manifest->n_videos, sizeof *on);
    size_t *count = arena_alloc(arena, manifest->n_videos, sizeof *count);
    if (!on || !count)
        return err_no_memory(err, "a plan");
    size_t n = options->limit && options->limit < manifest->n_samples ? options->limit : manifest->n_samples;
    for (size_t s = 0; s < n; s++)
        count[manifest->samples[s].video] += is_listed(manifest->samples[s].id, options->samples);
    for (size_t v = 0; v < manifest->n_videos; v++)
        if (count[v] && !(on[v].sample = arena_alloc(arena, count[v], sizeof *on[v].sample)))
            return err_no_memory(err, "a plan");
    for (size_t s = 0; s < n; s++) {
        struct video_samples *video = &on[manifest->samples[s].video];
        if (is_listed(manifest->samples[s].id, options->samples))
            video->sample[video->n++] = s;
    }
    *out = on;
    return 0;
}

int plan_make(struct plan *out, const struct sweep *sweep, const bool *const *done, const struct plan_options *options, struct err *err)
{
    size_t room = 0;
    *out = (struct plan){0};
    int rc = check_sample_ids(sweep, options->samples, err);
    for (size_t b = 0; b < sweep->n_benchmarks && !rc; b++) {
        const struct manifest *manifest = &sweep->benchmarks[b].manifest;
        struct video_samples *on = NULL;
        rc = group_samples(manifest, options, &out->arena, &on, err);
        for (size_t v = 0; v < manifest->n_videos && !rc; v++) {
            bool mine = !options->n_shards || v % options->n_shards == options->shard;
            if (on[v].n && mine)
                rc = (options->no_share ? add_singles : add_shared)(out, &room, sweep, b, v, &on[v], done, err);
        }
    }
    if (rc)
        plan_free(out);
    return rc;
}

void plan_free(struct plan *plan)
{
    free(plan->jobs);
    arena_free(&plan->arena);
    *plan = (struct plan){0};
}

size_t plan_cell_frames(const struct sweep *sweep, const struct run_cell *run, const struct video_facts *facts,
                        const struct video_ref *video, uint32_t *out)
{
    uint32_t first = 0, last = facts->n_frames - 1;
    if (sweep->profile->clip_bounds && video->start_s >= 0)
        clip_range(facts, video, &first, &last);
    return frame_indices(run->cell.sampling, facts->n_frames, facts->fps, first, last, (size_t)run->cell.frames, out);
}
