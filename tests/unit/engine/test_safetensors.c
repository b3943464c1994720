/* Safetensors: what a well-formed file gives, and the sentence for each way in which one can be ill-formed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include "engine/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = P_tmpdir "/toksweep-safetensors-XXXXXX";
static char warning[1024];

static void keep_warning(enum log_level level, const char *text)
{
    if (level == LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", text);
}

static int make_folder(void **state)
{
    (void)state;
    memcpy(strrchr(folder, '-'), "-XXXXXX", 7);
    warning[0] = 0;
    log_set_sink(keep_warning, LOG_WARNING);
    return mkdtemp(folder) ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "pipe", "model.safetensors", "model.safetensors.index.json", "s1", "s2", "s3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(path_of(names[i]));
    log_set_sink(NULL, LOG_WARNING);
    return rmdir(folder);
}

static void write_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* A file with this header and `n` bytes of data, which count up from `first`. */
static void write_file(const char *name, const char *header, size_t n, int first)
{
    size_t length = strlen(header), size = 8 + length + n;
    unsigned char *bytes = calloc(1, size);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < n; i++)
        bytes[8 + length + i] = (unsigned char)((size_t)first + i);
    write_bytes(name, bytes, size);
    free(bytes);
}

static void expect_text(const struct err *err, const char *part)
{
    if (!strstr(err->text, part))
        fail_msg("'%s' is not in: %s", part, err->text);
}

/* Opening `name` fails with `code` and a sentence with the file's path and `reason`. */
static void expect_bad(const char *name, int code, const char *reason)
{
    struct safetensors *files = (void *)folder;
    struct err err = {0};
    int rc = safetensors_open_file(&files, path_of(name), &err);
    if (rc != code)
        fail_msg("%d instead of %d for '%s': %s", rc, code, reason, err.text);
    assert_int_equal(err.code, code);
    assert_null(files);
    expect_text(&err, path_of(name));
    expect_text(&err, reason);
    assert_null(strchr(err.text, '\n'));
}

static struct safetensors *open_good(const char *name)
{
    struct safetensors *files = NULL;
    struct err err = {0};
    if (safetensors_open_file(&files, path_of(name), &err))
        fail_msg("%s", err.text);
    return files;
}

/* ---- well-formed files --------------------------------------------------------------------------------------------------- */

static void test_reads_tensors(void **state)
{
    (void)state;
    write_file("a", "{\"__metadata__\":{\"format\":\"pt\"},"
                    "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},"
                    "\"b\":{\"data_offsets\":[0,4],\"shape\":[2],\"dtype\":\"BF16\"},"
                    "\"ids\" : { \"dtype\" : \"I64\" , \"shape\" : [ 1 ] , \"data_offsets\" : [ 28 , 36 ] }}   ", 36, 0);
    struct safetensors *files = open_good("a");
    assert_int_equal(safetensors_count(files), 3);
    assert_string_equal(safetensors_at(files, 0)->name, "b");
    assert_string_equal(safetensors_at(files, 1)->name, "ids");
    assert_string_equal(safetensors_at(files, 2)->name, "w");

    const struct tensor *w = safetensors_find(files, "w");
    assert_ptr_equal(w, safetensors_at(files, 2));
    assert_true(w->usable);
    assert_int_equal(w->dtype, DTYPE_F32);
    assert_string_equal(w->dtype_text, "F32");
    assert_int_equal(w->n_dims, 2);
    assert_int_equal(w->shape[0], 2);
    assert_int_equal(w->shape[1], 3);
    assert_int_equal(w->count, 6);
    assert_int_equal(w->bytes, 24);
    assert_string_equal(safetensors_path(files, w), path_of("a"));
    assert_int_equal(safetensors_find(files, "b")->dtype, DTYPE_BF16);
    assert_false(safetensors_find(files, "ids")->usable);
    assert_string_equal(safetensors_find(files, "ids")->dtype_text, "I64");
    assert_null(safetensors_find(files, "c"));

    unsigned char got[24] = {0};
    struct err err = {0};
    assert_int_equal(safetensors_read(files, w, 0, 6, got, &err), 0);
    for (int i = 0; i < 24; i++)
        assert_int_equal(got[i], 4 + i);
    assert_int_equal(safetensors_read(files, w, 4, 1, got, &err), 0);
    assert_memory_equal(got, "\x14\x15\x16\x17", 4);
    assert_int_equal(safetensors_read(files, w, 6, 0, got, &err), 0);
    assert_int_equal(safetensors_read(files, safetensors_find(files, "b"), 1, 1, got, &err), 0);
    assert_memory_equal(got, "\x02\x03", 2);
    safetensors_close(files);
}

static void test_scalars_and_empty_tensors(void **state)
{
    (void)state;
    write_file("a", "{\"scalar\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]},"
                    "\"none\":{\"dtype\":\"F32\",\"shape\":[3,0],\"data_offsets\":[0,0]},"
                    "\"end\":{\"dtype\":\"F32\",\"shape\":[0,18446744073709551615],\"data_offsets\":[2,2]}}", 2, 7);
    struct safetensors *files = open_good("a");
    const struct tensor *scalar = safetensors_find(files, "scalar");
    assert_int_equal(scalar->n_dims, 0);
    assert_int_equal(scalar->count, 1);
    assert_int_equal(scalar->dtype, DTYPE_F16);
    assert_int_equal(safetensors_find(files, "none")->count, 0);
    assert_true(safetensors_find(files, "end")->shape[1] == UINT64_MAX);
    unsigned char got[2];
    struct err err = {0};
    assert_int_equal(safetensors_read(files, scalar, 0, 1, got, &err), 0);
    assert_memory_equal(got, "\x07\x08", 2);
    assert_int_equal(safetensors_read(files, safetensors_find(files, "none"), 0, 0, got, &err), 0);
    safetensors_close(files);

    write_file("a", "{}", 0, 0);
    files = open_good("a");
    assert_int_equal(safetensors_count(files), 0);
    assert_null(safetensors_find(files, "scalar"));
    safetensors_close(files);
}

/* The header's length puts the data at an odd place, as old files have it. */
static void test_misaligned_data(void **state)
{
    (void)state;
    write_file("a", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
                    "\"m\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[0,1]}}", 9, 100);
    struct safetensors *files = open_good("a");
    unsigned char got[8];
    struct err err = {0};
    assert_int_equal(safetensors_read(files, safetensors_find(files, "x"), 0, 2, got, &err), 0);
    assert_memory_equal(got, "efghijkl", 8);
    safetensors_close(files);
}

static void test_every_dtype(void **state)
{
    (void)state;
    static const struct { const char *name; int bits; } dtypes[] = {
        {"BOOL", 8}, {"U8", 8}, {"I8", 8}, {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
        {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16}, {"I32", 32}, {"U32", 32}, {"F32", 32}, {"C64", 64}, {"F64", 64},
        {"I64", 64}, {"U64", 64}, {"F4", 4}, {"F6_E2M3", 6}, {"F6_E3M2", 6}};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        char header[200];
        size_t bytes = (size_t)dtypes[i].bits * 4 / 8;
        snprintf(header, sizeof header, "{\"x\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[0,%zu]}}", dtypes[i].name, bytes);
        write_file("a", header, bytes, 0);
        struct safetensors *files = open_good("a");
        const struct tensor *x = safetensors_at(files, 0);
        assert_string_equal(x->dtype_text, dtypes[i].name);
        assert_int_equal(x->bytes, bytes);
        assert_int_equal(x->usable, !strcmp(x->dtype_text, "F32") || !strcmp(x->dtype_text, "BF16") || !strcmp(x->dtype_text, "F16"));
        safetensors_close(files);
    }
}

static void test_elements_smaller_than_a_byte(void **state)
{
    (void)state;
    write_file("a", "{\"x\":{\"dtype\":\"F4\",\"shape\":[6],\"data_offsets\":[0,3]}}", 3, 1);
    struct safetensors *files = open_good("a");
    unsigned char got[3];
    struct err err = {0};
    assert_int_equal(safetensors_read(files, safetensors_at(files, 0), 2, 4, got, &err), 0);
    assert_memory_equal(got, "\x02\x03", 2);
    assert_int_equal(safetensors_read(files, safetensors_at(files, 0), 1, 2, got, &err), ERR_DATA);
    expect_text(&err, "4 bits wide");
    safetensors_close(files);
}

static void test_names_are_decoded(void **state)
{
    (void)state;
    write_file("a", "{\"\\u0061\\u00e9\\ud83d\\ude00\\\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, 0);
    struct safetensors *files = open_good("a");
    assert_string_equal(safetensors_at(files, 0)->name, "a\xc3\xa9\xf0\x9f\x98\x80\"");
    safetensors_close(files);
}

static void test_shrunken_file(void **state)
{
    (void)state;
    write_file("a", "{\"x\":{\"dtype\":\"U8\",\"shape\":[64],\"data_offsets\":[0,64]}}", 64, 0);
    struct safetensors *files = open_good("a");
    assert_int_equal(truncate(path_of("a"), 100), 0);
    unsigned char got[64];
    struct err err = {0};
    assert_int_equal(safetensors_read(files, safetensors_at(files, 0), 0, 64, got, &err), ERR_IO);
    expect_text(&err, path_of("a"));
    expect_text(&err, "has become shorter");
    char hex[DIGEST_HEX];
    assert_int_equal(safetensors_digest(files, hex, &err), ERR_IO);
    safetensors_close(files);
}

/* ---- ill-formed files ---------------------------------------------------------------------------------------------------- */

static void test_ill_formed_lengths(void **state)
{
    (void)state;
    expect_bad("a", ERR_IO, "cannot open");
    expect_bad("", ERR_DATA, "not a regular file");
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    expect_bad("pipe", ERR_DATA, "not a regular file");
    write_bytes("a", "", 0);
    expect_bad("a", ERR_DATA, "has 0 bytes");
    write_bytes("a", "\2\0\0\0\0\0\0", 7);
    expect_bad("a", ERR_DATA, "has 7 bytes");
    write_bytes("a", "\x10\0\0\0\0\0\0\0{}", 10);
    expect_bad("a", ERR_DATA, "its header has 16 bytes, only 2 follow");
    write_bytes("a", "\x01\xe1\xf5\x05\0\0\0\0{}", 10);
    expect_bad("a", ERR_DATA, "header of 100000001 bytes");
    write_bytes("a", "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    expect_bad("a", ERR_DATA, "no safetensors file");
    write_bytes("a", "version https://git-lfs.github.com/spec/v1\n", 43);
    expect_bad("a", ERR_DATA, "Git LFS pointer");
    write_file("a", "", 0, 0);
    expect_bad("a", ERR_DATA, "'{' was expected at its byte 0");
}

#define X(fields) "{\"x\":{" fields "}}"
#define U8(shape, offsets) "\"dtype\":\"U8\",\"shape\":" shape ",\"data_offsets\":" offsets

static void test_ill_formed_headers(void **state)
{
    (void)state;
    static const struct { const char *header; size_t bytes; const char *reason; } cases[] = {
        /* grammar */
        {" {}", 0, "'{' was expected at its byte 0"},
        {"[]", 0, "'{' was expected at its byte 0"},
        {"{", 0, "'\"' was expected at its byte 1"},
        {"{\"x", 0, "'\"' was expected at its byte 3"},
        {"{\"x\\", 0, "'\"' was expected at its byte 4"},
        {"{\"x\"", 0, "':' was expected at its byte 4"},
        {"{\"x\":", 0, "'{' was expected at its byte 5"},
        {"{\"x\":1}", 0, "'{' was expected at its byte 5"},
        {"{\"x\":{}", 0, "lacks its dtype"},
        {"{} x", 0, "nothing but blanks was expected at its byte 3"},
        {"{}{}", 0, "nothing but blanks"},
        {"{\"__metadata__\":{},}", 0, "'\"' was expected at its byte 19"},
        {X(U8("[1]", "[0,1]")) "\x01", 1, "nothing but blanks"},
        {X(U8("[1,]", "[0,1]")), 1, "a whole number below 2^64"},
        {X(U8("[1", "[0,1]")), 1, "a whole number below 2^64"},
        {X(U8("1", "[0,1]")), 1, "'[' was expected"},
        /* names */
        {"{\"\":{" U8("[1]", "[0,1]") "}}", 1, "a tensor without a name"},
        {"{\"\xff\":{" U8("[1]", "[0,1]") "}}", 1, "invalid UTF-8"},
        {"{\"\\u0000\":{" U8("[1]", "[0,1]") "}}", 1, "\\u0000 is not accepted"},
        {"{\"a\nb\":{" U8("[1]", "[0,1]") "}}", 1, "control character"},
        {"{\"\\q\":{" U8("[1]", "[0,1]") "}}", 1, "unknown escape"},
        {"{\"x\":{" U8("[1]", "[0,1]") "},\"x\":{" U8("[1]", "[1,2]") "}}", 2, "two tensors named 'x'"},
        {"{\"x\":{" U8("[1]", "[0,1]") "},\"\\u0078\":{" U8("[1]", "[1,2]") "}}", 2, "two tensors named 'x'"},
        /* entries */
        {X("\"dtype\":\"U8\",\"shape\":[1]"), 1, "tensor 'x' in"},
        {X("\"dtype\":\"U8\",\"shape\":[1]"), 1, "lacks its data_offsets"},
        {X("\"dtype\":\"U8\",\"data_offsets\":[0,1]"), 1, "lacks its shape"},
        {X("\"shape\":[1],\"data_offsets\":[0,1]"), 1, "lacks its dtype"},
        {X(U8("[1]", "[0,1]") ",\"shape\":[1]"), 1, "has the key 'shape' twice"},
        {X(U8("[1]", "[0,1]") ",\"stride\":[1]"), 1, "has the unknown key 'stride'"},
        {X(U8("[1]", "[0]")), 1, "should have two data_offsets, it has 1"},
        {X(U8("[1]", "[]")), 1, "should have two data_offsets, it has 0"},
        {X(U8("[1]", "[0,1,1]")), 1, "more than 2 numbers"},
        {X(U8("[1,1,1,1,1,1,1,1,1]", "[0,1]")), 1, "more than 8 numbers"},
        {X("\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,1]"), 1, "unknown dtype 'Q4'"},
        {X("\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "unknown dtype 'f32'"},
        {X("\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]"), 4, "'\"' was expected"},
        /* numbers */
        {X(U8("[1.0]", "[0,1]")), 1, "without sign, fraction or exponent"},
        {X(U8("[1e0]", "[0,1]")), 1, "without sign, fraction or exponent"},
        {X(U8("[-1]", "[0,1]")), 1, "without sign, fraction or exponent"},
        {X(U8("[01]", "[0,1]")), 1, "without sign, fraction or exponent"},
        {X(U8("[null]", "[0,1]")), 1, "without sign, fraction or exponent"},
        {X(U8("[18446744073709551616,0]", "[0,0]")), 0, "a whole number below 2^64"},
        {X(U8("[184467440737095516150,0]", "[0,0]")), 0, "a whole number below 2^64"},
        /* sizes */
        {X(U8("[2]", "[0,1]")), 1, "needs 16 bits for its shape and dtype, but its data_offsets span 1 bytes"},
        {X(U8("[0]", "[0,1]")), 1, "needs 0 bits"},
        {X("\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]"), 1, "needs 12 bits"},
        {X(U8("[4294967296,4294967296]", "[0,0]")), 0, "does not fit 64 bits"},
        {X(U8("[4294967296,4294967296,0]", "[0,0]")), 0, "does not fit 64 bits"},
        {X(U8("[2305843009213693952]", "[0,0]")), 0, "does not fit 64 bits"},
        /* places */
        {X(U8("[1]", "[1,0]")), 1, "ends at byte 0, before its begin at 1"},
        {X(U8("[2]", "[0,2]")), 1, "cut short: tensor 'x' ends at byte 2 of the data, the file has 1"},
        {X(U8("[1]", "[18446744073709551614,18446744073709551615]")), 1, "cut short"},
        {X(U8("[1]", "[1,2]")), 2, "1 bytes of no tensor in front of 'x'"},
        {X(U8("[1]", "[0,1]")), 3, "has 2 bytes behind its last tensor"},
        {"{}", 5, "has 5 bytes behind its last tensor"},
        {"{\"x\":{" U8("[2]", "[0,2]") "},\"y\":{" U8("[2]", "[1,3]") "}}", 3, "tensor 'y' in"},
        {"{\"x\":{" U8("[2]", "[0,2]") "},\"y\":{" U8("[2]", "[1,3]") "}}", 3, "overlaps 'x'"},
        {"{\"x\":{" U8("[2]", "[0,2]") "},\"y\":{" U8("[2]", "[0,2]") "}}", 2, "overlaps"},
        {"{\"x\":{" U8("[2]", "[0,2]") "},\"y\":{" U8("[0]", "[1,1]") "}}", 2, "tensor 'y' in"},
        {"{\"y\":{" U8("[1]", "[2,3]") "},\"x\":{" U8("[1]", "[0,1]") "}}", 3, "1 bytes of no tensor in front of 'y'"},
        /* metadata */
        {"{\"__metadata__\":{\"a\":1}}", 0, "has a number as the metadata 'a'"},
        {"{\"__metadata__\":{\"a\":{\"b\":\"}\"}}}", 0, "has an object as the metadata 'a'"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, "key 'a' stands twice"},
        {"{\"__metadata__\":{\"a\":\"\xc0\x80\"}}", 0, "invalid UTF-8"},
        {"{\"__metadata__\":[]}", 0, "an object after \"__metadata__\" was expected"},
        {"{\"__metadata__\":{\"a\":\"1\"", 0, "'}' was expected"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "two '__metadata__'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("a", cases[i].header, cases[i].bytes, 0);
        expect_bad("a", ERR_DATA, cases[i].reason);
    }
}

static void test_long_names(void **state)
{
    (void)state;
    static const char rest[] = "\":{" U8("[1]", "[0,1]") "}}";
    char header[1024] = "{\"";
    memset(header + 2, 'n', 512);
    memcpy(header + 514, rest, sizeof rest);
    write_file("a", header, 1, 0);
    struct safetensors *files = open_good("a");
    assert_int_equal(strlen(safetensors_at(files, 0)->name), 512);
    safetensors_close(files);
    memset(header + 2, 'n', 513);
    memcpy(header + 515, rest, sizeof rest);
    write_file("a", header, 1, 0);
    expect_bad("a", ERR_DATA, "a name of 513 bytes in its header, more than the 512");
}

/* A header cut at any byte is refused, never accepted and never read past. */
static void test_cut_anywhere(void **state)
{
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"k\":\"\\u00e9\"},\"x\":{" U8("[2]", "[0,2]") "}}";
    for (size_t n = 0; n + 1 < sizeof header; n++) {
        char cut[sizeof header] = "";
        memcpy(cut, header, n);
        write_file("a", cut, 2, 0);
        struct safetensors *files;
        struct err err = {0};
        assert_int_equal(safetensors_open_file(&files, path_of("a"), &err), ERR_DATA);
        expect_text(&err, path_of("a"));
    }
}

/* ---- shards -------------------------------------------------------------------------------------------------------------- */

static void write_index(const char *text)
{
    write_bytes("model.safetensors.index.json", text, strlen(text));
}

static void write_two_shards(void)
{
    write_file("s1", "{\"a\":{" U8("[3]", "[0,3]") "},\"c\":{" U8("[1]", "[3,4]") "}}", 4, 10);
    write_file("s2", "{\"b\":{" U8("[2]", "[0,2]") "}}", 2, 20);
}

static void expect_bad_folder(int code, const char *first, const char *second)
{
    struct safetensors *files = (void *)folder;
    struct err err = {0};
    if (safetensors_open_folder(&files, folder, &err) != code)
        fail_msg("no error %d about '%s', but %d: %s", code, first, err.code, err.text);
    assert_null(files);
    expect_text(&err, first);
    expect_text(&err, second);
    assert_null(strchr(err.text, '\n'));
}

static void test_shards(void **state)
{
    (void)state;
    char one[DIGEST_HEX], two[DIGEST_HEX];
    struct err err = {0};
    struct safetensors *files;
    write_two_shards();
    write_index("{\"metadata\":{\"total_size\":6},\"weight_map\":{\"c\":\"s1\",\"b\":\"s2\",\"a\":\"s1\"}}");
    assert_int_equal(safetensors_open_folder(&files, folder, &err), 0);
    assert_string_equal(warning, "");
    assert_int_equal(safetensors_count(files), 3);
    const char *const names[] = {"a", "b", "c"}, *const shards[] = {"s1", "s2", "s1"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(safetensors_at(files, i)->name, names[i]);
        assert_string_equal(safetensors_path(files, safetensors_at(files, i)), path_of(shards[i]));
    }
    unsigned char got[2];
    assert_int_equal(safetensors_read(files, safetensors_find(files, "b"), 0, 2, got, &err), 0);
    assert_memory_equal(got, "\x14\x15", 2);
    assert_int_equal(safetensors_digest(files, two, &err), 0);
    safetensors_close(files);

    /* The same tensors in one file have the same digest; another byte, name or dtype has another. */
    static const char header[] = "{\"a\":{" U8("[3]", "[0,3]") "},\"c\":{" U8("[1]", "[3,4]") "},\"b\":{" U8("[2]", "[4,6]") "}}";
    char bytes[8 + sizeof header - 1 + 6] = {(char)(sizeof header - 1)};
    memcpy(bytes + 8, header, sizeof header - 1);
    memcpy(bytes + sizeof bytes - 6, "\x0a\x0b\x0c\x0d\x14\x15", 6);
    for (int change = 0; change < 4; change++) {
        char changed[sizeof bytes];
        memcpy(changed, bytes, sizeof bytes);
        char *first = changed + 8;
        if (change == 1)
            changed[sizeof bytes - 1]++;
        if (change == 2)
            first[2] = 'A';
        if (change == 3)
            memcpy(strstr(first, "U8"), "I8", 2);
        write_bytes("a", changed, sizeof bytes);
        files = open_good("a");
        assert_int_equal(safetensors_digest(files, one, &err), 0);
        assert_int_equal(strlen(one), 64);
        assert_int_equal(strcmp(one, two) == 0, change == 0);
        safetensors_close(files);
    }
}

static void test_digest_knows_shapes(void **state)
{
    (void)state;
    char hex[2][DIGEST_HEX];
    const char *const headers[] = {X(U8("[2,3]", "[0,6]")), X(U8("[3,2]", "[0,6]"))};
    struct err err = {0};
    for (int i = 0; i < 2; i++) {
        write_file("a", headers[i], 6, 0);
        struct safetensors *files = open_good("a");
        assert_int_equal(safetensors_digest(files, hex[i], &err), 0);
        safetensors_close(files);
    }
    assert_string_not_equal(hex[0], hex[1]);
}

/* Larger than the piece in which the digest reads. */
static void test_digest_of_much_data(void **state)
{
    (void)state;
    size_t n = (8u << 20) + 5;
    char header[100], hex[2][DIGEST_HEX];
    struct err err = {0};
    snprintf(header, sizeof header, X(U8("[%zu]", "[0,%zu]")), n, n);
    for (int i = 0; i < 2; i++) {
        write_file("a", header, n, 0);
        if (i) {
            FILE *file = fopen(path_of("a"), "r+b");
            assert_non_null(file);
            assert_int_equal(fseek(file, -1, SEEK_END), 0);
            assert_int_equal(fputc('!', file), '!');
            assert_int_equal(fclose(file), 0);
        }
        struct safetensors *files = open_good("a");
        assert_int_equal(safetensors_digest(files, hex[i], &err), 0);
        safetensors_close(files);
    }
    assert_string_not_equal(hex[0], hex[1]);
}

static void test_folder_with_one_file(void **state)
{
    (void)state;
    expect_bad_folder(ERR_IO, folder, "neither model.safetensors.index.json nor model.safetensors");
    write_file("model.safetensors", X(U8("[1]", "[0,1]")), 1, 0);
    struct safetensors *files;
    struct err err = {0};
    assert_int_equal(safetensors_open_folder(&files, folder, &err), 0);
    assert_string_equal(safetensors_path(files, safetensors_at(files, 0)), path_of("model.safetensors"));
    safetensors_close(files);
}

static void test_ill_formed_indexes(void **state)
{
    (void)state;
    static const char index[] = "model.safetensors.index.json";
    static const struct { const char *text, *reason; } cases[] = {
        {"{", "not valid JSON"},
        {"[]", "lacks its 'weight_map'"},
        {"{}", "lacks its 'weight_map'"},
        {"{\"weight_map\":[\"s1\"]}", "lacks its 'weight_map'"},
        {"{\"weight_map\":{}}", "lacks its 'weight_map'"},
        {"{\"weight_map\":{\"a\":1}}", "maps tensor 'a' to a number instead of the name of a shard"},
        {"{\"weight_map\":{\"a\":\"\"}}", "maps tensor 'a' to the shard ''"},
        {"{\"weight_map\":{\"a\":\"x/s1\"}}", "maps tensor 'a' to the shard 'x/s1'"},
        {"{\"weight_map\":{\"a\":\"x\\\\s1\"}}", "to the shard 'x\\s1'"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "to the shard '..'"},
        {"{\"weight_map\":{\"a\":\"s1\",\"a\":\"s2\"}}", "key 'a' stands twice"},
    };
    write_two_shards();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_index(cases[i].text);
        expect_bad_folder(ERR_DATA, index, cases[i].reason);
    }
}

static void test_shards_against_their_index(void **state)
{
    (void)state;
    static const char index[] = "model.safetensors.index.json";
    write_two_shards();

    write_index("{\"weight_map\":{\"a\":\"s1\",\"b\":\"s3\"}}");
    expect_bad_folder(ERR_IO, index, "s3' is missing");
    write_index("{\"weight_map\":{\"a\":\"s1\",\"b\":\"s1\"}}");
    expect_bad_folder(ERR_DATA, index, "s1', which does not have it");
    write_index("{\"weight_map\":{\"a\":\"s2\",\"b\":\"s1\"}}");
    expect_bad_folder(ERR_DATA, "maps tensor 'b' to", "but it is in");
    write_file("s3", "{\"b\":{" U8("[2]", "[0,2]") "}}", 2, 20);
    write_index("{\"weight_map\":{\"a\":\"s1\",\"b\":\"s2\",\"d\":\"s3\"}}");
    expect_bad_folder(ERR_DATA, "tensor 'b' is in both", "s3'");
    write_file("s3", "{\"b\"", 0, 0);
    expect_bad_folder(ERR_DATA, path_of("s3"), "':' was expected");
}

static void test_total_size_is_a_warning(void **state)
{
    (void)state;
    struct safetensors *files;
    struct err err = {0};
    write_two_shards();
    write_index("{\"metadata\":{\"total_size\":7},\"weight_map\":{\"a\":\"s1\",\"b\":\"s2\",\"c\":\"s1\"}}");
    assert_int_equal(safetensors_open_folder(&files, folder, &err), 0);
    assert_non_null(strstr(warning, "total_size of 7 bytes, its shards have 6"));
    safetensors_close(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_tensors, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_scalars_and_empty_tensors, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_misaligned_data, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_every_dtype, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_elements_smaller_than_a_byte, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_names_are_decoded, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_shrunken_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_ill_formed_lengths, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_ill_formed_headers, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_long_names, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_shards, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_digest_knows_shapes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_digest_of_much_data, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_folder_with_one_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_ill_formed_indexes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_shards_against_their_index, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_total_size_is_a_warning, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
