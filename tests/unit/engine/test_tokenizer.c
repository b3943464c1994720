/* Tokenizer: equal to the reference on the recorded texts (tools/oracle/record_tokenizer.py) in both layouts, and the sentence for
 * each way in which the files of a tokenizer can be ill-formed or of another kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include "core/text.h"
#include "engine/tokenizer.h"
#include "engine/tokenizer_split.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIXTURE FIXTURES_DIR "/tokenizer"

static char folder[] = P_tmpdir "/toksweep-tokenizer-XXXXXX";
static const char *const names[] = {"tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json", "tokenizer_config.json"};

static int make_folder(void **state)
{
    (void)state;
    memcpy(strrchr(folder, '-'), "-XXXXXX", 7);
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
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        remove(path_of(names[i]));
    return rmdir(folder);
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static char *read_file(const char *path)
{
    struct text text = {0};
    char piece[4096];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        text_add(&text, piece, n);
    fclose(file);
    char *out = text_take(&text);
    assert_non_null(out);
    return out;
}

/* Copies a file of the fixture with the first `from` in it replaced by `to`. */
static void copy_file(const char *name, const char *from, const char *to)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", FIXTURE, name);
    char *text = read_file(path), *at = strstr(text, from);
    struct text out = {0};
    if (!at)
        fail_msg("'%s' is not in %s", from, path);
    text_add(&out, text, (size_t)(at - text));
    text_put(&out, to);
    text_put(&out, at + strlen(from));
    write_file(name, out.bytes);
    text_free(&out);
    free(text);
}

static void copy_separate_files(void)
{
    copy_file("vocab.json", "", "");
    copy_file("merges.txt", "", "");
    copy_file("added_tokens.json", "", "");
}

static struct tokenizer *open_good(const char *path)
{
    struct tokenizer *tokenizer = NULL;
    struct err err = {0};
    if (tokenizer_open(&tokenizer, path, &err))
        fail_msg("%s", err.text);
    return tokenizer;
}

static void expect_text(const struct err *err, const char *part)
{
    if (!strstr(err->text, part))
        fail_msg("'%s' is not in: %s", part, err->text);
}

static void expect_bad(int code, const char *place, const char *reason)
{
    struct tokenizer *tokenizer = (void *)folder;
    struct err err = {0};
    int rc = tokenizer_open(&tokenizer, folder, &err);
    if (rc != code)
        fail_msg("%d instead of %d for '%s': %s", rc, code, reason, err.text);
    assert_int_equal(err.code, code);
    assert_null(tokenizer);
    expect_text(&err, place);
    expect_text(&err, reason);
    assert_null(strchr(err.text, '\n'));
}

static size_t encode(const struct tokenizer *tokenizer, const char *text, size_t length, struct arena *arena, int32_t **ids)
{
    size_t n = 0;
    struct err err = {0};
    if (tokenizer_encode(tokenizer, text, length, arena, ids, &n, &err))
        fail_msg("%s", err.text);
    assert_non_null(*ids);
    return n;
}

static void expect_ids(const struct tokenizer *tokenizer, const char *text, size_t n, const int32_t *expected)
{
    struct arena arena = {0};
    int32_t *ids;
    size_t got = encode(tokenizer, text, strlen(text), &arena, &ids);
    if (got != n)
        fail_msg("%zu ids instead of %zu for '%s'", got, n, text);
    for (size_t i = 0; i < n; i++)
        if (ids[i] != expected[i])
            fail_msg("id %zu is %d instead of %d for '%s'", i, ids[i], expected[i], text);
    arena_free(&arena);
}

/* ---- the recorded texts -------------------------------------------------------------------------------------------------- */

static void check_ids(const struct tokenizer *tokenizer, const struct json *one)
{
    int32_t expected[1024];
    size_t n = 0;
    for (const struct json *id = json_first(json_get(one, "ids")); id; id = json_next(id)) {
        assert_true(n < 1024);
        expected[n++] = (int32_t)json_number(id);
    }
    expect_ids(tokenizer, json_string(json_get(one, "text")), n, expected);
    struct arena arena = {0};
    const char *decoded = tokenizer_decode(tokenizer, expected, n, &arena);
    assert_non_null(decoded);
    assert_string_equal(decoded, json_string(json_get(one, "decoded")));
    arena_free(&arena);
}

static void check_cases(const struct tokenizer *tokenizer)
{
    struct json *tree;
    struct err err = {0};
    size_t n = 0;
    assert_int_equal(json_load(&tree, FIXTURE "/cases.json", 1 << 20, &err), 0);
    for (const struct json *one = json_first(json_get(tree, "cases")); one; one = json_next(one), n++)
        check_ids(tokenizer, one);
    assert_true(n >= 300);
    json_free(tree);
}

static void test_reference_ids(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_good(FIXTURE); /* has both layouts: tokenizer.json goes first */
    assert_int_equal(tokenizer_size(tokenizer), 604);
    check_cases(tokenizer);
    tokenizer_close(tokenizer);
}

static void test_reference_ids_of_separate_files(void **state)
{
    (void)state;
    copy_separate_files();
    struct tokenizer *separate = open_good(folder), *single = open_good(FIXTURE);
    assert_int_equal(tokenizer_size(separate), 604);
    check_cases(separate);
    assert_int_equal(strlen(tokenizer_digest(separate)), 64);
    assert_string_equal(tokenizer_digest(separate), tokenizer_digest(single));
    tokenizer_close(separate);
    tokenizer_close(single);
}

static int take_piece(void *context, const char *piece, size_t length, struct err *err)
{
    const struct json **next = context;
    (void)err;
    assert_non_null(*next);
    const char *expected = json_string(*next);
    if (strlen(expected) != length || memcmp(expected, piece, length))
        fail_msg("piece '%.*s' instead of '%s'", (int)length, piece, expected);
    *next = json_next(*next);
    return 0;
}

static void test_reference_pieces(void **state)
{
    (void)state;
    struct json *tree;
    struct splitter *splitter;
    struct err err = {0};
    size_t n = 0;
    assert_int_equal(tokenizer_splitter_new(&splitter, &err), 0);
    assert_int_equal(json_load(&tree, FIXTURE "/cases.json", 1 << 20, &err), 0);
    for (const struct json *one = json_first(json_get(tree, "cases")); one; one = json_next(one)) {
        const struct json *next = json_first(json_get(one, "pieces"));
        const char *text = json_string(json_get(one, "text"));
        struct text nfc = {0};
        if (!next)
            continue;
        tokenizer_add_nfc(&nfc, text, strlen(text));
        assert_int_equal(tokenizer_split(splitter, nfc.bytes, nfc.length, take_piece, &next, &err), 0);
        assert_null(next);
        text_free(&nfc);
        n++;
    }
    assert_true(n >= 250);
    json_free(tree);
    tokenizer_splitter_free(splitter);
}

/* ---- encoding and decoding ----------------------------------------------------------------------------------------------- */

static void test_edges_of_text(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_good(FIXTURE);
    struct arena arena = {0};
    int32_t *ids, *repaired;
    assert_int_equal(encode(tokenizer, "", 0, &arena, &ids), 0);
    assert_string_equal(tokenizer_decode(tokenizer, NULL, 0, &arena), "");

    size_t n = encode(tokenizer, "a\xff\xe7\x8c b", 6, &arena, &ids);
    assert_int_equal(encode(tokenizer, "a\xef\xbf\xbd\xef\xbf\xbd b", 9, &arena, &repaired), n);
    assert_memory_equal(ids, repaired, n * sizeof *ids);

    /* A NUL is a character like others on the way in, and cannot end the text on the way out. */
    n = encode(tokenizer, "a\0b", 3, &arena, &ids);
    assert_int_equal(n, 3);
    assert_string_equal(tokenizer_decode(tokenizer, ids, n, &arena), "a\xef\xbf\xbd" "b");

    /* Half a character, ids that do not exist, special tokens. */
    n = encode(tokenizer, "\xf0\x9f\x90\x88", 4, &arena, &ids);
    assert_true(n >= 2);
    assert_non_null(strstr(tokenizer_decode(tokenizer, ids, n - 1, &arena), "\xef\xbf\xbd"));
    assert_string_equal(tokenizer_decode(tokenizer, ids, n, &arena), "\xf0\x9f\x90\x88");
    assert_string_equal(tokenizer_decode(tokenizer, (const int32_t[]){-1, 604, INT32_MAX, INT32_MIN, 602}, 5, &arena), "");
    arena_free(&arena);
    tokenizer_close(tokenizer);
}

static void test_added_tokens(void **state)
{
    (void)state;
    struct tokenizer *tokenizer = open_good(FIXTURE);
    assert_int_equal(tokenizer_added(tokenizer, "<|endoftext|>"), 600);
    assert_int_equal(tokenizer_added(tokenizer, "<|im_start|>"), 601);
    assert_int_equal(tokenizer_added(tokenizer, "<|im_end|>"), 602);
    assert_int_equal(tokenizer_added(tokenizer, "<image>"), 603);
    assert_int_equal(tokenizer_added(tokenizer, "<video>"), -1);
    assert_int_equal(tokenizer_added(tokenizer, "the"), -1);
    tokenizer_close(tokenizer);
}

static void expect_decoded(const struct tokenizer *tokenizer, const char *text, const char *decoded)
{
    struct arena arena = {0};
    int32_t *ids;
    size_t n = encode(tokenizer, text, strlen(text), &arena, &ids);
    assert_string_equal(tokenizer_decode(tokenizer, ids, n, &arena), decoded);
    arena_free(&arena);
}

/* Ids and texts of these two were read off the reference, as those in cases.json were. */
static void test_longest_added_token(void **state)
{
    (void)state;
    copy_separate_files();
    write_file("added_tokens.json", "{\"<|im\":600,\"<|im_start|>\":601,\"<|im_\":602,\"\\u00e9\\u00ef\":603}");
    write_file("tokenizer_config.json", "{\"added_tokens_decoder\":{\"600\":{\"content\":\"<|im\",\"special\":false,\"normalized\":false},"
                                        "\"603\":{\"content\":\"\\u00e9\\u00ef\",\"special\":false,\"normalized\":false}}}");
    struct tokenizer *tokenizer = open_good(folder);
    expect_ids(tokenizer, "<|im<|im_start|><|im_<|im_start|", 9, (const int32_t[]){600, 601, 602, 602, 280, 64, 81, 83, 91});
    expect_decoded(tokenizer, "<|im<|im_start|><|im_<|im_start|", "<|imstart|");
    expect_ids(tokenizer, "<|i<|im", 4, (const int32_t[]){27, 91, 72, 600});
    /* Added tokens go through the byte alphabet too, which makes two lone bytes of these characters. */
    expect_ids(tokenizer, "x<|im\xc3\xa9\xc3\xafy", 4, (const int32_t[]){87, 600, 603, 88});
    expect_decoded(tokenizer, "x<|im\xc3\xa9\xc3\xafy", "x<|im\xef\xbf\xbd\xef\xbf\xbdy");
    tokenizer_close(tokenizer);
}

static void test_normalized_added_tokens(void **state)
{
    (void)state;
    copy_separate_files();
    write_file("added_tokens.json", "{}");
    write_file("tokenizer_config.json", "{\"added_tokens_decoder\":{\"600\":{\"content\":\"<image>\",\"normalized\":true},"
                                        "\"601\":{\"content\":\"<im\",\"special\":true},"
                                        "\"602\":{\"content\":\"\\u00e9!\",\"special\":true,\"normalized\":true},"
                                        "\"603\":{\"content\":\"\\u65e5\\u672c\"}}}");
    struct tokenizer *tokenizer = open_good(folder);
    expect_ids(tokenizer, "<image>", 5, (const int32_t[]){601, 64, 70, 68, 29}); /* those found in the raw text go first */
    expect_ids(tokenizer, "<image>\xcc\xb8", 7, (const int32_t[]){601, 64, 70, 68, 158, 231, 107});
    expect_ids(tokenizer, "e\xcc\x81!x", 2, (const int32_t[]){602, 87});
    expect_ids(tokenizer, "\xe6\x97\xa5\xe6\x9c\xac\xe4\xba\xba", 2, (const int32_t[]){603, 390});
    expect_decoded(tokenizer, "\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac");
    tokenizer_close(tokenizer);
}

static void *check_cases_in_thread(void *tokenizer)
{
    check_cases(tokenizer);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct tokenizer *tokenizer = open_good(FIXTURE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_cases_in_thread, tokenizer), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    tokenizer_close(tokenizer);
}

static double seconds(clock_t start)
{
    return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* One word of 4 MB, of one letter and of many: quadratic time would be hours. */
static void test_long_words(void **state)
{
    (void)state;
    enum { LENGTH = 4 << 20 };
    struct tokenizer *tokenizer = open_good(FIXTURE);
    char *text = malloc(LENGTH + 1);
    assert_non_null(text);
    for (int kind = 0; kind < 2; kind++) {
        struct arena arena = {0};
        int32_t *ids;
        uint32_t random = 1;
        for (size_t i = 0; i < LENGTH; i++) {
            random = random * 1664525u + 1013904223u;
            text[i] = kind ? "etaoinshrdlu"[(random >> 16) % 12] : 'a';
        }
        text[LENGTH] = 0;
        clock_t start = clock();
        size_t n = encode(tokenizer, text, LENGTH, &arena, &ids);
        assert_true(seconds(start) < 60);
        const char *decoded = tokenizer_decode(tokenizer, ids, n, &arena);
        assert_non_null(decoded);
        assert_memory_equal(decoded, text, LENGTH + 1);
        arena_free(&arena);
    }
    free(text);
    tokenizer_close(tokenizer);
}

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static void test_merges_as_strings(void **state)
{
    (void)state;
    struct tokenizer *pairs = open_good(FIXTURE);
    copy_file("tokenizer.json", "[\n        \"\xc3\xa3\",\n        \"\xc4\xa3\"\n      ]", "\"\xc3\xa3 \xc4\xa3\"");
    struct tokenizer *strings = open_good(folder);
    check_cases(strings);
    assert_string_equal(tokenizer_digest(strings), tokenizer_digest(pairs));
    tokenizer_close(strings);
    tokenizer_close(pairs);
}

/* What changes ids or text changes the digest. */
static void test_digest(void **state)
{
    (void)state;
    static const struct { const char *file, *from, *to; } changes[] = {
        {"merges.txt", "h e\n\xc4\xa0 t\n", "\xc4\xa0 t\nh e\n"},
        {"merges.txt", "h e\n", ""},
        {"vocab.json", "\"!\":0,\"\\\"\":1", "\"!\":1,\"\\\"\":0"},
        {"added_tokens.json", "603", "604"},
        {"added_tokens.json", "<image>", "<Image>"},
        {"added_tokens.json", ",\n  \"<image>\": 603", ""},
    };
    struct tokenizer *plain = open_good(FIXTURE), *changed;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        copy_separate_files();
        copy_file(changes[i].file, changes[i].from, changes[i].to);
        changed = open_good(folder);
        if (!strcmp(tokenizer_digest(plain), tokenizer_digest(changed)))
            fail_msg("the digest does not see change %zu", i);
        tokenizer_close(changed);
    }
    copy_separate_files();
    write_file("tokenizer_config.json",
               "{\"added_tokens_decoder\":{\"603\":{\"content\":\"<image>\",\"special\":false,\"normalized\":false}}}");
    changed = open_good(folder);
    assert_string_not_equal(tokenizer_digest(plain), tokenizer_digest(changed));
    tokenizer_close(changed);
    tokenizer_close(plain);
}

static void test_missing_files(void **state)
{
    (void)state;
    expect_bad(ERR_IO, folder, "neither tokenizer.json nor vocab.json; put the checkpoint's tokenizer files");
    copy_file("vocab.json", "", "");
    expect_bad(ERR_IO, path_of("merges.txt"), "is missing, without which text cannot be encoded; put the checkpoint's tokenizer.json");
    copy_file("merges.txt", "", "");
    struct tokenizer *tokenizer = open_good(folder); /* added tokens are optional here */
    assert_int_equal(tokenizer_size(tokenizer), 600);
    assert_int_equal(tokenizer_added(tokenizer, "<image>"), -1);
    tokenizer_close(tokenizer);
}

static void test_tokenizers_of_other_kinds(void **state)
{
    (void)state;
    static const struct { const char *from, *to, *reason; } cases[] = {
        {"\"type\": \"BPE\"", "\"type\": \"WordLevel\"", "its model is not a BPE"},
        {"\"model\": {", "\"nomodel\": {", "its model is not a BPE"},
        {"\"type\": \"NFC\"", "\"type\": \"NFKC\"", "its normalizer is not NFC"},
        {"\"normalizer\"", "\"nonormalizer\"", "its normalizer is not NFC"},
        {"\\\\p{N}|", "\\\\p{N}{1,3}|", "its pre_tokenizer is not a split at Qwen2's pattern"},
        {"\"Isolated\"", "\"Removed\"", "its pre_tokenizer is not"},
        {"\"invert\": false", "\"invert\": true", "its pre_tokenizer is not"},
        {"\"add_prefix_space\": false", "\"add_prefix_space\": true", "its pre_tokenizer is not"},
        {"\"use_regex\": false", "\"use_regex\": true", "its pre_tokenizer is not"},
        {"\"use_regex\": false", "\"x\": 0", "its pre_tokenizer is not"},
        {"\"type\": \"Split\"", "\"type\": \"Punctuation\"", "its pre_tokenizer is not"},
        {"\"decoder\": {\n    \"type\": \"ByteLevel\"", "\"decoder\": {\n    \"type\": \"WordPiece\"", "its decoder is not ByteLevel"},
        {"\"post_processor\": {\n    \"type\": \"ByteLevel\"", "\"post_processor\": {\n    \"type\": \"TemplateProcessing\"",
         "its post_processor adds tokens"},
        {"\"dropout\": null", "\"dropout\": 0.1", "it sets model.dropout"},
        {"\"continuing_subword_prefix\": null", "\"continuing_subword_prefix\": \"##\"", "it sets model.continuing_subword_prefix"},
        {"\"end_of_word_suffix\": null", "\"end_of_word_suffix\": \"</w>\"", "it sets model.end_of_word_suffix"},
        {"\"byte_fallback\": false", "\"byte_fallback\": true", "it sets model.byte_fallback"},
        {"\"ignore_merges\": false", "\"ignore_merges\": true", "it sets model.ignore_merges"},
        {"\"lstrip\": false", "\"lstrip\": true", "sets lstrip for the added token '<|endoftext|>'"},
        {"\"rstrip\": false", "\"rstrip\": true", "sets rstrip for the added token '<|endoftext|>'"},
        {"\"single_word\": false", "\"single_word\": true", "sets single_word for the added token '<|endoftext|>'"},
        {"\"normalized\": false", "\"normalized\": 0", "'normalized' should be true or false"},
        {"\"content\": \"<|im_end|>\"", "\"content\": 7", "'content' should be a string"},
        {"\"content\": \"<|im_end|>\"", "\"content\": \"\"", "an added token without content"},
        {"\"content\": \"<|im_end|>\"", "\"content\": \"<image>\"", "gives token '<image>' the id 603, but it already has the id 602"},
        {"\"id\": 602", "\"id\": 601", "gives the id 601 to '<|im_end|>', but '<|im_start|>' has it already"},
        {"\"id\": 602", "\"id\": 5", "gives the id 5 to '<|im_end|>', but '&' has it already"},
        {"\"id\": 602", "\"id\": -1", "should give token '<|im_end|>' an id, a whole number from 0 to 4194303"},
        {"\"id\": 602", "\"id\": 602.5", "should give token '<|im_end|>' an id"},
        {"\"id\": 602", "\"id\": 4194304", "should give token '<|im_end|>' an id"},
        {"\"special\": true\n    },\n", "\"special\": true},7,\n", "should have objects as added tokens, it has a number"},
        {"\"added_tokens\": [", "\"added_tokens\": 7, \"x\": [", "should have a list as added_tokens, it has a number"},
        {"\"vocab\": {", "\"vocab\": 7, \"x\": {", "lacks its vocabulary"},
        {"\"!\": 0", "\"!\": \"0\"", "should give token '!' an id"},
        {"\"!\": 0", "\"\": 0", "a token without text"},
        {"\"!\": 0", "\"!\": 1", "gives the id 1 to '\"', but '!' has it already"},
        {"\"!\": 0", "\"!!\": 0", "has no token for the byte 0x21"},
        {"\"\xc5\x83\": ", "\"\xc5\x84\": ", "has no token for the byte 0xad"},
        {"\"!\": 0,", "\"!\": 0, \"!\": 0,", "key '!' stands twice"},
        {"\"merges\": [", "\"merges\": [], \"x\": [", "has no merges, without which text cannot be encoded; put the checkpoint's"},
        {"\"merges\": [", "\"x\": [", "has no merges, without which"},
        {"\"merges\": [", "\"merges\": {}, \"x\": [", "should have a list as model.merges, it has an object"},
        {"\"merges\": [", "\"merges\": [7,", "merge 1 of "},
        {"\"merges\": [", "\"merges\": [[\"a\"],", "should be a string or a pair of strings"},
        {"\"merges\": [", "\"merges\": [[\"a\",\"b\",\"c\"],", "should be a string or a pair of strings"},
        {"\"merges\": [", "\"merges\": [[\"a\",1],", "should be a string or a pair of strings"},
        {"\"merges\": [", "\"merges\": [\"ab\",", "should have two parts that are not empty"},
        {"\"merges\": [", "\"merges\": [\" b\",", "should have two parts that are not empty"},
        {"\"merges\": [", "\"merges\": [\"b \",", "should have two parts that are not empty"},
        {"\"merges\": [", "\"merges\": [\"a b c\",", "should have two parts with one blank between them"},
        {"\"merges\": [", "\"merges\": [\"q q\",", "'q' and 'q', needs the token that it makes, which is not in the vocabulary"},
        {"\"merges\": [", "\"merges\": [[\"xyz\",\"q\"],", "'xyz' and 'q', needs its first part, which is not in the vocabulary"},
        {"\"merges\": [", "\"merges\": [[\"q\",\"xyz\"],", "'q' and 'xyz', needs its second part, which is not in the vocabulary"},
        {"\"merges\": [", "\"merges\": [\"h e\",", "has the merge of 'h' and 'e' twice"},
        {"{", "[", "not valid JSON"},
        {"\"version\": \"1.0\"", "\"version\": \"\xff\"", "invalid UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_file("tokenizer.json", cases[i].from, cases[i].to);
        expect_bad(ERR_DATA, path_of("tokenizer.json"), cases[i].reason);
    }
    write_file("tokenizer.json", "[]");
    expect_bad(ERR_DATA, path_of("tokenizer.json"), "should be an object, it is a list");
}

static void test_ill_formed_separate_files(void **state)
{
    (void)state;
    static const struct { const char *file, *text, *reason; } cases[] = {
        {"vocab.json", "[]", "should be an object, it is a list"},
        {"vocab.json", "{\"a\":null}", "should give token 'a' an id"},
        {"vocab.json", "{}", "has no token for the byte 0x00"},
        {"merges.txt", "", "has no merges, without which"},
        {"merges.txt", "#version: 0.2\n", "has no merges, without which"},
        {"merges.txt", "#version: 0.2\nh e\nh\n", "merge 2 of "},
        {"merges.txt", "h e x\n", "should have two parts with one blank"},
        {"merges.txt", "h e\nh e\n", "has the merge of 'h' and 'e' twice"},
        {"added_tokens.json", "[]", "should be an object"},
        {"added_tokens.json", "{\"<image>\":\"603\"}", "should give token '<image>' an id"},
        {"added_tokens.json", "{\"<image>\":600,\"<video>\":600}", "gives the id 600 to '<video>', but '<image>' has it already"},
        {"tokenizer_config.json", "{", "not valid JSON"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{}}}", "'x' as a key of added_tokens_decoder, where an id is expected"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"-1\":{}}}", "'-1' as a key of added_tokens_decoder"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"99999999999999999999\":{}}}", "as a key of added_tokens_decoder"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"600\":{}}}", "an added token without content"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"600\":{\"content\":\"x\",\"rstrip\":true}}}", "sets rstrip"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"700\":{\"content\":\"a\"}}}", "gives token 'a' the id 700"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"700\":{\"content\":\"e\\u0301\"}}}", "'normalized' but not in NFC"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"700\":{\"content\":\"x y\"},\"0700\":{\"content\":\"x y\"}}}",
         "has the added token 'x y' twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_separate_files();
        remove(path_of("tokenizer_config.json"));
        write_file(cases[i].file, cases[i].text);
        expect_bad(ERR_DATA, path_of(cases[i].file), cases[i].reason);
    }
    copy_separate_files();
    write_file("tokenizer_config.json", "{\"added_tokens_decoder\":{\"700\":{\"content\":\"<image>\"}}}");
    expect_bad(ERR_DATA, path_of("added_tokens.json"), "gives token '<image>' the id 603, but tokenizer_config.json gives it the id 700");
}

/* Line ends of another system, a file without a last one, and no version line are all fine. */
static void test_merges_text(void **state)
{
    (void)state;
    char *merges = read_file(FIXTURE "/merges.txt");
    struct text crlf = {0};
    for (const char *at = strchr(merges, '\n') + 1; *at; at++)
        text_put(&crlf, *at == '\n' ? at[1] ? "\r\n" : "" : (const char[]){*at, 0});
    copy_separate_files();
    struct tokenizer *plain = open_good(folder);
    write_file("merges.txt", crlf.bytes);
    struct tokenizer *other = open_good(folder);
    assert_string_equal(tokenizer_digest(plain), tokenizer_digest(other));
    tokenizer_close(plain);
    tokenizer_close(other);
    text_free(&crlf);
    free(merges);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reference_ids, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_reference_ids_of_separate_files, make_folder, remove_folder),
        cmocka_unit_test(test_reference_pieces),
        cmocka_unit_test(test_edges_of_text),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test_setup_teardown(test_longest_added_token, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_normalized_added_tokens, make_folder, remove_folder),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test_setup_teardown(test_merges_as_strings, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_digest, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_missing_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_tokenizers_of_other_kinds, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_ill_formed_separate_files, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_merges_text, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
