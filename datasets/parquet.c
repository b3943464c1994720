/* Parquet: from the schema to columns, and from row groups and pages to rows.
 *
 * The schema is walked once and each column that this reader knows becomes a `target`. A target then reads its chunk in every row
 * group, page by page; levels tell nulls and the ends of rows. One budget pays for everything that a file makes us do, so that a
 * small file cannot cost much memory or time. */
#include "datasets/parquet.h"

#include "core/file.h"
#include "datasets/parquet_meta.h"
#include "datasets/parquet_page.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { MOST_FILE = 256 << 20, MOST_ROWS = 10 * 1000 * 1000, BUDGET = 1 << 30, PAGE_COST = 64 };

struct reader {
    const char *name;
    const uint8_t *file;
    size_t length;
    struct arena *arena;
    struct parquet_meta meta;
    struct parquet_scratch scratch;
    size_t budget; /* bytes that may still be decompressed or allocated */
};

struct target { /* a column that is being read */
    struct parquet_column *column;
    size_t leaf_index;
    struct parquet_leaf leaf;
    uint32_t item_definition; /* lists: level from which on there is an item, null or not */
    size_t rows;              /* begun so far */
};

static int budget_take(struct reader *reader, uint64_t n, size_t size, struct err *err)
{
    if (n > reader->budget / size)
        return err_set(err, ERR_DATA, "the file holds more than %d MiB of values, the most that is accepted; split it", BUDGET >> 20);
    reader->budget -= (size_t)n * size;
    return 0;
}

/* ---- schema -------------------------------------------------------------------------------------------------------------- */

/* What a top-level field is made of: how many elements and leaves its subtree has. */
struct subtree {
    size_t n_elements, n_leaves;
};

static bool subtree_measure(const struct parquet_meta *meta, size_t root, struct subtree *out)
{
    *out = (struct subtree){0};
    for (int64_t open = 1; open > 0; open--) {
        size_t at = root + out->n_elements++;
        if (at >= meta->n_elements)
            return false;
        const struct parquet_element *element = &meta->elements[at];
        if (element->n_children < 0 || element->n_children > (int64_t)meta->n_elements)
            return false;
        if (element->type == PARQUET_TYPE_GROUP)
            open += element->n_children;
        else
            out->n_leaves++;
    }
    return true;
}

static bool kind_find(const struct parquet_element *leaf, enum parquet_kind *out)
{
    bool decimal = leaf->converted == PARQUET_DECIMAL || leaf->logical == PARQUET_LOGICAL_DECIMAL;
    if (decimal || leaf->converted == PARQUET_UINT_64)
        return false;
    switch (leaf->type) {
    case PARQUET_TYPE_BOOLEAN: *out = PARQUET_BOOL; return true;
    case PARQUET_TYPE_INT32:
    case PARQUET_TYPE_INT64: *out = PARQUET_INT; return true;
    case PARQUET_TYPE_FLOAT:
    case PARQUET_TYPE_DOUBLE: *out = PARQUET_REAL; return true;
    case PARQUET_TYPE_BYTE_ARRAY: *out = PARQUET_BYTES; return true;
    default: return false;
    }
}

static bool is_list(const struct parquet_element *element)
{
    return element->type == PARQUET_TYPE_GROUP && element->n_children == 1 && element->repetition != PARQUET_REPEATED &&
           (element->converted == PARQUET_LIST || element->logical == PARQUET_LOGICAL_LIST);
}

/* Fills levels and kind from the field at `element`, whose subtree has `n_elements`; false for shapes that are skipped. A list is
 * group -> repeated group -> item, or, from old writers, group -> repeated item, or a repeated item alone. */
static bool target_shape(struct target *out, const struct parquet_element *element, size_t n_elements)
{
    const struct parquet_element *leaf = element + n_elements - 1;
    const struct parquet_element *repeated = leaf;
    if (is_list(element) && n_elements <= 3)
        repeated = element + 1;
    else if (n_elements != 1)
        return false;
    bool list = repeated->repetition == PARQUET_REPEATED;
    if ((n_elements > 1 && !list) || (leaf != repeated && leaf->repetition == PARQUET_REPEATED) || leaf->type == PARQUET_TYPE_GROUP ||
        !kind_find(leaf, &out->column->kind))
        return false;
    out->column->name = element->name;
    out->column->is_list = list;
    out->leaf.type = leaf->type;
    out->leaf.converted = leaf->converted;
    out->leaf.most_repetition = list;
    out->item_definition = list ? (element->repetition == PARQUET_OPTIONAL) + 1u : 0;
    out->leaf.most_definition = out->item_definition + (leaf->repetition == PARQUET_OPTIONAL);
    return true;
}

/* Walks the root's fields; one target for each that can be read. */
static int targets_find(struct reader *reader, struct target *targets, struct parquet_column *columns, size_t *n_targets, size_t *n_leaves,
                        struct err *err)
{
    const struct parquet_meta *meta = &reader->meta;
    *n_targets = *n_leaves = 0;
    for (size_t at = 1; at < meta->n_elements;) {
        struct subtree subtree;
        if (!subtree_measure(meta, at, &subtree))
            return err_set(err, ERR_DATA, "'%s': the schema's element '%s' has more children than there are; fetch the file again",
                           reader->name, meta->elements[at].name);
        struct target target = {.column = &columns[*n_targets], .leaf_index = *n_leaves};
        if (target_shape(&target, &meta->elements[at], subtree.n_elements))
            targets[(*n_targets)++] = target;
        *n_leaves += subtree.n_leaves;
        at += subtree.n_elements;
    }
    return 0;
}

/* ---- pages --------------------------------------------------------------------------------------------------------------- */

static int level_next(struct parquet_runs *runs, uint32_t most, const char *what, uint32_t *out, struct err *err)
{
    *out = 0;
    if (most && !parquet_runs_next(runs, out))
        return err_set(err, ERR_DATA, "the page ends before its last %s level; fetch the file again", what);
    if (*out > most)
        return err_set(err, ERR_DATA, "a %s level is %u and may be at most %u; fetch the file again", what, *out, most);
    return 0;
}

/* Begins a row, or checks that the list goes on in one that has begun. */
static int row_enter(struct target *target, uint32_t repetition, size_t first_row, size_t end_row, struct err *err)
{
    struct parquet_column *column = target->column;
    if (repetition)
        return target->rows > first_row ? 0 : err_set(err, ERR_DATA, "a list begins in an earlier row group; fetch the file again");
    if (target->rows == end_row)
        return err_set(err, ERR_DATA, "there are more rows than the row group's %zu; fetch the file again", end_row - first_row);
    if (column->is_list)
        column->row_start[target->rows] = column->n_values;
    target->rows++;
    return 0;
}

static int page_rows_read(struct target *target, struct parquet_body *body, size_t n, size_t first_row, size_t end_row, struct err *err)
{
    const struct parquet_leaf *leaf = &target->leaf;
    struct parquet_column *column = target->column;
    for (size_t i = 0; i < n; i++) {
        uint32_t repetition, definition;
        int rc = level_next(&body->repetition, leaf->most_repetition, "repetition", &repetition, err);
        if (!rc)
            rc = level_next(&body->definition, leaf->most_definition, "definition", &definition, err);
        if (!rc)
            rc = row_enter(target, repetition, first_row, end_row, err);
        if (rc)
            return rc;
        if (definition < target->item_definition) /* an empty list */
            continue;
        struct parquet_value *value = &column->values[column->n_values++];
        value->null = definition < leaf->most_definition;
        if (!value->null && (rc = parquet_values_next(&body->values, value, err)))
            return rc;
    }
    return 0;
}

static int page_check(struct reader *reader, const struct parquet_page *page, const uint8_t *body, const uint8_t *end, struct err *err)
{
    if (page->compressed_bytes < 0 || page->compressed_bytes > end - body)
        return err_set(err, ERR_DATA, "it says it has %lld bytes where %lld are left; fetch the file again",
                       (long long)page->compressed_bytes, (long long)(end - body));
    if (page->uncompressed_bytes < 0 || page->uncompressed_bytes > PARQUET_MOST_PAGE || page->compressed_bytes > PARQUET_MOST_PAGE)
        return err_set(err, ERR_DATA, "it says it has %lld bytes uncompressed, more than the %d accepted; write smaller pages",
                       (long long)page->uncompressed_bytes, PARQUET_MOST_PAGE);
    if (page->n_values < 0)
        return err_set(err, ERR_DATA, "it says it has %lld values; fetch the file again", (long long)page->n_values);
    if (page->has_crc && (uint32_t)crc32(0, body, (uInt)page->compressed_bytes) != page->crc)
        return err_set(err, ERR_DATA, "its checksum is wrong; fetch the file again");
    return budget_take(reader, (uint64_t)page->uncompressed_bytes + PAGE_COST, 1, err);
}

static int dictionary_page_read(struct reader *reader, struct target *target, const struct parquet_page *page, const uint8_t *body,
                                struct parquet_dictionary *dictionary, struct err *err)
{
    if (dictionary->values)
        return err_set(err, ERR_DATA, "a second dictionary; fetch the file again");
    if (page->n_values > page->uncompressed_bytes)
        return err_set(err, ERR_DATA, "a dictionary of %lld bytes cannot hold %lld values; fetch the file again",
                       (long long)page->uncompressed_bytes, (long long)page->n_values);
    int rc = budget_take(reader, (uint64_t)page->n_values, sizeof *dictionary->values, err);
    return rc ? rc : parquet_dictionary_read(dictionary, page, body, &target->leaf, &reader->scratch, reader->arena, err);
}

/* ---- chunks -------------------------------------------------------------------------------------------------------------- */

struct chunk_walk { /* one target in one row group */
    const uint8_t *at, *end;
    size_t first_row, end_row;
    int64_t values_left;
    struct parquet_dictionary dictionary;
};

static int page_next(struct reader *reader, struct target *target, struct chunk_walk *walk, struct err *err)
{
    struct parquet_page page;
    if (walk->at == walk->end)
        return err_set(err, ERR_DATA, "%lld values are missing; fetch the file again", (long long)walk->values_left);
    int rc = parquet_page_read(&page, &walk->at, walk->end, err);
    if (!rc)
        rc = page_check(reader, &page, walk->at, walk->end, err);
    if (rc)
        return rc;
    const uint8_t *bytes = walk->at;
    walk->at += page.compressed_bytes;
    if (page.type == PARQUET_DICTIONARY_PAGE)
        return dictionary_page_read(reader, target, &page, bytes, &walk->dictionary, err);
    if (page.type != PARQUET_DATA_PAGE && page.type != PARQUET_DATA_PAGE_V2)
        return 0; /* the format asks readers to pass over pages that they do not know */
    if (page.n_values > walk->values_left)
        return err_set(err, ERR_DATA, "it says it has %lld values where %lld are left; fetch the file again", (long long)page.n_values,
                       (long long)walk->values_left);
    struct parquet_body body;
    rc = parquet_body_open(&body, &page, bytes, &target->leaf, &walk->dictionary, &reader->scratch, reader->arena, err);
    walk->values_left -= page.n_values;
    return rc ? rc : page_rows_read(target, &body, (size_t)page.n_values, walk->first_row, walk->end_row, err);
}

static int64_t chunk_first(const struct parquet_chunk *chunk)
{
    return chunk->dictionary_page_offset > 0 ? chunk->dictionary_page_offset : chunk->data_page_offset;
}

static int chunk_check(const struct reader *reader, const struct target *target, const struct parquet_chunk *chunk, int64_t n_rows,
                       struct err *err)
{
    if (chunk->elsewhere)
        return err_set(err, ERR_DATA, "the values are in another file; write all columns into one");
    if (!chunk->readable)
        return err_set(err, ERR_DATA, "the column has no metadata and may be encrypted; only plain Parquet files are read");
    if (chunk->type != target->leaf.type)
        return err_set(err, ERR_DATA, "the schema says physical type %lld, the row group %lld; fetch the file again",
                       (long long)target->leaf.type, (long long)chunk->type);
    if (chunk->n_values < n_rows || (!target->column->is_list && chunk->n_values != n_rows))
        return err_set(err, ERR_DATA, "%lld values in %lld rows; fetch the file again", (long long)chunk->n_values, (long long)n_rows);
    if (chunk->n_values == 0) /* some writers leave the places of empty chunks at 0 */
        return 0;
    int64_t first = chunk_first(chunk);
    if (first < 4 || first > (int64_t)reader->length || chunk->compressed_bytes < 0 ||
        chunk->compressed_bytes > (int64_t)reader->length - first)
        return err_set(err, ERR_DATA, "the pages are said to be %lld bytes from byte %lld in a file of %zu; fetch the file again",
                       (long long)chunk->compressed_bytes, (long long)first, reader->length);
    return 0;
}

static int chunk_read(struct reader *reader, struct target *target, const struct parquet_chunk *chunk, size_t n_rows, struct err *err)
{
    if (chunk->n_values == 0)
        return 0;
    struct chunk_walk walk = {
        .at = reader->file + chunk_first(chunk),
        .end = reader->file + chunk_first(chunk) + chunk->compressed_bytes,
        .first_row = target->rows,
        .end_row = target->rows + n_rows,
        .values_left = chunk->n_values,
    };
    target->leaf.codec = chunk->codec;
    for (int page = 0; walk.values_left > 0; page++)
        if (page_next(reader, target, &walk, err))
            return err_prefix(err, "page %d", page);
    if (target->rows != walk.end_row)
        return err_set(err, ERR_DATA, "%zu rows are missing; fetch the file again", walk.end_row - target->rows);
    return 0;
}

/* Room for all values that the row groups promise. */
static int column_alloc(struct reader *reader, struct target *target, struct err *err)
{
    const struct parquet_meta *meta = &reader->meta;
    struct parquet_column *column = target->column;
    uint64_t n = 0, rows = column->is_list ? (uint64_t)meta->n_rows + 1 : 0;
    for (size_t g = 0; g < meta->n_groups; g++) {
        const struct parquet_chunk *chunk = &meta->groups[g].chunks[target->leaf_index];
        int rc = chunk_check(reader, target, chunk, meta->groups[g].n_rows, err);
        if (!rc)
            rc = budget_take(reader, (uint64_t)chunk->n_values, sizeof *column->values, err);
        if (rc)
            return err_prefix(err, "row group %zu", g);
        n += (uint64_t)chunk->n_values;
    }
    int rc = budget_take(reader, rows, sizeof *column->row_start, err);
    if (rc)
        return rc;
    column->values = arena_alloc(reader->arena, (size_t)n, sizeof *column->values);
    column->row_start = column->is_list ? arena_alloc(reader->arena, (size_t)rows, sizeof *column->row_start) : NULL;
    return column->values && (column->row_start || !column->is_list) ? 0 : err_no_memory(err, "the values of a column");
}

static int column_read(struct reader *reader, struct target *target, struct err *err)
{
    const struct parquet_meta *meta = &reader->meta;
    int rc = column_alloc(reader, target, err);
    for (size_t g = 0; g < meta->n_groups && !rc; g++) {
        const struct parquet_group *group = &meta->groups[g];
        rc = chunk_read(reader, target, &group->chunks[target->leaf_index], (size_t)group->n_rows, err);
        if (rc)
            err_prefix(err, "row group %zu", g);
    }
    if (!rc && target->column->is_list)
        target->column->row_start[target->rows] = target->column->n_values;
    return rc ? err_prefix(err, "'%s', column '%s'", reader->name, target->column->name) : 0;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------- */

static int groups_check(const struct reader *reader, size_t n_leaves, struct err *err)
{
    const struct parquet_meta *meta = &reader->meta;
    int64_t rows = 0;
    if (meta->n_rows < 0 || meta->n_rows > MOST_ROWS)
        return err_set(err, ERR_DATA, "'%s': %lld rows, more than the %d accepted; split the file", reader->name, (long long)meta->n_rows,
                       MOST_ROWS);
    for (size_t g = 0; g < meta->n_groups; g++) {
        const struct parquet_group *group = &meta->groups[g];
        if (group->n_chunks != n_leaves)
            return err_set(err, ERR_DATA, "'%s', row group %zu: %zu columns where the schema has %zu; fetch the file again", reader->name,
                           g, group->n_chunks, n_leaves);
        if (group->n_rows < 0 || group->n_rows > meta->n_rows - rows)
            return err_set(err, ERR_DATA, "'%s', row group %zu: %lld rows are more than what is left of the file's %lld; fetch the file again",
                           reader->name, g, (long long)group->n_rows, (long long)meta->n_rows);
        rows += group->n_rows;
    }
    if (rows != meta->n_rows)
        return err_set(err, ERR_DATA, "'%s': the row groups have %lld rows, the file says %lld; fetch the file again", reader->name,
                       (long long)rows, (long long)meta->n_rows);
    return 0;
}

static int table_read(struct reader *reader, struct parquet_table *out, struct err *err)
{
    size_t n_leaves = 0, n_elements = reader->meta.n_elements;
    struct target *targets = calloc(n_elements + 1, sizeof *targets);
    out->n_rows = (size_t)reader->meta.n_rows;
    out->columns = arena_alloc(reader->arena, n_elements, sizeof *out->columns);
    int rc = targets && out->columns ? 0 : err_no_memory(err, "the columns of a Parquet file");
    if (!rc)
        rc = targets_find(reader, targets, out->columns, &out->n_columns, &n_leaves, err);
    if (!rc)
        rc = groups_check(reader, n_leaves, err);
    for (size_t i = 0; i < out->n_columns && !rc; i++)
        rc = column_read(reader, &targets[i], err);
    free(targets);
    return rc;
}

int parquet_parse(struct parquet_table *out, const void *bytes, size_t length, const char *name, struct arena *arena, struct err *err)
{
    struct reader reader = {.name = name, .file = bytes, .length = length, .arena = arena, .budget = BUDGET};
    *out = (struct parquet_table){0};
    int rc = parquet_meta_read(&reader.meta, bytes, length, arena, err);
    if (rc)
        return err_prefix(err, "'%s'", name);
    rc = table_read(&reader, out, err);
    free(reader.scratch.bytes);
    return rc;
}

int parquet_load(struct parquet_table *out, const char *path, struct arena *arena, struct err *err)
{
    char *bytes;
    size_t length;
    int rc = file_load(&bytes, &length, path, MOST_FILE, err);
    if (rc)
        return rc;
    rc = parquet_parse(out, bytes, length, path, arena, err);
    free(bytes);
    return rc;
}

const struct parquet_column *parquet_column(const struct parquet_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (!strcmp(table->columns[i].name, name))
            return &table->columns[i];
    return NULL;
}
