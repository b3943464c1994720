/* Sweeps and plans: cells from axes, messages with places, jobs from what a store lacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD "model: somewhere\naxes:\n  benchmark: {name: videomme, manifest: m.json}\n"

static char folder[] = "/tmp/toksweep-test-XXXXXX";
static char path[128];

static void put(const char *name, const char *text)
{
    char full[160];
    snprintf(full, sizeof full, "%s/%s", folder, name);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int load(struct sweep *sweep, const char *yaml, struct err *err)
{
    static const struct sweep_overrides none;
    put("s.yaml", yaml);
    return sweep_load(sweep, path, &none, err);
}

static void refused(const char *yaml, const char *place, const char *words)
{
    struct sweep sweep;
    struct err err = {0};
    int rc = load(&sweep, yaml, &err);
    if (rc != ERR_CONFIG || !strstr(err.text, words) || !strstr(err.text, place))
        fail_msg("%d '%s', wanted '%s' at %s", rc, err.text, words, place);
}

static void test_refusals_name_the_place(void **state)
{
    (void)state;
    refused("model: x\n", "s.yaml:1:1", "no 'axes'");
    refused(HEAD "  frames: 4\n", "s.yaml:2:1", "axes has no 'compressor'");
    refused(HEAD "  frames: []\n  compressor: none\n", "s.yaml:4:3", "axis 'frames' is empty");
    refused(HEAD "  frames: [4, many]\n  compressor: none\n", "s.yaml:4:15", "whole numbers from 1 to 4096, this is many");
    refused(HEAD "  frames: 0\n  compressor: none\n", "s.yaml:4:3", "whole numbers from 1");
    refused(HEAD "  frames: 4\n  compressor: {name: dyntok, treshold: 0.5}\n", "s.yaml:5:3", "did you mean 'threshold'?");
    refused(HEAD "  frames: 4\n  compressor: {name: dyntok, threshold: high}\n", "s.yaml:5:3", "'threshold' should be a number");
    refused(HEAD "  frames: 4\n  compressor: {name: dyntok, threshold: []}\n", "s.yaml:5", "option 'threshold' is an empty list");
    refused(HEAD "  frames: 4\n  compressor: dyntoc\n", "s.yaml:5:3", "did you mean 'dyntok'?");
    refused(HEAD "  frames: 4\n  compressor: none\n  sampling: sometimes\n", "s.yaml:6:3", "axis 'sampling' has no value 'sometimes'");
    refused(HEAD "  frames: [4, 4]\n  compressor: none\n", "s.yaml:5:3", "stands twice");
    refused(HEAD "  frames: 4\n  compressor: none\nprofile: lmms-0.3.5\n", "s.yaml:6:1", "did you mean 'lmms-0.3.4'?");
    refused(HEAD "  frames: 4\n  compressor: none\nrunner: {dtype: fp8}\n", "s.yaml:6:1", "'dtype'");
    refused(HEAD "  frames: 4\n  compressor: none\nrunnner: {}\n", "s.yaml:6:1", "did you mean 'runner'?");
    refused("axes: {benchmark: videomme, frames: 1, compressor: none}\n", "s.yaml", "no 'model'");
    refused("model: x\naxes: {benchmark: longvideobench_val_i, frames: 16, compressor: none}\n", "s.yaml:2",
            "puts frames between subtitles, and runner native shows them in one piece; ask longvideobench_val_v");
    refused("model: x\naxes: {benchmark: {name: videomme, exclud: x}, frames: 1, compressor: none}\n", "s.yaml:2", "did you mean 'exclude'?");
    refused("model: x\nprofile: official\naxes: {benchmark: nextqa_mc_test, frames: 1, compressor: none}\n", "s.yaml:3",
            "profile official has no protocol for benchmark nextqa_mc_test");
    refused("model: x\naxes: {benchmark: videomee, frames: 1, compressor: none}\n", "s.yaml:2", "did you mean 'videomme'?");
}

static void test_cells_are_the_product(void **state)
{
    (void)state;
    struct sweep sweep;
    struct err err = {0};
    const char *yaml = HEAD "  frames: [4, 8]\n  pooling: [bilinear, average]\n  compressor:\n    - none\n"
                            "    - {name: dyntok, threshold: [0.4, 0.5], marker: [row, none]}\n";
    if (load(&sweep, yaml, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sweep.n_cells, 2 * 2 * (1 + 4));
    assert_int_equal(sweep.most_frames, 8);
    assert_string_equal(sweep.cells[0].label, "none");
    assert_string_equal(sweep.cells[2].label, "dyntok threshold=0.5");
    assert_string_equal(sweep.cells[3].label, "dyntok threshold=0.4 marker=none");
    assert_string_equal(sweep.cells[5].run.cell.pooling, "average");
    assert_int_equal(sweep.cells[19].run.cell.frames, 8);
    assert_int_equal(sweep.cells[0].run.cell.max_new_tokens, 16);
    sweep_free(&sweep);
}

static void test_methods_work_together(void **state)
{
    (void)state;
    struct sweep sweep;
    struct err err = {0};
    const char *yaml = HEAD "  frames: 4\n  compressor:\n    - [{name: dyntok, threshold: [0.5, 0.6]}, none, {name: fastv, keep: [0.5, 0.25, 0.1]}]\n"
                            "    - [none, fastv]\n    - fastv\n";
    refused(yaml, "s.yaml:8:7", "'fastv keep=0.5' at 4 frames stands twice"); /* none stands for an empty place */
    yaml = HEAD "  frames: 4\n  compressor:\n    - [{name: dyntok, threshold: [0.5, 0.6]}, none, {name: fastv, keep: [0.5, 0.25, 0.1]}]\n    - [none]\n";
    if (load(&sweep, yaml, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sweep.n_cells, 6 + 1);
    assert_string_equal(sweep.cells[0].label, "dyntok threshold=0.5 + fastv keep=0.5");
    assert_string_equal(sweep.cells[1].label, "dyntok threshold=0.6 + fastv keep=0.5");
    assert_string_equal(sweep.cells[5].label, "dyntok threshold=0.6 + fastv keep=0.1");
    assert_string_equal(sweep.cells[5].run.cell.compressor, "dyntok + fastv");
    assert_string_equal(sweep.cells[6].run.cell.compressor, "none");
    sweep_free(&sweep);
    refused(HEAD "  frames: 4\n  compressor: [[fastv, pyramiddrop]]\n", "s.yaml:5", "fastv and pyramiddrop both act between the layers");
    refused(HEAD "  frames: 4\n  compressor: [[]]\n", "s.yaml:5", "has 1 to 4 of them, this has 0");
    refused(HEAD "  frames: 4\n  compressor: [[none, dyntok, fastv, dycoke, none]]\n", "s.yaml:5", "this has 5");
    refused(HEAD "  frames: 4\n  compressor: dytok\n", "s.yaml:5", "nothing here spends them; add one of");
    refused(HEAD "  frames: 4\n  compressor: [[dytok, fastv]]\n", "s.yaml:5", "the sweep names none; write assistant");
    refused(HEAD "  frames: 4\n  compressor: [[{name: dytok, guide: self}, {name: dyntok, target_ratio: 0.5}]]\n", "s.yaml:5", "leave out the target");
}

/* Three videos with 2, 1 and 3 questions. */
static void put_manifest(void)
{
    static const int questions[] = {2, 1, 3};
    char text[8000] = "[";
    for (int v = 0; v < 3; v++)
        for (int q = 0; q < questions[v]; q++) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used,
                     "%s{\"video_id\":\"00%d\",\"duration\":\"short\",\"domain\":\"d\",\"sub_category\":\"s\",\"url\":\"\",\"videoID\":\"v%d\","
                     "\"question_id\":\"00%d-%d\",\"task_type\":\"t\",\"question\":\"q\",\"options\":[\"A. a\",\"B. b\",\"C. c\",\"D. d\"],"
                     "\"answer\":\"A\"}", used > 1 ? "," : "", v + 1, v, v + 1, q + 1);
        }
    strcat(text, "]");
    put("m.json", text);
}

static const struct runner_facts facts = {.model_digest = "m", .isa = "i", .pooling = "bilinear", .newline = "grid", .repetition_penalty = 1};

/* Controls stand behind what they match, one for each cell that a pattern names at their point of the other axes. */
static void test_controls(void **state)
{
    (void)state;
    struct sweep sweep;
    struct err err = {0};
    const char *yaml = HEAD "  frames: [4, 8]\n  compressor:\n    - {name: random, match: 'dyntok *', seed: [1, 2]}\n"
                            "    - {name: dyntok, threshold: [0.5, 0.6]}\n    - fastv\n    - {name: dyntok, target_ratio: 0.3}\n"
                            "    - [{name: uniform, per: whole_frames, match: dyntok threshold=0.5}, {name: fastv, keep: 0.25}]\n";
    if (load(&sweep, yaml, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sweep.n_cells, 2 * (4 + 2 * 3 + 1));
    assert_string_equal(sweep.cells[4].label, "random seed=1 match=(dyntok threshold=0.5)");
    for (size_t i = 0; i < sweep.n_cells; i++) {
        const struct sweep_cell *cell = &sweep.cells[i];
        assert_int_equal(cell->match != SIZE_MAX, strstr(cell->label, "match=") != NULL);
        if (cell->match == SIZE_MAX)
            continue;
        assert_ptr_equal(cell->run.match, &sweep.cells[cell->match].run);
        assert_true(cell->match < i);
        assert_int_equal(sweep.cells[cell->match].run.cell.frames, cell->run.cell.frames);
    }
    sweep_free(&sweep);
}

/* A control is another one when what it matches is another; one that matches a cell to be calibrated has to wait for it. */
static void test_identity_of_controls(void **state)
{
    (void)state;
    static const char *const last[] = {"{name: dyntok, threshold: 0.5}", "{name: dyntok, threshold: 0.5, marker: frame}", "{name: dyntok, target_ratio: 0.5}"};
    char yaml[400], digest[2][DIGEST_HEX];
    for (int i = 0; i < 3; i++) {
        struct sweep sweep;
        struct err err = {0};
        put_manifest();
        snprintf(yaml, sizeof yaml, HEAD "  frames: 4\n  compressor:\n    - %s\n    - {name: random, match: '*'}\n", last[i]);
        if (load(&sweep, yaml, &err) || sweep_load_manifests(&sweep, &err) || sweep_bind(&sweep, &facts, &err))
            fail_msg("%s", err.text);
        struct cell *control = &sweep.cells[1].run.cell;
        assert_int_equal(control->digest[0] != 0, i < 2);
        if (i < 2)
            memcpy(digest[i], control->digest, DIGEST_HEX);
        else
            assert_int_equal(sweep_calibrated(&sweep, 0, 0.5, &err), 0);
        assert_string_equal(control->match_digest, sweep.cells[0].run.cell.digest);
        assert_true(control->digest[0]);
        sweep_free(&sweep);
    }
    assert_string_not_equal(digest[0], digest[1]);
}

static void test_controls_that_match_nothing(void **state)
{
    (void)state;
    refused(HEAD "  frames: 4\n  compressor: [none, {name: random, match: 4}]\n", "s.yaml:5", "'match' should be the label of a cell, it is a number");
    refused(HEAD "  frames: 4\n  compressor: [none, {name: random, match: tome}]\n", "s.yaml:5", "no cell 'tome' to match at 4 frames; there are 'none'");
    refused(HEAD "  frames: 4\n  compressor: {name: random, match: '*'}\n", "s.yaml:5", "there are controls only");
    refused(HEAD "  frames: 4\n  compressor: [fastv, {name: random, match: 'fastv*'}]\n", "s.yaml:5", "'fastv keep=0.5' drops tokens between layers");
    refused(HEAD "  frames: 4\n  compressor: [none, {name: fastv, match: none}]\n", "s.yaml:5", "fastv cannot be told how many tokens to leave");
    refused(HEAD "  frames: 4\n  compressor: [none, {name: random, match: none}, {name: random, match: '*'}]\n", "s.yaml:5", "stands twice");
}

static void test_set_changes_the_file(void **state)
{
    (void)state;
    static const char *const sets[] = {"axes.frames=[2, 3, 4]", "runner={dtype: f32}", NULL};
    struct sweep_overrides overrides = {.sets = sets};
    struct sweep sweep;
    struct err err = {0};
    put("s.yaml", HEAD "  frames: 4\n  compressor: none\n");
    if (sweep_load(&sweep, path, &overrides, &err))
        fail_msg("%s", err.text);
    assert_int_equal(sweep.n_cells, 3);
    assert_string_equal(sweep.dtype, "f32");
    sweep_free(&sweep);
}

static struct sweep bound(void)
{
    struct sweep sweep;
    struct err err = {0};
    put_manifest();
    if (load(&sweep, HEAD "  frames: [4, 8]\n  compressor: none\n", &err) || sweep_load_manifests(&sweep, &err) || sweep_bind(&sweep, &facts, &err))
        fail_msg("%s", err.text);
    return sweep;
}

/* What is left out is part of every cell's identity, and paths are beside the sweep file. */
static void test_exclusion_makes_other_cells(void **state)
{
    (void)state;
    struct sweep whole = bound(), part;
    struct err err = {0};
    put("left-out", "002-1\n001-2\n");
    if (load(&part, "model: somewhere\naxes:\n  benchmark: {name: videomme, manifest: m.json, exclude: left-out}\n  frames: [4, 8]\n"
                    "  compressor: none\n", &err) ||
        sweep_load_manifests(&part, &err) || sweep_bind(&part, &facts, &err))
        fail_msg("%s", err.text);
    assert_int_equal(part.benchmarks[0].manifest.n_samples, 4);
    assert_int_equal(part.benchmarks[0].manifest.n_videos, 2);
    assert_string_not_equal(part.cells[0].run.cell.digest, whole.cells[0].run.cell.digest);
    sweep_free(&whole);
    sweep_free(&part);
}

static size_t wanted_of(const struct sweep *sweep, const bool *const *done, const struct plan_options *options, size_t *jobs)
{
    struct plan plan;
    struct err err = {0};
    if (plan_make(&plan, sweep, done, options, &err))
        fail_msg("%s", err.text);
    size_t wanted = plan.n_wanted;
    *jobs = plan.n_jobs;
    plan_free(&plan);
    return wanted;
}

static void test_jobs_are_videos(void **state)
{
    (void)state;
    struct sweep sweep = bound();
    size_t jobs, first, second;
    static const char *const one[] = {"002-1", NULL};
    assert_int_equal(wanted_of(&sweep, NULL, &(struct plan_options){0}, &jobs), 2 * 6);
    assert_int_equal(jobs, 3);
    assert_int_equal(wanted_of(&sweep, NULL, &(struct plan_options){.no_share = true}, &jobs), 2 * 6);
    assert_int_equal(jobs, 12);
    assert_int_equal(wanted_of(&sweep, NULL, &(struct plan_options){.limit = 3}, &jobs), 2 * 3);
    assert_int_equal(jobs, 2);
    assert_int_equal(wanted_of(&sweep, NULL, &(struct plan_options){.samples = one}, &jobs), 2);
    assert_int_equal(jobs, 1);
    first = wanted_of(&sweep, NULL, &(struct plan_options){.shard = 0, .n_shards = 2}, &jobs);
    second = wanted_of(&sweep, NULL, &(struct plan_options){.shard = 1, .n_shards = 2}, &jobs);
    assert_int_equal(first, 2 * 5);
    assert_int_equal(first + second, 12);
    sweep_free(&sweep);
}

/* Jobs hold the cells that their controls match, even when nothing is wanted of these. */
static void test_controls_bring_what_they_match(void **state)
{
    (void)state;
    struct sweep sweep;
    struct err err = {0};
    struct plan plan;
    static const bool none[6] = {false}, all[6] = {true, true, true, true, true, true}, some[6] = {true, true, false, true, true, true};
    put_manifest();
    if (load(&sweep, HEAD "  frames: 4\n  compressor: [none, {name: dyntok, threshold: 0.5}, {name: random, match: 'dyntok*'}]\n", &err) ||
        sweep_load_manifests(&sweep, &err))
        fail_msg("%s", err.text);
    assert_int_equal(plan_make(&plan, &sweep, (const bool *const[]){all, all, some}, &(struct plan_options){0}, &err), 0);
    assert_int_equal(plan.n_wanted, 1);
    assert_int_equal(plan.n_stored, 17);
    assert_int_equal(plan.n_jobs, 1);
    assert_int_equal(plan.jobs[0].n_cells, 2);
    assert_int_equal(plan.jobs[0].cells[0], 1);
    assert_false(plan.jobs[0].wanted[0]);
    assert_int_equal(plan.jobs[0].cells[1], 2);
    assert_true(plan.jobs[0].wanted[1]);
    plan_free(&plan);
    assert_int_equal(plan_make(&plan, &sweep, (const bool *const[]){all, none, all}, &(struct plan_options){0}, &err), 0);
    assert_int_equal(plan.jobs[0].n_cells, 1); /* what is matched needs no control */
    plan_free(&plan);
    assert_int_equal(plan_make(&plan, &sweep, (const bool *const[]){all, all, none}, &(struct plan_options){.no_share = true}, &err), 0);
    assert_int_equal(plan.n_jobs, 6);
    assert_int_equal(plan.jobs[5].n_cells, 2);
    assert_false(plan.jobs[5].wanted[0]);
    assert_true(plan.jobs[5].wanted[1]);
    plan_free(&plan);
    sweep_free(&sweep);
}

static void test_what_is_stored_is_not_planned(void **state)
{
    (void)state;
    struct sweep sweep = bound();
    static const bool none[6] = {false}, some[6] = {true, true, false, true, false, false};
    const bool *const done[] = {some, none};
    struct plan plan;
    struct err err = {0};
    assert_int_equal(plan_make(&plan, &sweep, done, &(struct plan_options){0}, &err), 0);
    assert_int_equal(plan.n_wanted, 3 + 6);
    assert_int_equal(plan.n_stored, 3);
    assert_int_equal(plan.n_jobs, 3);
    assert_int_equal(plan.jobs[0].n_cells, 1); /* the first cell has both answers of the first video */
    assert_int_equal(plan.jobs[0].cells[0], 1);
    plan_free(&plan);
    sweep_free(&sweep);
}

static void test_unknown_sample_is_refused(void **state)
{
    (void)state;
    struct sweep sweep = bound();
    static const char *const nobody[] = {"009-9", NULL};
    struct plan plan;
    struct err err = {0};
    assert_int_equal(plan_make(&plan, &sweep, NULL, &(struct plan_options){.samples = nobody}, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "009-9"));
    sweep_free(&sweep);
}

/* Every member that can change a number is in the digest; the model's name and the label are not. */
static void test_identity(void **state)
{
    (void)state;
    struct cell base = {.model = "m", .benchmark = "b", .profile = "p", .frames = 4, .compressor = "c", .params = "{}", .label = "l", .pooling = "bilinear",
                        .newline = "grid", .conversation = "q", .prompt_form = "default", .repetition_penalty = 1, .max_new_tokens = 16,
                        .dtype = "f32", .runner = "native", .isa = "avx2", .model_digest = "1", .manifest_digest = "2", .build_digest = "3"};
    struct cell variants[23];
    for (int i = 0; i < 23; i++)
        variants[i] = base;
    variants[1].benchmark = "x";
    variants[2].profile = "x";
    variants[3].frames = 5;
    variants[4].sampling = FRAMES_1FPS;
    variants[5].compressor = "x";
    variants[6].params = "{\"a\":1}";
    variants[7].pooling = "x";
    variants[8].newline = "x";
    variants[9].image_size = 378;
    variants[10].conversation = "x";
    variants[11].prompt_form = "x";
    variants[12].time_instruction = true;
    variants[13].repetition_penalty = 1.05;
    variants[14].max_new_tokens = 17;
    variants[15].dtype = "bf16";
    variants[16].isa = "ref";
    variants[17].model_digest = "x";
    variants[18].manifest_digest = "x";
    variants[19].build_digest = "x";
    variants[20].assistant_digest = "x";
    variants[21].match_digest = "x";
    variants[22].body = "{}";
    for (int i = 0; i < 23; i++)
        cell_identify(&variants[i]);
    for (int i = 0; i < 23; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(variants[i].digest, variants[j].digest);
    struct cell named = base;
    named.model = "another name";
    named.label = "another label";
    cell_identify(&named);
    assert_string_equal(named.digest, variants[0].digest);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/s.yaml", folder);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"m.json", "left-out", "s.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char file[160];
        snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        unlink(file);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals_name_the_place),      cmocka_unit_test(test_cells_are_the_product),
        cmocka_unit_test(test_methods_work_together),        cmocka_unit_test(test_controls),
        cmocka_unit_test(test_identity_of_controls),         cmocka_unit_test(test_controls_that_match_nothing),
        cmocka_unit_test(test_set_changes_the_file),         cmocka_unit_test(test_jobs_are_videos),
        cmocka_unit_test(test_what_is_stored_is_not_planned), cmocka_unit_test(test_unknown_sample_is_refused),
        cmocka_unit_test(test_identity),                     cmocka_unit_test(test_controls_bring_what_they_match),
        cmocka_unit_test(test_exclusion_makes_other_cells),
    };
    return cmocka_run_group_tests_name("sweep", tests, make_folder, drop_folder);
}
