/* `compare`: two cells on the same questions, paired. */
#include "harness/cli.h"
#include "harness/pairing.h"
#include "harness/table.h"

#include "metrics/judgement.h"
#include "results/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOOTSTRAP_DRAWS = 10000 };
static const double confidence = 0.95, power = 0.8;

static const struct cli_option options[] = {
    {"margin", "POINTS", NULL, "also tests that A is not worse than B by this many points or more", false},
    {"flips", NULL, NULL, "prints the questions that one side alone has right, instead of the comparison", false},
    {"format", "NAME", "terminal", "terminal, md, csv, json or latex", false},
    {0},
};

struct comparison {
    struct stored_cell a, b;
    struct pairing pairing;
    struct difference difference;
    struct interval bootstrap;
    double margin;                  /* share of 1; NaN without */
};

static int measure(struct comparison *c, struct err *err)
{
    const struct pairing *p = &c->pairing;
    int rc = paired_difference(p->pairs, p->n, p->n_videos, confidence, &c->difference, err);
    return rc ? rc : paired_bootstrap(p->pairs, p->n, p->n_videos, confidence, BOOTSTRAP_DRAWS, 0, &c->bootstrap, err);
}

/* ---- telling ------------------------------------------------------------------------------------------------------------- */

static void side_line(const struct comparison *c, struct text *out, char side)
{
    const struct stored_cell *cell = side == 'A' ? &c->a : &c->b;
    int64_t right = side == 'A' ? c->pairing.n_a : c->pairing.n_b;
    double share = (double)right / (double)c->pairing.n;
    text_printf(out, "%c  %5.1f %%  %lld of %zu  %s, %d frames, %s, %s  (%.8s)\n", side, 100 * share, (long long)right, c->pairing.n,
                cell->label, cell->frames, cell->model, cell->profile, cell->digest);
}

/* By the same rule as a gate, at half of what the interval leaves on each side. */
static void tell_margin(const struct comparison *c, struct text *out)
{
    struct judged judgement = difference_judge(&c->difference, c->margin, (1 - confidence) / 2);
    text_printf(out, "A worse than B by %.3g points or more: ", 100 * c->margin);
    if (judgement.verdict == JUDGED_INCONCLUSIVE)
        text_printf(out, "cannot be told from these questions; of a cell as good as B about %.0f would tell\n", judgement.questions);
    else
        text_put(out, judgement.verdict == JUDGED_PASS ? "ruled out\n" : "so it is\n");
}

/* A verdict in words, for a person. */
static void tell(const struct comparison *c, struct text *out)
{
    const struct difference *d = &c->difference;
    const struct pairing *p = &c->pairing;
    text_printf(out, "%s, %zu questions on %zu videos that both answered\n\n", c->a.manifest.benchmark, d->n, d->clusters);
    side_line(c, out, 'A');
    side_line(c, out, 'B');
    text_printf(out, "\nA - B  %+.1f points, 95 %% %+.1f to %+.1f (t over videos; bootstrap of videos %+.1f to %+.1f), p %.3g\n",
                100 * d->mean, 100 * d->interval.low, 100 * d->interval.high, 100 * c->bootstrap.low, 100 * c->bootstrap.high,
                difference_p(d));
    text_printf(out, "right on one side alone: %lld for A, %lld for B; McNemar's exact p %.3g (questions taken as independent)\n",
                (long long)p->only_a, (long long)p->only_b, mcnemar_exact(p->only_a, p->only_b));
    text_printf(out, "a difference of %.1f points would be found with chance %.0f %%\n",
                100 * minimum_detectable(d->se, 1 - confidence, power), 100 * power);
    if (!isnan(c->margin))
        tell_margin(c, out);
    if (p->n_unpaired)
        text_printf(out, "%zu questions are left out: at least one side has no answer to them, or a failure\n", p->n_unpaired);
}

/* The same numbers as one row; shares of 1. */
static void tabulate(const struct comparison *c, struct table *table)
{
    static const char *const names[] = {"A", "B"};
    const struct difference *d = &c->difference;
    const struct pairing *p = &c->pairing;
    const struct { const char *name; double value; } numbers[] = {
        {"questions", (double)d->n}, {"videos", (double)d->clusters}, {"accuracy_a", (double)p->n_a / (double)d->n},
        {"accuracy_b", (double)p->n_b / (double)d->n}, {"difference", d->mean}, {"low", d->interval.low}, {"high", d->interval.high},
        {"bootstrap_low", c->bootstrap.low}, {"bootstrap_high", c->bootstrap.high}, {"p", difference_p(d)}, {"only_a", (double)p->only_a},
        {"only_b", (double)p->only_b}, {"mcnemar_p", mcnemar_exact(p->only_a, p->only_b)},
        {"detectable", minimum_detectable(d->se, 1 - confidence, power)}, {"design_effect", d->design_effect}, {"margin", c->margin},
        {"noninferiority_p", isnan(c->margin) ? NAN : noninferiority_p(d, c->margin)}, {"unpaired", (double)p->n_unpaired},
    };
    for (size_t i = 0; i < 2; i++)
        table_column(table, names[i], false);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        table_column(table, numbers[i].name, true);
    table_cell(table, "%s", c->a.digest);
    table_cell(table, "%s", c->b.digest);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        table_cell(table, isnan(numbers[i].value) ? "" : "%.9g", numbers[i].value);
}

static const char *reply(const struct stored_answer *answer)
{
    return answer->answer.raw ? answer->answer.raw : "";
}

static void tabulate_flips(const struct comparison *c, struct table *table)
{
    static const char *const names[] = {"right", "sample", "video", "task", "gold", "A", "B"};
    const struct manifest *manifest = &c->a.manifest;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        table_column(table, names[i], false);
    for (size_t i = 0; i < manifest->n_samples; i++) {
        const struct stored_answer *a = &c->a.answers[i], *b = &c->b.answers[i];
        const struct sample *sample = &manifest->samples[i];
        if (!pairing_replied(a) || !pairing_replied(b) || a->answer.correct == b->answer.correct)
            continue;
        table_cell(table, "%s", a->answer.correct ? "A" : "B");
        table_cell(table, "%s", sample->id);
        table_cell(table, "%s", manifest->videos[sample->video].id);
        table_cell(table, "%s", sample->task_type ? sample->task_type : "");
        table_cell(table, sample->answer < 0 ? "" : "%c", 'A' + sample->answer);
        table_cell(table, "%s", reply(a));
        table_cell(table, "%s", reply(b));
    }
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

static int load_side(struct stored_cell *out, struct store *store, const char *name, struct err *err)
{
    int64_t id;
    int rc = store_find_cell(store, name, &id, err);
    return rc ? rc : store_load_cell(out, store, id, err);
}

static int read_margin(const struct cli_args *args, double *margin, struct err *err)
{
    const char *text = cli_text(args, "margin");
    char *end;
    *margin = NAN;
    if (!text)
        return 0;
    *margin = strtod(text, &end) / 100;
    return end != text && !*end && *margin > 0 && *margin < 1
               ? 0
               : err_set(err, ERR_CONFIG, "--margin should be points of accuracy between 0 and 100, it is '%s'", text);
}

static int write_comparison(const struct cli_args *args, struct comparison *c, enum table_format format, struct err *err)
{
    struct table table = {0};
    struct text out = {0};
    bool flips = cli_flag(args, "flips");
    int rc = flips ? 0 : measure(c, err);
    if (rc)
        return rc;
    if (flips)
        tabulate_flips(c, &table);
    else if (format != TABLE_TERMINAL)
        tabulate(c, &table);
    else
        tell(c, &out);
    if (table.n_columns && !table_write(&table, format, &out))
        out.failed = true;
    if (out.failed)
        rc = err_no_memory(err, "a comparison");
    else if (out.bytes)
        fputs(out.bytes, stdout);
    table_free(&table);
    text_free(&out);
    return rc;
}

static int compare(const struct cli_args *args, struct err *err)
{
    struct comparison c = {0};
    struct store *store = NULL;
    int format = table_format_find(cli_text(args, "format")), rc = read_margin(args, &c.margin, err);
    if (!rc && format < 0)
        rc = err_set(err, ERR_CONFIG, "--format should be terminal, md, csv, json or latex, it is '%s'", cli_text(args, "format"));
    if (!rc)
        rc = store_open(&store, args->operands[0], STORE_READ, err);
    if (!rc)
        rc = load_side(&c.a, store, args->operands[1], err);
    if (!rc)
        rc = load_side(&c.b, store, args->operands[2], err);
    if (!rc)
        rc = pairing_make(&c.pairing, &c.a, &c.b, err);
    if (!rc)
        rc = write_comparison(args, &c, (enum table_format)format, err);
    pairing_free(&c.pairing);
    stored_cell_free(&c.a);
    stored_cell_free(&c.b);
    store_close(store);
    return rc;
}

const struct cli_command command_compare = {
    .name = "compare",
    .operands = "STORE A B",
    .least_operands = 3,
    .most_operands = 3,
    .summary = "compares two cells question by question: difference, interval, which questions flipped",
    .options = options,
    .run = compare,
};
