/* `rescore`: stored replies under another profile. The replies stay as they are, and so do their scores under the profile they were run
 * with: the new ones are kept beside these. */
#include "harness/cli.h"
#include "harness/table.h"

#include "build_facts.h"
#include "core/log.h"
#include "datasets/manifest.h"
#include "metrics/score.h"
#include "results/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option options[] = {
    {"profile", "NAME", NULL, "the other profile: a name of 'toksweep list profiles'", false},
    {"cell", "NAME", NULL, "only this cell, by its label, LABEL@FRAMES or the beginning of its digest; may be repeated", true},
    {"format", "NAME", "terminal", "of the list: terminal, md, csv, json or latex", false},
    {0},
};

struct rescore {
    const struct cli_args *args;
    const struct profile *profile;
    enum table_format format;
    struct store *store;
    int64_t *cells;
    size_t n_cells, capacity, n_scored, n_flips;
    struct table flips;
    struct arena arena;
};

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */

static int add_cell(struct rescore *rescore, int64_t id, struct err *err)
{
    if (rescore->n_cells == rescore->capacity) {
        size_t capacity = rescore->capacity ? 2 * rescore->capacity : 64;
        int64_t *cells = arena_alloc(&rescore->arena, capacity, sizeof *cells);
        if (!cells)
            return err_no_memory(err, "the cells of a store");
        if (rescore->n_cells)
            memcpy(cells, rescore->cells, rescore->n_cells * sizeof *cells);
        rescore->cells = cells;
        rescore->capacity = capacity;
    }
    rescore->cells[rescore->n_cells++] = id;
    return 0;
}

struct listing { struct rescore *rescore; struct err *err; int rc; };

static int list_cell(const struct cell_row *row, void *context)
{
    struct listing *listing = context;
    return (listing->rc = add_cell(listing->rescore, row->id, listing->err));
}

/* The cells that were named, or all. */
static int find_cells(struct rescore *rescore, struct err *err)
{
    const char *const *names = cli_texts(rescore->args, "cell");
    int rc = 0;
    if (!names[0]) {
        struct listing listing = {rescore, err, 0};
        rc = store_each_cell(rescore->store, NULL, list_cell, &listing, err);
        return rc ? rc : listing.rc;
    }
    for (; *names && !rc; names++) {
        int64_t id = 0;
        if (!(rc = store_find_cell(rescore->store, *names, &id, err)))
            rc = add_cell(rescore, id, err);
    }
    return rc;
}

/* ---- flips ----------------------------------------------------------------------------------------------------------------- */

static const char *verdict(const struct sample *sample, bool correct)
{
    return sample->answer < 0 ? "not told" : correct ? "right" : "wrong";
}

static void letter_cell(struct table *table, int letter)
{
    if (letter < 0)
        table_cell(table, "%s", "none");
    else
        table_cell(table, "%c", 'A' + letter);
}

/* The reply as one line that fits a table for people. */
static void reply_cell(struct rescore *rescore, const char *reply)
{
    enum { MOST = 40 };
    if (rescore->format == TABLE_CSV || rescore->format == TABLE_JSON) {
        table_cell(&rescore->flips, "%s", reply);
        return;
    }
    char line[MOST + 8];
    size_t n = 0, step;
    for (; reply[n] && n < MOST && (step = utf8_length(reply + n, strlen(reply + n))) && n + step <= MOST; n += step)
        memcpy(line + n, reply + n, step);
    for (size_t i = 0; i < n; i++)
        line[i] = (unsigned char)line[i] < ' ' ? ' ' : line[i];
    strcpy(line + n, reply[n] ? "..." : "");
    table_cell(&rescore->flips, "%s", line);
}

static void add_flip(struct rescore *rescore, const struct stored_cell *cell, size_t i, const struct answer *now)
{
    struct table *table = &rescore->flips;
    const struct sample *sample = &cell->manifest.samples[i];
    const struct answer *was = &cell->answers[i].answer;
    table_cell(table, "%s", cell->manifest.benchmark);
    table_cell(table, "%d", cell->frames);
    table_cell(table, "%s", cell->label);
    table_cell(table, "%s", sample->id);
    letter_cell(table, was->extracted);
    letter_cell(table, now->extracted);
    letter_cell(table, sample->answer);
    table_cell(table, "%s", verdict(sample, was->correct));
    table_cell(table, "%s", verdict(sample, now->correct));
    reply_cell(rescore, was->raw);
    rescore->n_flips++;
}

static void make_columns(struct table *table)
{
    static const struct { const char *name; bool number; } columns[] = {
        {"benchmark", false}, {"frames", true},  {"cell", false},  {"sample", false}, {"letter", false},
        {"now", false},       {"answer", false}, {"scored", false}, {"rescored", false}, {"reply", false},
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        table_column(table, columns[i].name, columns[i].number);
}

/* ---- scores ---------------------------------------------------------------------------------------------------------------- */

struct counts { size_t n, was_right, is_right, letters, scores; };

static int score_cell(struct rescore *rescore, const struct stored_cell *cell, const struct benchmark *benchmark,
                      const struct protocol *protocol, struct rescored *scores, struct counts *counts, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < cell->manifest.n_samples && !rc; i++) {
        const struct stored_answer *stored = &cell->answers[i];
        struct answer now = stored->answer;
        if (!stored->id || !stored->answer.raw)
            continue;
        rc = score_reply(&now, stored->answer.raw, &cell->manifest.samples[i], rescore->profile, protocol,
                         benchmark->max_option_letters, err);
        scores[counts->n++] = (struct rescored){stored->id, now.status, now.extracted, now.correct, score_counts(&now, protocol)};
        counts->was_right += stored->answer.correct;
        counts->is_right += now.correct;
        counts->letters += now.extracted != stored->answer.extracted;
        counts->scores += now.correct != stored->answer.correct;
        if (now.extracted != stored->answer.extracted)
            add_flip(rescore, cell, i, &now);
    }
    return rc;
}

static void tell(const struct rescore *rescore, const struct stored_cell *cell, const struct counts *counts)
{
    log_say(LOG_NOTE, "'%s' (%s, %d frames): %zu of %zu replies are right under %s, %zu under %s; %zu have another letter, %zu are worth "
            "something else", cell->label, cell->manifest.benchmark, cell->frames, counts->was_right, counts->n, cell->profile,
            counts->is_right, rescore->profile->name, counts->letters, counts->scores);
}

/* Scores under a cell's own profile are those it has; what another build would make of it is told, and not kept. */
static int rescore_loaded(struct rescore *rescore, const struct stored_cell *cell, struct err *err)
{
    const char *name = cell->manifest.benchmark;
    const struct benchmark *benchmark = benchmark_find(name);
    const struct protocol *protocol = benchmark ? profile_protocol(rescore->profile, name) : NULL;
    struct counts counts = {0};
    if (!protocol) {
        log_say(LOG_WARNING, "'%s' is left out: profile %s has no %s", cell->label, rescore->profile->name, name);
        return 0;
    }
    struct rescored *scores = arena_alloc(&rescore->arena, cell->manifest.n_samples, sizeof *scores);
    int rc = scores ? score_cell(rescore, cell, benchmark, protocol, scores, &counts, err) : err_no_memory(err, "scores");
    if (!rc && strcmp(cell->profile, rescore->profile->name))
        rc = store_put_rescoring(rescore->store, cell->id, rescore->profile->name, protocol, BUILD_DIGEST, scores, counts.n, err);
    rescore->n_scored++;
    if (!rc)
        tell(rescore, cell, &counts);
    return rc;
}

static int rescore_cells(struct rescore *rescore, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < rescore->n_cells && !rc; i++) {
        struct stored_cell cell;
        if ((rc = store_load_cell(&cell, rescore->store, rescore->cells[i], err)))
            break;
        rc = rescore_loaded(rescore, &cell, err);
        stored_cell_free(&cell);
    }
    if (!rc && !rescore->n_scored)
        rc = err_set(err, ERR_CONFIG, "no cell of '%s' can be scored under profile %s; 'toksweep list profiles' says what each is for",
                     rescore->args->operands[0], rescore->profile->name);
    return rc;
}

/* ---- the command ----------------------------------------------------------------------------------------------------------- */

static int read_options(struct rescore *rescore, struct err *err)
{
    const char *profile = cli_text(rescore->args, "profile"), *format = cli_text(rescore->args, "format");
    int found = table_format_find(format);
    if (!profile)
        return err_set(err, ERR_CONFIG, "--profile is missing; see 'toksweep list profiles'");
    if (!(rescore->profile = profile_find(profile)))
        return err_set(err, ERR_CONFIG, "no profile '%s'; see 'toksweep list profiles'", profile);
    if (found < 0)
        return err_set(err, ERR_CONFIG, "--format should be terminal, md, csv, json or latex, it is '%s'", format);
    rescore->format = (enum table_format)found;
    return 0;
}

static int print_flips(struct rescore *rescore, struct err *err)
{
    struct text out = {0};
    int rc = 0;
    if (!rescore->n_flips && rescore->format == TABLE_TERMINAL)
        return 0;
    if (!table_write(&rescore->flips, rescore->format, &out))
        rc = err_no_memory(err, "a table");
    else if (out.bytes)
        fputs(out.bytes, stdout);
    text_free(&out);
    return rc;
}

static int rescore_command(const struct cli_args *args, struct err *err)
{
    struct rescore rescore = {.args = args};
    int rc = read_options(&rescore, err);
    make_columns(&rescore.flips);
    if (!rc && access(args->operands[0], F_OK)) /* opening to write would make one */
        rc = err_errno(err, "open", args->operands[0]);
    if (!rc)
        rc = store_open(&rescore.store, args->operands[0], STORE_WRITE, err);
    if (!rc && !(rc = find_cells(&rescore, err)) && !(rc = rescore_cells(&rescore, err)))
        rc = print_flips(&rescore, err);
    table_free(&rescore.flips);
    store_close(rescore.store);
    arena_free(&rescore.arena);
    return rc;
}

const struct cli_command command_rescore = {
    .name = "rescore",
    .operands = "STORE",
    .least_operands = 1,
    .most_operands = 1,
    .summary = "scores stored replies under another profile, and lists those that change",
    .options = options,
    .run = rescore_command,
};
