/* Store, sums: what the views are made of, brought up to date before each commit that writes answers; schema_10.sql has the tables.
 *
 * What is new is a range of answer ids, behind the last one that is summed. Counts and costs of a range are added to what is stored cell
 * by cell. Products over videos are not sums over answers: for each video that has new answers in a cell, all of the cell's answers on it
 * are read, and the change that the new ones make is added. So a commit costs what it brings, and a store without sums is one whose range
 * is all answers. */
#include "results/store_impl.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/rng.h"

#include <stdlib.h>
#include <string.h>

static const char what[] = "write sums";

enum { RANGE = 100000 }; /* answers at a time: bounds the memory, and the silence of a store that gets its sums */

struct range { int64_t after, upto, cell; }; /* after < id <= upto, of one cell or, with cell 0, of all */

static void query_range(struct query *query, const struct range *range)
{
    query_integer(query, ":after", range->after);
    query_integer(query, ":upto", range->upto);
    query_integer(query, ":cell", range->cell);
}

/* A range is found by its ids, and what is left of a cell by the cell. */
#define IN_RANGE "answer.id > :after AND answer.id <= :upto AND :cell IN (0, answer.cell_id)"
#define IN_CELL "answer.cell_id = :cell AND answer.id > :after AND answer.id <= :upto"

/* As NOT answer.failed, but for longer lists of constants SQLite makes a table each time. */
#define REPLIED "(answer.status = 'ok' OR answer.status = 'no_answer' OR answer.status = 'ambiguous')"

/* Whether a reply is in the headline's denominator. */
#define IN_HEADLINE "NOT (cell.drop_empty AND answer.empty) AND NOT (cell.drop_unread AND answer.status = 'no_answer')"

/* ---- counts and costs ------------------------------------------------------------------------------------------------------ */

static int add_counts(struct store *store, const struct range *range, struct err *err)
{
#define ADD_COUNTS(answers)                                                                                                   \
    "INSERT INTO answer_count (cell_id, run_id, status, n, first_at, last_at) "                                               \
    "SELECT cell_id, run_id, status, count(*), min(answered_at), max(answered_at) FROM answer WHERE " answers                 \
    " GROUP BY cell_id, run_id, status "                                                                                      \
    "ON CONFLICT DO UPDATE SET n = n + excluded.n, first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)"
    struct query query = query_on(store, range->cell ? ADD_COUNTS(IN_CELL) : ADD_COUNTS(IN_RANGE));
    query_range(&query, range);
    return query_run(&query, what, err);
}

/* Columns of reply_sum, what they add up of a row of cost, and the column that is NULL where that is. */
static const struct { const char *name, *value, *known; } summed[] = {
#define COUNT_OF(column) {#column, #column, #column}
#define UNITS_OF(column) {#column, "CAST(round(" #column " * 1048576) AS INTEGER)", #column}
#define TIMES_OF(stage)                                                                                   \
    {#stage "_alone_ns", "CAST(round(" #stage "_alone_ms * 1e6) AS INTEGER)", #stage "_alone_ms"},          \
    {#stage "_paid_ns", "CAST(round(" #stage "_paid_ms * 1e6) AS INTEGER)", #stage "_paid_ms"}
    COUNT_OF(tokens_before),
    COUNT_OF(tokens_marker_before),
    COUNT_OF(tokens_visual),
    COUNT_OF(tokens_marker),
    COUNT_OF(tokens_text),
    COUNT_OF(tokens_generated),
    COUNT_OF(tokens_guide),
    COUNT_OF(shared_layers),
    COUNT_OF(tokens_match),
    {"match_distance", "abs(tokens_visual + tokens_marker - tokens_match)", "tokens_match"},
    {"layers_before", "CASE WHEN tokens_mean IS NOT NULL THEN tokens_before END", "tokens_mean"},
    UNITS_OF(tokens_mean),
    UNITS_OF(tokens_cached),
    TIMES_OF(open),
    TIMES_OF(decode),
    TIMES_OF(resize),
    TIMES_OF(vision),
    TIMES_OF(guide),
    TIMES_OF(compress),
    TIMES_OF(prefill),
    TIMES_OF(generate),
};
enum { SUMMED = sizeof summed / sizeof *summed };

/* The statement that adds a range to reply_sum; NULL when memory is out. */
static char *add_replies_text(const char *answers)
{
    sqlite3_str *text = sqlite3_str_new(NULL);
    sqlite3_str_appendall(text, "INSERT INTO reply_sum (cell_id, n, n_correct, expected");
    for (int i = 0; i < SUMMED; i++)
        sqlite3_str_appendf(text, ", %s, %s_n", summed[i].name, summed[i].name);
    sqlite3_str_appendall(text,
        ") SELECT cell_id, count(*), sum(correct), "
        "sum(CASE WHEN NOT (" IN_HEADLINE ") THEN 0 WHEN cell.guesses AND status = 'no_answer' THEN coalesce((SELECT 26771144400 / count(*) "
        "FROM sample JOIN option ON option.sample_id = sample.id WHERE sample.id = answer.sample_id AND sample.answer IS NOT NULL), 0) "
        "ELSE correct * 26771144400 END)");
    for (int i = 0; i < SUMMED; i++)
        sqlite3_str_appendf(text, ", coalesce(sum(%s), 0), count(%s)", summed[i].value, summed[i].known);
    sqlite3_str_appendf(text, " FROM answer CROSS JOIN cell ON cell.id = answer.cell_id LEFT JOIN cost ON cost.answer_id = answer.id "
                              "WHERE " REPLIED " AND %s GROUP BY cell_id "
                              "ON CONFLICT DO UPDATE SET n = n + excluded.n, n_correct = n_correct + excluded.n_correct, "
                              "expected = expected + excluded.expected", answers);
    for (int i = 0; i < SUMMED; i++)
        sqlite3_str_appendf(text, ", %s = %s + excluded.%s, %s_n = %s_n + excluded.%s_n", summed[i].name, summed[i].name, summed[i].name,
                            summed[i].name, summed[i].name, summed[i].name);
    return sqlite3_str_finish(text);
}

static int add_replies(struct store *store, const struct range *range, struct err *err)
{
    char **text = &store->add_replies[range->cell != 0];
    if (!*text && !(*text = add_replies_text(range->cell ? IN_CELL : IN_RANGE)))
        return err_no_memory(err, "a store's sums");
    struct query query = query_on(store, *text);
    query_range(&query, range);
    return query_run(&query, what, err);
}

/* ---- groups ---------------------------------------------------------------------------------------------------------------- */

struct products { int64_t nn, nk, kn, kk; };

struct piece { int64_t n, k; }; /* answers of a video in a group, and the right ones */

struct group { /* of samples of one cell; what is added to its row */
    const char *kind, *name;
    int64_t first_row, n, n_correct, n_videos;
    struct products products;
    bool is_type;               /* its kind is "task_type" */
    struct piece before, now;   /* of the video at hand */
};

struct type_pair { size_t a, b; struct products products; }; /* places of two groups */

struct grouping { /* of a cell */
    struct store *store;
    struct range range;
    int64_t cell;
    bool macro, tags;           /* its headline is a mean over task types; some sample of the store has tags */
    struct arena arena;         /* names, until the next cell */
    struct group *groups;
    size_t n_groups, groups_room;
    uint32_t *slots;            /* open addressing: place in `groups` + 1, 0 is free */
    size_t n_slots;
    size_t *touched;            /* groups of the video at hand */
    size_t n_touched, touched_room;
    struct type_pair *pairs;
    size_t n_pairs, pairs_room;
};

static void grouping_free(struct grouping *grouping)
{
    arena_free(&grouping->arena);
    free(grouping->groups);
    free(grouping->slots);
    free(grouping->touched);
    free(grouping->pairs);
}

/* Room for one more element of an array that doubles. */
static int grow(void **array, size_t n, size_t *room, size_t size, struct err *err)
{
    if (n < *room)
        return 0;
    size_t more = *room ? 2 * *room : 64;
    void *grown = realloc(*array, more * size);
    if (!grown)
        return err_no_memory(err, "a store's sums");
    *array = grown;
    *room = more;
    return 0;
}

static size_t slot_of(const struct grouping *grouping, const char *kind, const char *name)
{
    size_t slot = (size_t)rng_u64(rng_stream(kind), rng_stream(name), 0) & (grouping->n_slots - 1);
    while (grouping->slots[slot]) {
        const struct group *group = &grouping->groups[grouping->slots[slot] - 1];
        if (!strcmp(group->name, name) && !strcmp(group->kind, kind))
            break;
        slot = (slot + 1) & (grouping->n_slots - 1);
    }
    return slot;
}

/* At most half of the slots are taken. */
static int grow_slots(struct grouping *grouping, struct err *err)
{
    if (2 * (grouping->n_groups + 1) <= grouping->n_slots)
        return 0;
    size_t n = grouping->n_slots ? 2 * grouping->n_slots : 256;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots)
        return err_no_memory(err, "a store's sums");
    free(grouping->slots);
    grouping->slots = slots;
    grouping->n_slots = n;
    for (size_t i = 0; i < grouping->n_groups; i++)
        slots[slot_of(grouping, grouping->groups[i].kind, grouping->groups[i].name)] = (uint32_t)i + 1;
    return 0;
}

/* The group's place; it is made if it is new. */
static int find_group(struct grouping *grouping, const char *kind, const char *name, size_t *place, struct err *err)
{
    int rc = grow_slots(grouping, err);
    if (rc)
        return rc;
    size_t slot = slot_of(grouping, kind, name);
    *place = grouping->slots[slot] - 1u;
    if (grouping->slots[slot])
        return 0;
    if ((rc = grow((void **)&grouping->groups, grouping->n_groups, &grouping->groups_room, sizeof *grouping->groups, err)))
        return rc;
    struct group *group = &grouping->groups[grouping->n_groups];
    *group = (struct group){.kind = arena_strdup(&grouping->arena, kind), .name = arena_strdup(&grouping->arena, name),
                            .first_row = INT64_MAX, .is_type = !strcmp(kind, "task_type")};
    if (!group->kind || !group->name)
        return err_no_memory(err, "a store's sums");
    *place = grouping->n_groups;
    grouping->slots[slot] = (uint32_t)++grouping->n_groups;
    return 0;
}

struct seen { bool is_new, correct; int64_t manifest_row; }; /* an answer */

/* Counts an answer in a group. */
static int put_in_group(struct grouping *grouping, const struct seen *seen, const char *kind, const char *name, struct err *err)
{
    size_t place;
    int rc = find_group(grouping, kind, name, &place, err);
    if (rc)
        return rc;
    struct group *group = &grouping->groups[place];
    if (!group->now.n) {
        if ((rc = grow((void **)&grouping->touched, grouping->n_touched, &grouping->touched_room, sizeof *grouping->touched, err)))
            return rc;
        grouping->touched[grouping->n_touched++] = place;
    }
    group->now.n++;
    group->now.k += seen->correct;
    group->before.n += !seen->is_new;
    group->before.k += !seen->is_new && seen->correct;
    if (seen->is_new && seen->manifest_row < group->first_row)
        group->first_row = seen->manifest_row;
    return 0;
}

static int put_in_tags(struct grouping *grouping, const struct seen *seen, int64_t sample, struct err *err)
{
    struct query query = query_on(grouping->store, "SELECT kind, name FROM tag WHERE sample_id = :sample");
    query_integer(&query, ":sample", sample);
    int rc;
    while ((rc = query_step(&query, what, err)) > 0)
        if ((rc = put_in_group(grouping, seen, store_column_text(query.stmt, 0), store_column_text(query.stmt, 1), err)))
            break;
    query_end(&query);
    return rc;
}

/* The answers of a cell on a video that are in its headline, each in its groups. Columns of samples come last. */
static int read_video(struct grouping *grouping, int64_t video, struct err *err)
{
    static const char *const kinds[] = {"task_type", "duration", "domain", "sub_category"};
    struct query query = query_on(grouping->store,
        "SELECT answer.id > :after, answer.correct, sample.id, sample.manifest_row, task_type, duration, domain, sub_category "
        "FROM cell CROSS JOIN sample CROSS JOIN answer ON answer.cell_id = cell.id AND answer.sample_id = sample.id "
        "WHERE cell.id = :cell AND sample.video_id = :video AND answer.id <= :upto AND " REPLIED " AND " IN_HEADLINE);
    query_integer(&query, ":cell", grouping->cell);
    query_integer(&query, ":video", video);
    query_integer(&query, ":after", grouping->range.after);
    query_integer(&query, ":upto", grouping->range.upto);
    int rc;
    while ((rc = query_step(&query, what, err)) > 0) {
        const struct seen seen = {sqlite3_column_int(query.stmt, 0) != 0, sqlite3_column_int(query.stmt, 1) != 0,
                                  sqlite3_column_int64(query.stmt, 3)};
        rc = put_in_group(grouping, &seen, "", "", err);
        for (int i = 0; i < 4 && !rc; i++) {
            const char *name = store_column_text(query.stmt, 4 + i);
            if (*name || i == 0)
                rc = put_in_group(grouping, &seen, kinds[i], name, err);
        }
        if (!rc && grouping->tags)
            rc = put_in_tags(grouping, &seen, sqlite3_column_int64(query.stmt, 2), err);
        if (rc)
            break;
    }
    query_end(&query);
    return rc;
}

/* What the new answers of a video change in the products of two groups. */
static void add_products(struct products *products, const struct group *a, const struct group *b)
{
    products->nn += a->now.n * b->now.n - a->before.n * b->before.n;
    products->nk += a->now.n * b->now.k - a->before.n * b->before.k;
    products->kn += a->now.k * b->now.n - a->before.k * b->before.n;
    products->kk += a->now.k * b->now.k - a->before.k * b->before.k;
}

static int add_pair(struct grouping *grouping, size_t a, size_t b, struct err *err)
{
    size_t i = 0;
    if (strcmp(grouping->groups[a].name, grouping->groups[b].name) > 0) {
        size_t first = b;
        b = a;
        a = first;
    }
    while (i < grouping->n_pairs && (grouping->pairs[i].a != a || grouping->pairs[i].b != b))
        i++;
    if (i == grouping->n_pairs) {
        int rc = grow((void **)&grouping->pairs, i, &grouping->pairs_room, sizeof *grouping->pairs, err);
        if (rc)
            return rc;
        grouping->pairs[grouping->n_pairs++] = (struct type_pair){.a = a, .b = b};
    }
    add_products(&grouping->pairs[i].products, &grouping->groups[a], &grouping->groups[b]);
    return 0;
}

/* A video's share in the sums of its groups. */
static int add_video(struct grouping *grouping, int64_t video, struct err *err)
{
    grouping->n_touched = 0;
    int rc = read_video(grouping, video, err);
    for (size_t i = 0; i < grouping->n_touched && !rc; i++) {
        struct group *group = &grouping->groups[grouping->touched[i]];
        group->n += group->now.n - group->before.n;
        group->n_correct += group->now.k - group->before.k;
        group->n_videos += !group->before.n;
        add_products(&group->products, group, group);
        for (size_t j = 0; j <= i && grouping->macro && group->is_type && !rc; j++)
            if (grouping->groups[grouping->touched[j]].is_type)
                rc = add_pair(grouping, grouping->touched[i], grouping->touched[j], err);
    }
    for (size_t i = 0; i < grouping->n_touched; i++)
        grouping->groups[grouping->touched[i]].before = grouping->groups[grouping->touched[i]].now = (struct piece){0};
    return rc;
}

/* ---- a cell's groups into the store ---------------------------------------------------------------------------------------- */

static int write_group(struct grouping *grouping, const struct group *group, struct err *err)
{
    struct query query = query_on(grouping->store,
        "INSERT INTO group_sum (cell_id, kind, name, first_row, n, n_correct, n_videos, nn, nk, kk) "
        "VALUES (:cell, :kind, :name, :first_row, :n, :n_correct, :n_videos, :nn, :nk, :kk) "
        "ON CONFLICT DO UPDATE SET first_row = min(first_row, excluded.first_row), n = n + excluded.n, n_correct = n_correct + excluded.n_correct, "
        "n_videos = n_videos + excluded.n_videos, nn = nn + excluded.nn, nk = nk + excluded.nk, kk = kk + excluded.kk");
    query_integer(&query, ":cell", grouping->cell);
    query_text(&query, ":kind", group->kind);
    query_text(&query, ":name", group->name);
    query_integer(&query, ":first_row", group->first_row);
    query_integer(&query, ":n", group->n);
    query_integer(&query, ":n_correct", group->n_correct);
    query_integer(&query, ":n_videos", group->n_videos);
    query_integer(&query, ":nn", group->products.nn);
    query_integer(&query, ":nk", group->products.nk);
    query_integer(&query, ":kk", group->products.kk);
    return query_run(&query, what, err);
}

static int write_pair(struct grouping *grouping, const struct type_pair *pair, struct err *err)
{
    struct query query = query_on(grouping->store,
        "INSERT INTO type_pair (cell_id, a, b, nn, nk, kn, kk) VALUES (:cell, :a, :b, :nn, :nk, :kn, :kk) "
        "ON CONFLICT DO UPDATE SET nn = nn + excluded.nn, nk = nk + excluded.nk, kn = kn + excluded.kn, kk = kk + excluded.kk");
    query_integer(&query, ":cell", grouping->cell);
    query_text(&query, ":a", grouping->groups[pair->a].name);
    query_text(&query, ":b", grouping->groups[pair->b].name);
    query_integer(&query, ":nn", pair->products.nn);
    query_integer(&query, ":nk", pair->products.nk);
    query_integer(&query, ":kn", pair->products.kn);
    query_integer(&query, ":kk", pair->products.kk);
    return query_run(&query, what, err);
}

static int write_cell(struct grouping *grouping, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < grouping->n_groups && !rc; i++)
        if (grouping->groups[i].n)
            rc = write_group(grouping, &grouping->groups[i], err);
    for (size_t i = 0; i < grouping->n_pairs && !rc; i++)
        rc = write_pair(grouping, &grouping->pairs[i], err);
    return rc;
}

static int enter_cell(struct grouping *grouping, int64_t cell, struct err *err)
{
    int rc = write_cell(grouping, err);
    arena_reset(&grouping->arena);
    if (grouping->n_slots)
        memset(grouping->slots, 0, grouping->n_slots * sizeof *grouping->slots);
    grouping->n_groups = grouping->n_pairs = 0;
    grouping->cell = cell;
    if (rc)
        return rc;
    struct query query = query_on(grouping->store, "SELECT macro, EXISTS (SELECT 1 FROM tag) FROM cell WHERE id = :cell");
    query_integer(&query, ":cell", cell);
    if ((rc = query_step(&query, what, err)) > 0) {
        grouping->macro = sqlite3_column_int(query.stmt, 0);
        grouping->tags = sqlite3_column_int(query.stmt, 1);
        rc = 0;
    }
    query_end(&query);
    return rc;
}

static int add_groups(struct store *store, const struct range *range, struct err *err)
{
#define VIDEOS_OF(answers)                                                                                     \
    "SELECT DISTINCT answer.cell_id, sample.video_id FROM answer CROSS JOIN sample ON sample.id = answer.sample_id " \
    "WHERE " answers " AND " REPLIED " ORDER BY 1, 2"
    struct grouping grouping = {.store = store, .range = *range};
    struct query query = query_on(store, range->cell ? VIDEOS_OF(IN_CELL) : VIDEOS_OF(IN_RANGE));
    query_range(&query, range);
    int rc;
    while ((rc = query_step(&query, what, err)) > 0) {
        int64_t cell = sqlite3_column_int64(query.stmt, 0);
        rc = cell == grouping.cell ? 0 : enter_cell(&grouping, cell, err);
        if (rc || (rc = add_video(&grouping, sqlite3_column_int64(query.stmt, 1), err)))
            break;
    }
    query_end(&query);
    if (!rc)
        rc = write_cell(&grouping, err);
    grouping_free(&grouping);
    return rc;
}

/* ---- bringing sums up to date ---------------------------------------------------------------------------------------------- */

static int add_range(struct store *store, const struct range *range, struct err *err)
{
    int rc = add_counts(store, range, err);
    if (!rc)
        rc = add_replies(store, range, err);
    return rc ? rc : add_groups(store, range, err);
}

/* How far the sums are, how far the answers, and how many cells are stale. */
static int read_state(struct store *store, int64_t *after, int64_t *upto, int64_t *n_stale, struct err *err)
{
    struct query query = query_on(store, "SELECT answer_id, coalesce((SELECT max(id) FROM answer), 0), (SELECT count(*) FROM stale_cell) FROM summed");
    int rc = query_step(&query, "read sums", err);
    if (rc > 0) {
        *after = sqlite3_column_int64(query.stmt, 0);
        *upto = sqlite3_column_int64(query.stmt, 1);
        *n_stale = sqlite3_column_int64(query.stmt, 2);
    }
    query_end(&query);
    return rc < 0 ? rc : 0;
}

/* Makes the sums of stale cells anew, over the answers that sums reach. */
static int renew_cells(struct store *store, int64_t upto, struct err *err)
{
    int64_t cell = 0;
    int rc;
    do {
        struct query next = query_on(store, "DELETE FROM stale_cell WHERE cell_id = (SELECT min(cell_id) FROM stale_cell) RETURNING cell_id");
        if ((rc = query_step(&next, what, err)) <= 0)
            return rc;
        cell = sqlite3_column_int64(next.stmt, 0);
        query_end(&next);
        const struct range all = {0, upto, cell};
        rc = add_range(store, &all, err);
    } while (!rc);
    return rc;
}

int sums_update(struct store *store, struct err *err)
{
    enum { PATIENCE_S = 15 };
    int64_t after = 0, upto = 0, n_stale = 0;
    double told = now_s();
    int rc = read_state(store, &after, &upto, &n_stale, err);
    if (!rc && n_stale)
        rc = renew_cells(store, after, err);
    while (!rc && after < upto) {
        const struct range range = {after, upto - after > RANGE ? after + RANGE : upto, 0};
        rc = add_range(store, &range, err);
        after = range.upto;
        struct query query = query_on(store, "UPDATE summed SET answer_id = :after");
        query_integer(&query, ":after", after);
        if (!rc)
            rc = query_run(&query, what, err);
        if (!rc && after < upto && now_s() - told > PATIENCE_S) {
            told = now_s();
            log_say(LOG_NOTE, "store '%s': sums of %lld of %lld answers are made", store->path, (long long)after, (long long)upto);
        }
    }
    return rc;
}

int sums_are_current(struct store *store, bool *current, struct err *err)
{
    int64_t after = 0, upto = 0, n_stale = 0;
    int rc = read_state(store, &after, &upto, &n_stale, err);
    *current = !rc && after == upto && !n_stale;
    return rc;
}
