/* Tokenizer files: two layouts, one list of tokens, merges and added tokens. Whatever a file asks for that this tokenizer does not
 * do is an error: ids that differ a little from the original's would go unnoticed until the accuracy is looked at. */
#include "engine/tokenizer_load.h"

#include "core/json.h"
#include "engine/tokenizer_split.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 64 << 20, TREES = 3 };

struct source { /* what the lists in `parts` borrow from */
    struct arena arena;
    struct vocab_parts parts;
    struct json *trees[TREES];
    int n_trees;
    char *merges; /* merges.txt */
    struct err *err;
};

/* "<folder>/<name>", NULL when memory is out. */
static const char *path_in(struct source *source, const char *folder, const char *name)
{
    return arena_printf(&source->arena, "%s/%s", folder, name);
}

static int load_tree(struct source *source, const char *path, const struct json **out)
{
    struct json *tree;
    int rc = json_load(&tree, path, FILE_MOST, source->err);
    if (rc)
        return rc;
    source->trees[source->n_trees++] = tree;
    *out = tree;
    if (json_type(tree) != JSON_OBJECT)
        return err_set(source->err, ERR_DATA, "'%s' should be an object, it is %s", path, json_type_name(tree));
    return 0;
}

/* ---- tokens -------------------------------------------------------------------------------------------------------------- */

static int check_id(const struct source *source, const char *path, const char *text, const struct json *value, int32_t *id)
{
    int64_t wide;
    if (!*text)
        return err_set(source->err, ERR_DATA, "'%s' has a token without text", path);
    if (!json_integer(value, 0, TOKENIZER_MOST_IDS - 1, &wide))
        return err_set(source->err, ERR_DATA, "'%s' should give token '%.100s' an id, a whole number from 0 to %d", path, text,
                       TOKENIZER_MOST_IDS - 1);
    *id = (int32_t)wide;
    return 0;
}

static int tokens_from(struct source *source, const struct json *map, const char *path)
{
    struct vocab_parts *parts = &source->parts;
    parts->tokens_path = path;
    if (!map || json_type(map) != JSON_OBJECT)
        return err_set(source->err, ERR_DATA, "'%s' lacks its vocabulary, an object from tokens to ids", path);
    parts->tokens = arena_alloc(&source->arena, json_count(map), sizeof *parts->tokens);
    if (!parts->tokens)
        return err_no_memory(source->err, "a tokenizer");
    for (const struct json *entry = json_first(map); entry; entry = json_next(entry)) {
        struct vocab_token *token = &parts->tokens[parts->n_tokens++];
        token->text = json_key(entry);
        int rc = check_id(source, path, token->text, entry, &token->id);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- merges -------------------------------------------------------------------------------------------------------------- */

static int merge_add(struct source *source, const char *left, size_t left_length, const char *right, size_t right_length)
{
    struct vocab_parts *parts = &source->parts;
    if (!left_length || !right_length)
        return err_set(source->err, ERR_DATA, "merge %zu of '%s' should have two parts that are not empty", parts->n_merges + 1,
                       parts->merges_path);
    parts->merges[parts->n_merges++] = (struct vocab_merge){left, right, left_length, right_length};
    return 0;
}

/* "A B" */
static int merge_add_line(struct source *source, const char *line, size_t length)
{
    const char *blank = memchr(line, ' ', length);
    size_t left = blank ? (size_t)(blank - line) : length;
    size_t right = blank ? length - left - 1 : 0;
    if (right && memchr(blank + 1, ' ', right))
        return err_set(source->err, ERR_DATA, "merge %zu of '%s' should have two parts with one blank between them",
                       source->parts.n_merges + 1, source->parts.merges_path);
    return merge_add(source, line, left, right ? blank + 1 : line, right);
}

/* "A B" or ["A","B"], as the version of the serializer has it. */
static int merge_add_json(struct source *source, const struct json *entry)
{
    const char *line = json_string(entry);
    if (line)
        return merge_add_line(source, line, strlen(line));
    const struct json *left = json_type(entry) == JSON_ARRAY ? json_first(entry) : NULL;
    const struct json *right = left ? json_next(left) : NULL;
    if (!right || json_next(right) || !json_string(left) || !json_string(right))
        return err_set(source->err, ERR_DATA, "merge %zu of '%s' should be a string or a pair of strings", source->parts.n_merges + 1,
                       source->parts.merges_path);
    return merge_add(source, json_string(left), strlen(json_string(left)), json_string(right), strlen(json_string(right)));
}

static int merges_from(struct source *source, const struct json *list, const char *path)
{
    int rc = 0;
    source->parts.merges_path = path;
    if (!list || json_type(list) == JSON_NULL)
        return 0; /* none, which tokenizer_vocab_build() explains */
    if (json_type(list) != JSON_ARRAY)
        return err_set(source->err, ERR_DATA, "'%s' should have a list as model.merges, it has %s", path, json_type_name(list));
    source->parts.merges = arena_alloc(&source->arena, json_count(list), sizeof *source->parts.merges);
    if (!source->parts.merges)
        return err_no_memory(source->err, "a tokenizer");
    for (const struct json *entry = json_first(list); entry && !rc; entry = json_next(entry))
        rc = merge_add_json(source, entry);
    return rc;
}

/* The bytes of a file, malloc'ed. */
static int read_file(const char *path, char **out, size_t *length, struct err *err)
{
    enum { PIECE = 1 << 16 };
    struct text text = {0};
    char piece[PIECE];
    int rc = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return err_errno(err, "open", path);
    for (size_t n; !rc && (n = fread(piece, 1, PIECE, file)) > 0;) {
        text_add(&text, piece, n);
        if (text.length > FILE_MOST)
            rc = err_set(err, ERR_DATA, "'%s' has more than the %d bytes that are accepted for such a file", path, FILE_MOST);
    }
    if (!rc && ferror(file))
        rc = err_errno(err, "read", path);
    fclose(file);
    *length = text.length;
    *out = text_take(&text);
    return rc || *out ? rc : err_no_memory(err, path);
}

static int merges_from_file(struct source *source, const char *path)
{
    static const char version[] = "#version";
    size_t length, lines = 1;
    source->parts.merges_path = path;
    if (access(path, F_OK))
        return err_set(source->err, ERR_IO,
                       "'%s' is missing, without which text cannot be encoded; put the checkpoint's tokenizer.json, or its merges.txt, "
                       "into the folder",
                       path);
    int rc = read_file(path, &source->merges, &length, source->err);
    if (rc)
        return rc;
    const char *end = source->merges + length;
    for (const char *at = source->merges; at < end; at++)
        lines += *at == '\n';
    source->parts.merges = arena_alloc(&source->arena, lines, sizeof *source->parts.merges);
    if (!source->parts.merges)
        return err_no_memory(source->err, "a tokenizer");
    for (const char *line = source->merges, *next; line < end && !rc; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        next = next ? next : end;
        size_t n = (size_t)(next - line);
        n -= n && line[n - 1] == '\r';
        if (n && (n < sizeof version - 1 || memcmp(line, version, sizeof version - 1)))
            rc = merge_add_line(source, line, n);
    }
    return rc;
}

/* ---- added tokens -------------------------------------------------------------------------------------------------------- */

static int check_flags(const struct source *source, const struct json *entry, struct vocab_added *added)
{
    static const char *const unsupported[] = {"single_word", "lstrip", "rstrip"};
    const char *path = added->path;
    bool value;
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        int rc = json_get_bool(entry, unsupported[i], false, &value, path, source->err);
        if (rc)
            return rc;
        if (value)
            return err_set(source->err, ERR_DATA, "'%s' sets %s for the added token '%.100s', which this tokenizer does not do", path,
                           unsupported[i], added->text);
    }
    int rc = json_get_bool(entry, "special", false, &added->special, path, source->err);
    return rc ? rc : json_get_bool(entry, "normalized", !added->special, &added->normalized, path, source->err);
}

static int check_content(const struct source *source, const struct json *entry, struct vocab_added *added)
{
    if (json_type(entry) != JSON_OBJECT)
        return err_set(source->err, ERR_DATA, "'%s' should have objects as added tokens, it has %s", added->path, json_type_name(entry));
    int rc = json_get_string(entry, "content", "", &added->text, added->path, source->err);
    if (rc)
        return rc;
    return *added->text ? 0 : err_set(source->err, ERR_DATA, "'%s' has an added token without content", added->path);
}

/* Room for `more` added tokens. */
static int added_reserve(struct source *source, size_t more)
{
    struct vocab_parts *parts = &source->parts;
    struct vocab_added *grown = arena_alloc(&source->arena, parts->n_added + more, sizeof *grown);
    if (!grown)
        return err_no_memory(source->err, "a tokenizer");
    if (parts->n_added)
        memcpy(grown, parts->added, parts->n_added * sizeof *grown);
    parts->added = grown;
    return 0;
}

/* tokenizer.json's added_tokens: [{"id", "content", flags}, ...] */
static int added_from_list(struct source *source, const struct json *list, const char *path)
{
    if (!list || json_type(list) == JSON_NULL)
        return 0;
    if (json_type(list) != JSON_ARRAY)
        return err_set(source->err, ERR_DATA, "'%s' should have a list as added_tokens, it has %s", path, json_type_name(list));
    int rc = added_reserve(source, json_count(list));
    for (const struct json *entry = json_first(list); entry && !rc; entry = json_next(entry)) {
        struct vocab_added *added = &source->parts.added[source->parts.n_added];
        added->path = path;
        rc = check_content(source, entry, added);
        if (!rc)
            rc = check_id(source, path, added->text, json_get(entry, "id"), &added->id);
        if (!rc)
            rc = check_flags(source, entry, added);
        source->parts.n_added += !rc;
    }
    return rc;
}

/* tokenizer_config.json's added_tokens_decoder: {"<id>": {"content", flags}, ...} */
static int added_from_decoder(struct source *source, const struct json *map, const char *path)
{
    if (!map || json_type(map) != JSON_OBJECT)
        return 0;
    int rc = added_reserve(source, json_count(map));
    for (const struct json *entry = json_first(map); entry && !rc; entry = json_next(entry)) {
        struct vocab_added *added = &source->parts.added[source->parts.n_added];
        const char *key = json_key(entry);
        char *end;
        errno = 0;
        long id = strtol(key, &end, 10);
        if (*key < '0' || *key > '9' || *end || errno || id >= TOKENIZER_MOST_IDS)
            return err_set(source->err, ERR_DATA, "'%s' has '%.100s' as a key of added_tokens_decoder, where an id is expected", path, key);
        added->path = path;
        added->id = (int32_t)id;
        rc = check_content(source, entry, added);
        if (!rc)
            rc = check_flags(source, entry, added);
        source->parts.n_added += !rc;
    }
    return rc;
}

static const struct vocab_added *added_find(const struct source *source, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(source->parts.added[i].text, text))
            return &source->parts.added[i];
    return NULL;
}

/* added_tokens.json: {"<content>": id, ...}. It has no flags: they are the decoder's where it knows the token, else a special token's. */
static int added_from_map(struct source *source, const struct json *map, const char *path)
{
    size_t known = source->parts.n_added, more = json_count(map);
    if (more > TOKENIZER_MOST_ADDED)
        return err_set(source->err, ERR_DATA, "'%s' has %zu added tokens, more than the %d that are accepted", path, more,
                       TOKENIZER_MOST_ADDED);
    int rc = added_reserve(source, more);
    for (const struct json *entry = json_first(map); entry && !rc; entry = json_next(entry)) {
        struct vocab_added added = {.path = path, .text = json_key(entry), .special = true};
        rc = check_id(source, path, added.text, entry, &added.id);
        const struct vocab_added *same = rc ? NULL : added_find(source, added.text, known);
        if (same && same->id != added.id)
            rc = err_set(source->err, ERR_DATA, "'%s' gives token '%.100s' the id %d, but tokenizer_config.json gives it the id %d", path,
                         added.text, added.id, same->id);
        if (!rc && !same)
            source->parts.added[source->parts.n_added++] = added;
    }
    return rc;
}

/* ---- tokenizer.json ------------------------------------------------------------------------------------------------------ */

/* Absent, null, false, 0, "". */
static bool is_off(const struct json *value)
{
    if (!value || json_type(value) == JSON_NULL)
        return true;
    return json_type(value) == JSON_BOOL ? !json_bool(value)
           : json_type(value) == JSON_NUMBER ? json_number(value) == 0
           : json_type(value) == JSON_STRING && !*json_string(value);
}

static bool is_string(const struct json *value, const char *wanted)
{
    const char *string = json_string(value);
    return string && !strcmp(string, wanted);
}

static bool is_type(const struct json *step, const char *wanted)
{
    return is_string(json_get(step, "type"), wanted);
}

/* A split at the pattern, each match a piece, and then the byte alphabet without a pattern of its own. */
static bool is_qwen2_split(const struct json *pre)
{
    const struct json *list = json_get(pre, "pretokenizers");
    const struct json *split = is_type(pre, "Sequence") && list && json_type(list) == JSON_ARRAY ? json_first(list) : NULL;
    const struct json *bytes = split ? json_next(split) : NULL;
    return bytes && !json_next(bytes) && is_type(split, "Split") && is_type(bytes, "ByteLevel") &&
           is_string(json_get(json_get(split, "pattern"), "Regex"), tokenizer_split_pattern) &&
           is_string(json_get(split, "behavior"), "Isolated") && is_off(json_get(split, "invert")) &&
           is_off(json_get(bytes, "add_prefix_space")) && json_get(bytes, "use_regex") && is_off(json_get(bytes, "use_regex"));
}

/* That the file asks for what this tokenizer does. */
static int check_kind(const struct source *source, const struct json *tree, const struct json *model, const char *path)
{
    static const char *const off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"};
    const struct json *post = json_get(tree, "post_processor");
    const char *what = NULL;
    if (!model || (json_get(model, "type") && !is_type(model, "BPE")))
        what = "model is not a BPE";
    else if (!is_type(json_get(tree, "normalizer"), "NFC"))
        what = "normalizer is not NFC";
    else if (!is_qwen2_split(json_get(tree, "pre_tokenizer")))
        what = "pre_tokenizer is not a split at Qwen2's pattern followed by ByteLevel";
    else if (!is_type(json_get(tree, "decoder"), "ByteLevel"))
        what = "decoder is not ByteLevel";
    else if (!is_off(post) && !is_type(post, "ByteLevel"))
        what = "post_processor adds tokens";
    if (what)
        return err_set(source->err, ERR_DATA, "the tokenizer of '%s' is not Qwen2's, the only kind there is here: its %s", path, what);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (!is_off(json_get(model, off[i])))
            return err_set(source->err, ERR_DATA, "the tokenizer of '%s' is not Qwen2's, the only kind there is here: it sets model.%s",
                           path, off[i]);
    return 0;
}

static int load_single(struct source *source, const char *path)
{
    const struct json *tree;
    int rc = load_tree(source, path, &tree);
    if (rc)
        return rc;
    const struct json *model = json_get(tree, "model");
    rc = check_kind(source, tree, model, path);
    if (!rc)
        rc = tokens_from(source, json_get(model, "vocab"), path);
    if (!rc)
        rc = merges_from(source, json_get(model, "merges"), path);
    return rc ? rc : added_from_list(source, json_get(tree, "added_tokens"), path);
}

/* ---- vocab.json and its companions --------------------------------------------------------------------------------------- */

static int load_separate(struct source *source, const char *folder, const char *vocab_path)
{
    const struct json *tree;
    const char *merges = path_in(source, folder, "merges.txt"), *config = path_in(source, folder, "tokenizer_config.json");
    const char *added = path_in(source, folder, "added_tokens.json");
    if (!merges || !config || !added)
        return err_no_memory(source->err, "a tokenizer");
    int rc = load_tree(source, vocab_path, &tree);
    if (!rc)
        rc = tokens_from(source, tree, vocab_path);
    if (!rc)
        rc = merges_from_file(source, merges);
    if (!rc && !access(config, F_OK) && !(rc = load_tree(source, config, &tree)))
        rc = added_from_decoder(source, json_get(tree, "added_tokens_decoder"), config);
    if (!rc && !access(added, F_OK) && !(rc = load_tree(source, added, &tree)))
        rc = added_from_map(source, tree, added);
    return rc;
}

int tokenizer_load(struct vocab *vocab, const char *folder, struct err *err)
{
    struct source source = {.err = err};
    const char *single = path_in(&source, folder, "tokenizer.json"), *separate = path_in(&source, folder, "vocab.json");
    int rc;
    *vocab = (struct vocab){0};
    if (!single || !separate)
        rc = err_no_memory(err, "a tokenizer");
    else if (!access(single, F_OK))
        rc = load_single(&source, single);
    else if (!access(separate, F_OK))
        rc = load_separate(&source, folder, separate);
    else
        rc = err_set(err, ERR_IO, "'%s' has neither tokenizer.json nor vocab.json; put the checkpoint's tokenizer files into the folder",
                     folder);
    if (!rc)
        rc = tokenizer_vocab_build(vocab, &source.parts, err);
    for (int i = 0; i < source.n_trees; i++)
        json_free(source.trees[i]);
    free(source.merges);
    arena_free(&source.arena);
    return rc;
}
