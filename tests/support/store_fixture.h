/* For tests of results/ and plots/: a store in a folder of its own, a small manifest, cells and answers with defaults. */
#ifndef TOKSWEEP_TESTS_SUPPORT_STORE_FIXTURE_H
#define TOKSWEEP_TESTS_SUPPORT_STORE_FIXTURE_H

#include "results/store.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Ends the test with the error's text when a call failed. */
#define OK(call)                                                                      \
    do {                                                                              \
        struct err err = {0};                                                         \
        if ((call) != 0)                                                              \
            fail_msg("%s: %s", #call, err.text);                                      \
    } while (0)

enum { FIXTURE_TASKS = 3, FIXTURE_PATH = 256 };

struct store_fixture {
    char folder[FIXTURE_PATH / 2], path[FIXTURE_PATH];
    struct store *store;
    struct manifest manifest;
    int64_t run;
};

static inline void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* n_samples questions, two to a video, task types "alpha", "beta", "gamma" in turn. `name` sets manifests of one benchmark apart. */
static inline struct manifest fixture_manifest(const char *benchmark, const char *name, size_t n_samples)
{
    static const char *const options[] = {"A. red", "B. blue", "C. green"};
    static const char *const tasks[FIXTURE_TASKS] = {"alpha", "beta", "gamma"};
    struct manifest manifest = {.benchmark = benchmark, .n_samples = n_samples, .n_videos = (n_samples + 1) / 2};
    digest_of(name, strlen(name), manifest.digest);
    manifest.path = arena_printf(&manifest.arena, "%s.json", name);
    manifest.videos = arena_alloc(&manifest.arena, manifest.n_videos, sizeof *manifest.videos);
    manifest.samples = arena_alloc(&manifest.arena, n_samples, sizeof *manifest.samples);
    for (size_t i = 0; i < manifest.n_videos; i++)
        manifest.videos[i] = (struct video_ref){.id = arena_printf(&manifest.arena, "v%zu", i),
                                                .path = arena_printf(&manifest.arena, "clips/v%zu.mp4", i), .start_s = -1};
    for (size_t i = 0; i < n_samples; i++)
        manifest.samples[i] = (struct sample){.id = arena_printf(&manifest.arena, "q%zu", i), .row = i, .video = i / 2,
                                              .question = "which colour?", .options = options, .n_options = 3, .answer = (int)(i % 3),
                                              .task_type = tasks[i % FIXTURE_TASKS]};
    return manifest;
}

static inline void fixture_folder(struct store_fixture *fixture)
{
    snprintf(fixture->folder, sizeof fixture->folder, "%s/toksweep-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(fixture->folder))
        abort();
    snprintf(fixture->path, sizeof fixture->path, "%s/results.sqlite", fixture->folder);
}

static inline int fixture_begin_run(struct store *store, int64_t *run, struct err *err)
{
    struct run_facts facts = {.command = "toksweep run sweep.yaml", .sweep_name = "sweep", .config = "{\"axes\":{}}", .revision = "",
                              .build_digest = "b0", .libraries = "{\"sqlite\":\"3\"}", .host = "here", .device = "cpu: test, 1 threads"};
    return store_begin_run(store, &facts, run, err);
}

/* An open store that knows a manifest of n_samples, and a run. */
static inline int fixture_open(struct store_fixture *fixture, size_t n_samples, struct err *err)
{
    *fixture = (struct store_fixture){0};
    fixture_folder(fixture);
    fixture->manifest = fixture_manifest("videomme", "manifest", n_samples);
    int rc = store_open(&fixture->store, fixture->path, STORE_WRITE, err);
    if (rc == 0)
        rc = store_put_manifest(fixture->store, &fixture->manifest, err);
    return rc ? rc : fixture_begin_run(fixture->store, &fixture->run, err);
}

static inline void fixture_close(struct store_fixture *fixture)
{
    store_close(fixture->store);
    arena_free(&fixture->manifest.arena);
    DIR *folder = opendir(fixture->folder);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[FIXTURE_PATH + sizeof entry->d_name];
        snprintf(path, sizeof path, "%s/%s", fixture->folder, entry->d_name);
        unlink(path); /* "." and ".." stay */
    }
    if (folder)
        closedir(folder);
    rmdir(fixture->folder);
}

static inline struct cell fixture_cell(const struct manifest *manifest, const char *compressor, const char *params, const char *label,
                                       int frames)
{
    return (struct cell){.model = "lmms-lab/tiny", .benchmark = manifest->benchmark, .profile = "toksweep", .frames = frames,
                         .sampling = FRAMES_UNIFORM, .compressor = compressor, .params = params, .label = label, .pooling = "bilinear",
                         .image_size = 384, .newline = "grid", .conversation = "qwen_1_5", .prompt_form = "default",
                         .repetition_penalty = 1, .max_new_tokens = 16, .dtype = "f32",
                         .runner = "mock", .isa = "ref", .model_digest = "m0", .manifest_digest = manifest->digest, .build_digest = "b0"};
}

static inline int fixture_put_cell(struct store *store, struct cell cell, int64_t *id, struct err *err)
{
    static const struct protocol micro = {.benchmark = "videomme"};
    cell_identify(&cell);
    return store_put_cell(store, &cell, &micro, id, err);
}

/* An ok answer over `frames` frames of 210 tokens, of which `kept` content tokens and all markers were kept. */
static inline struct answer fixture_answer(bool correct, int frames, int kept)
{
    struct answer answer = {.status = ANSWER_OK, .raw = correct ? "A" : "B", .extracted = correct ? 0 : 1, .correct = correct,
                            .margin = 1.5};
    answer.cost = (struct cost){.frames = frames, .frames_encoded = frames, .tokens_before = 210 * frames, .tokens_marker_before = 14 * frames,
                                .tokens_visual = kept,
                                .tokens_marker = 14 * frames, .tokens_text = 50, .tokens_generated = 2,
                                .tokens_prefilled = kept + 14 * frames + 50, .joules = (double)NAN};
    return answer;
}

/* Answers samples 0..n-1 of the fixture's manifest, the first `correct` of them rightly. */
static inline int fixture_answer_all(struct store_fixture *fixture, int64_t cell, size_t n, size_t correct, int frames, int kept,
                                     struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct answer answer = fixture_answer(i < correct, frames, kept);
        rc = store_put_answer(fixture->store, fixture->run, cell, &fixture->manifest, i, &answer, err);
    }
    return rc;
}

#endif
