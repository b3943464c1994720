/* Calibration. The ratio is not smooth in the threshold and cheap once features are there, so the search is a grid: all candidate
 * thresholds are planned on each calibration video's features in one job, and the one whose ratio over all of them is nearest to the
 * target wins (the lower threshold on ties). */
#include "harness/calibrate.h"

#include "core/log.h"
#include "core/rng.h"
#include "harness/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES = 201 }; /* 0.000, 0.005, ... 1.000 */

static double candidate(int i)
{
    return i / 200.0;
}

struct counts { double kept[CANDIDATES], before; };

static int add_counts(void *context, size_t cell, size_t sample, const struct answer *answer)
{
    struct counts *counts = context;
    (void)sample;
    if (answer->status != ANSWER_OK)
        return 0;
    counts->kept[cell] += answer->cost.tokens_visual + answer->cost.tokens_marker;
    counts->before += cell ? 0 : answer->cost.tokens_before;
    return 0;
}

/* Counts the tokens of all candidates on one video. */
static int count_video(const struct sweep *sweep, const struct sweep_cell *cell, const struct video_ref *video, void *runner, void *worker,
                       const struct runner_facts *facts, int threads, const atomic_bool *stop, struct counts *counts, struct err *err)
{
    struct arena arena = {0};
    struct run_cell *runs = arena_alloc(&arena, CANDIDATES, sizeof *runs);
    struct job_cell *cells = arena_alloc(&arena, CANDIDATES, sizeof *cells);
    bool *wanted = arena_alloc(&arena, CANDIDATES, sizeof *wanted);
    struct job_sample none = {0};
    struct job job = {.video = video, .cells = cells, .n_cells = CANDIDATES, .samples = &none, .n_samples = 1, .wanted = wanted,
                      .plan_only = true, .stop = stop};
    enum answer_status status;
    int rc = runs && cells && wanted ? 0 : err_no_memory(err, "a calibration");
    for (int i = 0; i < CANDIDATES && !rc; i++) {
        runs[i] = cell->run;
        struct method *method = sweep_target(&runs[i]);
        method->values[compressor_option(method->compressor, "threshold")] = candidate(i);
        cells[i].run = &runs[i];
        wanted[i] = true;
    }
    if (!rc)
        rc = fetch_frames(sweep, video, facts->frame_side, &job, cells, threads, &arena, &status, err);
    if (!rc)
        rc = sweep->runner->run(runner, worker, &job, add_counts, counts, err);
    frames_free(&job.frames);
    arena_free(&arena);
    return rc;
}

/* Everything the search depends on: what tokens there are, not what is done with them later. */
static int search_key(const struct sweep *sweep, const struct sweep_cell *cell, char key[DIGEST_HEX], struct err *err)
{
    struct run_cell copy = cell->run;
    struct cell without = copy.cell;
    const struct method *method = sweep_target(&copy);
    double values[COMPRESSOR_MOST_OPTIONS];
    memcpy(values, method->values, sizeof values);
    values[compressor_option(method->compressor, "threshold")] = NAN;
    struct json *params = compressor_params(method->compressor, values);
    if (params)
        json_add(params, "calibration_videos", json_new_number(sweep->calibration_videos));
    if (params)
        json_add(params, "calibration_seed", json_new_number((double)sweep->calibration_seed));
    char *text = json_text(params);
    json_free(params);
    if (!text)
        return err_no_memory(err, "a calibration");
    without.compressor = method->compressor->name;
    without.params = text;
    cell_identify(&without);
    memcpy(key, without.digest, DIGEST_HEX);
    free(text);
    return 0;
}

struct draw { uint64_t key; size_t video; };

static int by_key(const void *a, const void *b)
{
    const struct draw *p = a, *q = b;
    return p->key != q->key ? (p->key < q->key ? -1 : 1) : (p->video > q->video) - (p->video < q->video);
}

static int search(const struct sweep *sweep, const struct sweep_cell *cell, void *runner, const struct runner_facts *facts, int threads,
                  const atomic_bool *stop, struct calibration *out, struct err *err)
{
    const struct manifest *manifest = &sweep->benchmarks[cell->benchmark].manifest;
    struct counts counts = {{0}, 0};
    void *worker = NULL;
    struct draw *draws = calloc(manifest->n_videos, sizeof *draws);
    int rc = draws ? sweep->runner->worker_open(runner, &worker, threads, err) : err_no_memory(err, "a calibration");
    for (size_t v = 0; v < manifest->n_videos && !rc; v++)
        draws[v] = (struct draw){rng_u64(sweep->calibration_seed, rng_stream("calibration"), v), v};
    if (!rc)
        qsort(draws, manifest->n_videos, sizeof *draws, by_key);
    for (size_t i = 0; i < manifest->n_videos && !rc && out->n_videos < sweep->calibration_videos && !atomic_load(stop); i++) {
        struct err why = {0};
        double before = counts.before;
        int failed = count_video(sweep, cell, &manifest->videos[draws[i].video], runner, worker, facts, threads, stop, &counts, &why);
        if (failed == ERR_LIBRARY) { /* no video can be read here */
            *err = why;
            rc = failed;
        } else if (failed)
            log_say(LOG_WARNING, "calibration leaves out video '%s': %s", manifest->videos[draws[i].video].id, why.text);
        out->n_videos += counts.before > before;
    }
    if (worker)
        sweep->runner->worker_close(runner, worker);
    free(draws);
    if (!rc && !(counts.before > 0))
        rc = err_set(err, ERR_DATA, "cannot calibrate '%s': no video of %s gave tokens; give a threshold instead of target_ratio", cell->label,
                     manifest->benchmark);
    double best = INFINITY;
    for (int i = 0; i < CANDIDATES && !rc; i++) {
        double ratio = counts.kept[i] / counts.before;
        if (fabs(ratio - out->target_ratio) < best) {
            best = fabs(ratio - out->target_ratio);
            out->threshold = candidate(i);
            out->achieved_ratio = ratio;
        }
    }
    return rc;
}

int calibrate_cells(struct sweep *sweep, struct store *store, void *runner, const struct runner_facts *facts, int threads,
                    const atomic_bool *stop, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < sweep->n_cells && !rc; i++) {
        struct sweep_cell *cell = &sweep->cells[i];
        const struct method *method = sweep_target(&cell->run);
        char key[DIGEST_HEX];
        bool found = false;
        struct calibration calibration = {0};
        if (!method)
            continue;
        if ((rc = search_key(sweep, cell, key, err)) || (store && (rc = store_get_calibration(store, key, &calibration, &found, err))))
            break;
        if (!found) {
            calibration.target_ratio = method->values[compressor_option(method->compressor, "target_ratio")];
            rc = search(sweep, cell, runner, facts, threads, stop, &calibration, err);
            if (!rc && atomic_load(stop))
                return 0;
            if (!rc && store)
                rc = store_put_calibration(store, key, &calibration, err);
        }
        if (!rc) {
            log_say(LOG_NOTE, "%s, %d frames: threshold %.3f keeps %.1f %% of the tokens of %d videos (target %.1f %%)%s", cell->label,
                    cell->run.cell.frames, calibration.threshold, 100 * calibration.achieved_ratio, calibration.n_videos,
                    100 * calibration.target_ratio, found ? ", as searched before" : "");
            rc = sweep_calibrated(sweep, i, calibration.threshold, err);
        }
    }
    return rc;
}
