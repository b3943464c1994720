/* Papers: the shipped ones agree with themselves and with their sweeps; what is refused; a published table held against a small store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness/held.h"
#include "harness/sweep.h"
#include "tests/support/store_fixture.h"

#define CONFIGS TESTS_DIR "/../configs"

/* ---- the shipped papers -------------------------------------------------------------------------------------------------- */

static const char *const papers[] = {"dyntok", "dytok", "tinyworld", "token-dynamics"};

/* How many cells of the result's sweeps a number is about. */
static int cells_for(const struct paper *paper, const struct paper_result *result, const struct paper_row *row,
                     const struct paper_column *column,
                     bool base)
{
    static const struct sweep_overrides none;
    int n = 0;
    for (const char **name = result->sweeps; *name; name++) {
        char path[512];
        struct sweep sweep;
        snprintf(path, sizeof path, "%s/%s.yaml", paper->sweeps_folder, *name);
        OK(sweep_load(&sweep, path, &none, &err));
        assert_string_equal(sweep.name, *name);
        for (size_t i = 0; i < sweep.n_cells; i++) {
            const struct cell *cell = &sweep.cells[i].run.cell;
            n += (!row->sweep || !strcmp(row->sweep, *name)) && paper_wants(row, column, base, cell->benchmark, cell->frames, cell->label);
        }
        sweep_free(&sweep);
    }
    return n;
}

/* The same cell may be in two sweeps; none at all would be a number that can never be reproduced. */
static void every_row_has_cells_in_its_sweeps(void **state)
{
    (void)state;
    for (size_t p = 0; p < sizeof papers / sizeof *papers; p++) {
        struct paper paper;
        OK(paper_load(&paper, papers[p], CONFIGS, &err));
        assert_string_equal(paper.name, papers[p]);
        for (size_t i = 0; i < paper.n_results; i++)
            for (size_t r = 0; r < paper.results[i].n_rows; r++)
                for (size_t c = 0; c < paper.results[i].n_columns; c++) {
                    const struct paper_result *result = &paper.results[i];
                    const struct paper_row *row = &result->rows[r];
                    if (isnan(row->values[c]) || row->not_run)
                        continue;
                    if (cells_for(&paper, result, row, &result->columns[c], false) != 1 ||
                        (row->against && cells_for(&paper, result, row, &result->columns[c], true) != 1))
                        fail_msg("%s: '%s', '%s' has not one cell, or not one that it changes from", paper.name, row->name,
                                 result->columns[c].name);
                }
        paper_free(&paper);
    }
}

static void dyntok_is_as_printed(void **state)
{
    (void)state;
    struct paper paper;
    OK(paper_load(&paper, "dyntok", CONFIGS, &err));
    const struct paper_result *table = paper_find(&paper, false, 1);
    double sum = 0;
    size_t n = 0;
    for (size_t r = 0; r < table->n_rows; r++)
        for (size_t c = 0; c < table->n_columns; c++)
            if (!isnan(table->rows[r].values[c])) {
                sum += table->rows[r].values[c];
                n++;
            }
    assert_int_equal(table->n_rows, 15);
    assert_int_equal(n, 59);
    assert_true(fabs(sum - 3874.7) < 1e-6); /* of the printed table */
    assert_int_equal(table->n_errata, 4);
    assert_non_null(paper_find(&paper, false, 2));
    assert_non_null(paper_find(&paper, true, 3));
    assert_non_null(paper_find(&paper, true, 4));
    assert_null(paper_find(&paper, true, 1));
    paper_free(&paper);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------ */

static void refused(const struct store_fixture *fixture, const char *results, const char *words)
{
    char path[FIXTURE_PATH];
    snprintf(path, sizeof path, "%s/p.yaml", fixture->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "paper: p\ntitle: t\nsource: s\nresults:\n%s", results);
    fclose(file);
    struct paper paper;
    struct err err = {0};
    if (paper_load(&paper, path, NULL, &err) != ERR_CONFIG || !strstr(err.text, words))
        fail_msg("'%s', wanted '%s'", err.text, words);
}

#define TABLE(rows) "  - {table: 1, caption: c, sweeps: [s], columns: [{name: A, benchmark: videomme}], rows: [" rows "]}\n"

static void refusals_name_the_place(void **state)
{
    struct store_fixture *fixture = *state;
    refused(fixture, "  - {caption: c, sweeps: [s]}\n", "p.yaml:5:5: a result is either a 'table' or a 'figure'");
    refused(fixture, "  - {table: 1, caption: c}\n", "names its 'sweeps'");
    refused(fixture, "  - {table: 1, caption: c, sweeps: s}\n", "'sweeps' should be a list");
    refused(fixture, "  - {table: 1, caption: c, sweeps: [s], columns: [{name: A, benchmark: videome}]}\n", "no benchmark 'videome'");
    refused(fixture, TABLE("{name: r, values: [1, 2], not_run: x}"), "'values' should be a list of 1 numbers");
    refused(fixture, TABLE("{name: r, values: [many], not_run: x}"), "a published value should be a number");
    refused(fixture, TABLE("{name: r, values: [1]}"), "a row needs either 'compressor'");
    refused(fixture, TABLE("{name: r, values: [1], compressor: none, against: q, base: none}"), "no row 'q' stands above this one");
    refused(fixture, TABLE("{name: r, values: [1], compressor: none, base: none}"), "'against' and 'base' belong together");
    refused(fixture, TABLE("{name: r, values: [1], compresor: none}"), "did you mean 'compressor'?");
    struct paper paper;
    struct err err = {0};
    assert_int_equal(paper_load(&paper, "dintok", CONFIGS, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "there are 'dyntok', 'dytok', 'tinyworld', 'token-dynamics'; give one of these"));
}

/* ---- against a store ----------------------------------------------------------------------------------------------------- */

enum { SAMPLES = 40 };

static int store_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    OK(fixture_open(fixture, SAMPLES, &err));
    *state = fixture;
    return 0;
}

static int store_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void add_cell(struct store_fixture *fixture, const char *compressor, const char *params, const char *label, size_t correct, int kept)
{
    int64_t id;
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, compressor, params, label, 10), &id, &err));
    OK(fixture_answer_all(fixture, id, SAMPLES, correct, 10, kept, &err));
}

/* 30 of 40 without, 20 of 40 with compression, two questions a video: ten questions lost, on five videos. */
static struct held held_against(struct store_fixture *fixture, struct paper_result *result, double margin)
{
    static struct paper_column columns[] = {{.name = "accuracy", .benchmark = "videomme", .frames = 10},
                                            {.name = "kept", .benchmark = "videomme", .frames = 10, .quantity = QUANTITY_RATIO},
                                            {.name = "tokens", .benchmark = "videomme", .frames = 10, .quantity = QUANTITY_TOKENS}};
    static double base[] = {74, 100, 2000}, less[] = {60, 20, 401}, far[] = {90, NAN, NAN}, other[] = {1, NAN, NAN};
    static struct paper_row rows[] = {{.name = "base", .values = base, .compressor = "none"},
                                      {.name = "change", .values = less, .compressor = "dyn*=0.4", .against = &rows[0], .base = "none"},
                                      {.name = "far", .values = far, .compressor = "none"},
                                      {.name = "other", .values = other, .compressor = "pool"}};
    static const struct held_sweep sweep = {.name = "s", .model = "m", .where = "frames = 10"};
    struct held held;
    *result = (struct paper_result){.columns = columns, .n_columns = 3, .rows = rows, .n_rows = 4};
    add_cell(fixture, "none", "{}", "none", 30, 1960);
    add_cell(fixture, "dyntok", "{\"threshold\":0.4}", "dyntok threshold=0.4", 20, 280);
    OK(held_make(&held, result, fixture->store, &sweep, 1, margin, &err));
    return held;
}

static void near(double value, double expected)
{
    if (!(fabs(value - expected) < 1e-6))
        fail_msg("%.9g, expected %.9g", value, expected);
}

static void numbers_are_compared(void **state)
{
    struct paper_result result;
    struct held held = held_against(*state, &result, 3);
    assert_int_equal(held.n, 8);
    const struct held_number *base = &held.numbers[0], *change = &held.numbers[3], *far = &held.numbers[6], *other = &held.numbers[7];
    near(base->ours, 75);
    near(base->difference, 1);
    assert_int_equal(base->verdict, VERDICT_CANNOT_TELL);
    double half = (base->interval.high - base->interval.low) / 2;
    assert_int_equal(base->needed, (int64_t)ceil(SAMPLES * half * half / 9));
    /* Published -14, ours -25: 20 videos, of which 5 lose both questions. Mean -0.25; se by hand. */
    near(change->ours, 50);
    near(change->published_change, -14);
    near(change->ours_change, -25);
    near(change->difference, -11);
    double se = 100 * sqrt(20.0 / 19 * (5 * 1.5 * 1.5 + 15 * 0.5 * 0.5)) / 40, t = 2.093024054;
    near(change->interval.high, -11 + t * se);
    assert_int_equal(far->verdict, VERDICT_LOWER);
    assert_string_equal(other->not_run, "the store has no such cell");
    held_free(&held);
}

static void tokens_and_ratios_are_compared_as_they_are(void **state)
{
    struct paper_result result;
    struct held held = held_against(*state, &result, 3);
    const struct held_number *kept = &held.numbers[4], *tokens = &held.numbers[5];
    near(kept->ours, 20);
    assert_true(isnan(kept->published_change));
    assert_int_equal(kept->verdict, VERDICT_WITHIN_NOISE);
    near(tokens->ours, 420);
    assert_int_equal(tokens->verdict, VERDICT_HIGHER);
    held_free(&held);
}

static void a_margin_decides_what_noise_is(void **state)
{
    struct paper_result result;
    struct held held = held_against(*state, &result, 40);
    assert_int_equal(held.numbers[0].verdict, VERDICT_WITHIN_NOISE);
    held_free(&held);
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_cells_in_its_sweeps),
        cmocka_unit_test(dyntok_is_as_printed),
        IN_STORE(refusals_name_the_place),
        IN_STORE(numbers_are_compared),
        IN_STORE(tokens_and_ratios_are_compared_as_they_are),
        IN_STORE(a_margin_decides_what_noise_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
