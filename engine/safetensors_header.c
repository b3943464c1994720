/* Safetensors header: a scanner of its own for the one shape that headers have, {"name": {"dtype", "shape", "data_offsets"}, ...}.
 *
 * A JSON tree would not do: it holds numbers as doubles, which cannot tell 8 from 8.0 nor hold a u64, and it would take gigabytes
 * for the 100 MB of header that the format allows. Only strings and the metadata, which stay small, go through core/json.h. */
#include "engine/safetensors_header.h"

#include "core/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 512, METADATA_MOST = 16 << 20 };

/* ---- scanning ------------------------------------------------------------------------------------------------------------ */

struct scan {
    const char *start, *at, *end;
    const struct header_place *place;
    struct arena *arena;
    struct err *err;
};

static int scan_fail(const struct scan *scan, const char *wanted)
{
    return err_set(scan->err, ERR_DATA, "'%s' has an ill-formed header: %s was expected at its byte %zu",
                   scan->place->path, wanted, (size_t)(scan->at - scan->start));
}

static char scan_peek(struct scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : 0;
}

static int scan_char(struct scan *scan, char wanted)
{
    const char quoted[] = {'\'', wanted, '\'', 0};
    if (scan_peek(scan) != wanted)
        return scan_fail(scan, quoted);
    scan->at++;
    return 0;
}

/* After an element: steps over ',' and says that another follows, or over `close` and says that none does. */
static int scan_more(struct scan *scan, char close, bool *more)
{
    *more = scan_peek(scan) == ',';
    return scan_char(scan, *more ? ',' : close);
}

/* Steps over the characters of a string, which json_parse() has yet to check. */
static int scan_over_string(struct scan *scan)
{
    int rc = scan_char(scan, '"');
    if (rc)
        return rc;
    while (scan->at < scan->end && *scan->at != '"')
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    return scan_char(scan, '"');
}

static int scan_parse(const struct scan *scan, const char *first, struct json **out)
{
    int rc = json_parse(out, first, (size_t)(scan->at - first), "there", scan->err);
    if (rc == ERR_DATA)
        err_prefix(scan->err, "'%s' has an ill-formed header from its byte %zu on", scan->place->path, (size_t)(first - scan->start));
    return rc;
}

/* A string of at most NAME_MOST bytes, decoded. */
static int scan_string(struct scan *scan, char out[NAME_MOST + 1])
{
    struct json *string;
    scan_peek(scan);
    const char *first = scan->at;
    int rc = scan_over_string(scan);
    if (rc)
        return rc;
    if (scan->at - first > NAME_MOST + 2)
        return err_set(scan->err, ERR_DATA, "'%s' has a name of %zu bytes in its header, more than the %d that are accepted",
                       scan->place->path, (size_t)(scan->at - first) - 2, NAME_MOST);
    if ((rc = scan_parse(scan, first, &string)))
        return rc;
    strcpy(out, json_string(string)); /* decoding never makes a string longer */
    json_free(string);
    return 0;
}

static int scan_u64(struct scan *scan, uint64_t *out)
{
    static const char wanted[] = "a whole number below 2^64, without sign, fraction or exponent,";
    char first = scan_peek(scan);
    const char *digits = scan->at;
    uint64_t value = 0;
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++) {
        unsigned digit = (unsigned)(*scan->at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return scan_fail(scan, wanted);
        value = value * 10 + digit;
    }
    if (scan->at == digits || (first == '0' && scan->at - digits > 1))
        return scan_fail(scan, wanted);
    if (scan->at < scan->end && strchr(".eE", *scan->at))
        return scan_fail(scan, wanted);
    *out = value;
    return 0;
}

/* A list of at most `most` numbers. */
static int scan_list(struct scan *scan, uint64_t *out, int most, int *n)
{
    bool more;
    int rc = scan_char(scan, '[');
    *n = 0;
    if (!rc && scan_peek(scan) == ']')
        return scan_char(scan, ']');
    for (more = true; !rc && more;) {
        if (*n == most)
            return err_set(scan->err, ERR_DATA, "'%s' has a list of more than %d numbers at byte %zu of its header", scan->place->path,
                           most, (size_t)(scan->at - scan->start));
        rc = scan_u64(scan, &out[*n]);
        ++*n;
        if (!rc)
            rc = scan_more(scan, ']', &more);
    }
    return rc;
}

/* ---- one tensor ---------------------------------------------------------------------------------------------------------- */

static const struct format { const char *name; uint8_t bits; } formats[] = {
    {"F32", 32}, {"BF16", 16}, {"F16", 16}, {"BOOL", 8}, {"U8", 8}, {"I8", 8}, {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16}, {"U16", 16}, {"I32", 32}, {"U32", 32}, {"C64", 64}, {"F64", 64}, {"I64", 64},
    {"U64", 64}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

static const struct format *format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(formats[i].name, name))
            return &formats[i];
    return NULL;
}

/* The dtypes that the engine computes with. */
static bool dtype_find(const char *name, enum dtype *dtype)
{
    static const struct { const char *name; enum dtype dtype; } usable[] = {
        {"F32", DTYPE_F32}, {"BF16", DTYPE_BF16}, {"F16", DTYPE_F16}};
    for (size_t i = 0; i < sizeof usable / sizeof *usable; i++)
        if (!strcmp(usable[i].name, name)) {
            *dtype = usable[i].dtype;
            return true;
        }
    return false;
}

/* *product *= factor, false when it does not fit. */
static bool multiply(uint64_t *product, uint64_t factor)
{
    if (factor && *product > UINT64_MAX / factor)
        return false;
    *product *= factor;
    return true;
}

static int scan_dtype(struct scan *scan, struct tensor *tensor)
{
    char name[NAME_MOST + 1];
    int rc = scan_string(scan, name);
    if (rc)
        return rc;
    const struct format *format = format_find(name);
    if (!format)
        return err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' has the unknown dtype '%.40s'", tensor->name, scan->place->path, name);
    tensor->dtype_text = format->name;
    return 0;
}

/* dtype, shape and offsets as read: fills in what follows from them. */
static int tensor_complete(const struct scan *scan, struct tensor *tensor, const uint64_t offsets[2])
{
    const struct header_place *place = scan->place;
    const struct format *format = format_find(tensor->dtype_text);
    if (offsets[0] > offsets[1])
        return err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' ends at byte %" PRIu64 ", before its begin at %" PRIu64, tensor->name,
                       place->path, offsets[1], offsets[0]);
    if (offsets[1] > place->data_size)
        return err_set(scan->err, ERR_DATA,
                       "'%s' is cut short: tensor '%s' ends at byte %" PRIu64 " of the data, the file has %" PRIu64 "",
                       place->path, tensor->name, offsets[1], place->data_size);
    uint64_t bits;
    tensor->count = 1;
    bool fits = true;
    for (int i = 0; i < tensor->n_dims && fits; i++)
        fits = multiply(&tensor->count, tensor->shape[i]);
    bits = tensor->count;
    if (!fits || !multiply(&bits, format->bits))
        return err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' has a shape whose size does not fit 64 bits", tensor->name, place->path);
    if (bits % 8 || bits / 8 != offsets[1] - offsets[0])
        return err_set(scan->err, ERR_DATA,
                       "tensor '%s' in '%s' needs %" PRIu64 " bits for its shape and dtype, but its data_offsets span %" PRIu64 " bytes",
                       tensor->name, place->path, bits, offsets[1] - offsets[0]);
    tensor->bytes = offsets[1] - offsets[0];
    tensor->offset = place->data_start + offsets[0];
    tensor->shard = place->shard;
    tensor->usable = dtype_find(format->name, &tensor->dtype);
    return 0;
}

/* The value of one key of an entry. */
static int scan_field(struct scan *scan, const char *key, struct tensor *tensor, uint64_t offsets[2], unsigned *seen)
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    int which = 0, rc, n;
    while (which < 3 && strcmp(key, keys[which]))
        which++;
    if (which == 3)
        return err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' has the unknown key '%.40s'; dtype, shape and data_offsets are expected",
                       tensor->name, scan->place->path, key);
    if (*seen & 1u << which)
        return err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' has the key '%s' twice", tensor->name, scan->place->path, key);
    *seen |= 1u << which;
    if (which == 0)
        return scan_dtype(scan, tensor);
    if (which == 1)
        return scan_list(scan, tensor->shape, TENSOR_MOST_DIMS, &tensor->n_dims);
    if ((rc = scan_list(scan, offsets, 2, &n)))
        return rc;
    return n == 2 ? 0 : err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' should have two data_offsets, it has %d", tensor->name,
                                scan->place->path, n);
}

static int scan_entry(struct scan *scan, struct tensor *tensor)
{
    unsigned seen = 0;
    uint64_t offsets[2] = {0};
    int rc = scan_char(scan, '{');
    for (bool more = scan_peek(scan) != '}'; !rc && more;) {
        char key[NAME_MOST + 1];
        rc = scan_string(scan, key);
        if (!rc)
            rc = scan_char(scan, ':');
        if (!rc)
            rc = scan_field(scan, key, tensor, offsets, &seen);
        if (!rc)
            rc = scan_more(scan, '}', &more);
    }
    if (rc)
        return rc;
    if (seen != 7)
        return err_set(scan->err, ERR_DATA, "tensor '%s' in '%s' lacks its %s", tensor->name, scan->place->path,
                       !(seen & 1) ? "dtype" : !(seen & 2) ? "shape" : "data_offsets");
    return tensor_complete(scan, tensor, offsets);
}

/* ---- the whole header ---------------------------------------------------------------------------------------------------- */

/* Steps over an object, whatever is in it. */
static int scan_over_object(struct scan *scan)
{
    int depth = 0, rc = 0;
    do {
        char c = scan_peek(scan);
        if (!c)
            return scan_fail(scan, "'}'");
        if (c == '"') {
            rc = scan_over_string(scan);
            continue;
        }
        depth += (c == '{') - (c == '}');
        scan->at++;
    } while (!rc && depth > 0);
    return rc;
}

static int scan_metadata(struct scan *scan)
{
    struct json *metadata;
    const char *path = scan->place->path;
    if (scan_peek(scan) != '{')
        return scan_fail(scan, "an object after \"__metadata__\"");
    const char *first = scan->at;
    int rc = scan_over_object(scan);
    if (rc)
        return rc;
    if (scan->at - first > METADATA_MOST)
        return err_set(scan->err, ERR_DATA, "'%s' has %zu bytes of metadata, more than the %d that are accepted", path,
                       (size_t)(scan->at - first), METADATA_MOST);
    if ((rc = scan_parse(scan, first, &metadata)))
        return rc;
    for (const struct json *value = json_first(metadata); value && !rc; value = json_next(value))
        if (json_type(value) != JSON_STRING)
            rc = err_set(scan->err, ERR_DATA, "'%s' has %s as the metadata '%.100s', where only strings are allowed", path,
                         json_type_name(value), json_key(value));
    json_free(metadata);
    return rc;
}

static struct tensor *list_add(struct tensor_list *list)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        struct tensor *grown = realloc(list->at, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        list->at = grown;
        list->capacity = capacity;
    }
    list->at[list->n] = (struct tensor){0};
    return &list->at[list->n++];
}

static int scan_member(struct scan *scan, struct tensor_list *list, bool *has_metadata)
{
    char name[NAME_MOST + 1];
    int rc = scan_string(scan, name);
    if (!rc)
        rc = scan_char(scan, ':');
    if (rc)
        return rc;
    if (!strcmp(name, "__metadata__")) {
        if (*has_metadata)
            return err_set(scan->err, ERR_DATA, "'%s' has two '__metadata__' in its header", scan->place->path);
        *has_metadata = true;
        return scan_metadata(scan);
    }
    if (!*name)
        return err_set(scan->err, ERR_DATA, "'%s' has a tensor without a name in its header", scan->place->path);
    struct tensor *tensor = list_add(list);
    if (!tensor || !(tensor->name = arena_strdup(scan->arena, name)))
        return err_no_memory(scan->err, "the list of tensors");
    return scan_entry(scan, tensor);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

static int by_offset(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int check_names(struct tensor *tensors, size_t n, const struct header_place *place, struct err *err)
{
    if (n)
        qsort(tensors, n, sizeof *tensors, by_name);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(tensors[i - 1].name, tensors[i].name))
            return err_set(err, ERR_DATA, "'%s' has two tensors named '%s'", place->path, tensors[i].name);
    return 0;
}

/* The tensors lie end to end over the whole data: no holes, no overlap, nothing behind the last. */
static int check_cover(struct tensor *tensors, size_t n, const struct header_place *place, struct err *err)
{
    uint64_t at = place->data_start, end = place->data_start + place->data_size;
    if (n)
        qsort(tensors, n, sizeof *tensors, by_offset);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *tensor = &tensors[i];
        if (tensor->offset < at)
            return err_set(err, ERR_DATA, "tensor '%s' in '%s' overlaps '%s'", tensor->name, place->path, tensors[i - 1].name);
        if (tensor->offset > at)
            return err_set(err, ERR_DATA, "'%s' has %" PRIu64 " bytes of no tensor in front of '%s'", place->path, tensor->offset - at,
                           tensor->name);
        at += tensor->bytes;
    }
    if (at != end)
        return err_set(err, ERR_DATA, "'%s' has %" PRIu64 " bytes behind its last tensor, where none are allowed",
                       place->path, end - at);
    return 0;
}

int safetensors_header_read(struct tensor_list *list, const char *text, size_t length, const struct header_place *place,
                            struct arena *arena, struct err *err)
{
    struct scan scan = {text, text, text + length, place, arena, err};
    size_t before = list->n;
    bool has_metadata = false;
    int rc;
    if (!length || *text != '{')
        return scan_fail(&scan, "'{'");
    scan.at++;
    if (scan_peek(&scan) == '}') {
        rc = scan_char(&scan, '}');
    } else {
        bool more;
        do {
            rc = scan_member(&scan, list, &has_metadata);
            if (!rc)
                rc = scan_more(&scan, '}', &more);
        } while (!rc && more);
    }
    if (rc)
        return rc;
    scan_peek(&scan);
    if (scan.at < scan.end)
        return scan_fail(&scan, "nothing but blanks");
    size_t n = list->n - before;
    struct tensor *tensors = n ? list->at + before : NULL;
    rc = check_names(tensors, n, place, err);
    return rc ? rc : check_cover(tensors, n, place, err);
}
