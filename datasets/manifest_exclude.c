/* Exclusion: samples that a user leaves out on purpose. What is left is another manifest, with another digest, so that no number over it
 * can be taken for one over the whole. */
#include "datasets/manifest_build.h"

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_LIST = 16 << 20 };

struct exclusion {
    struct manifest *manifest;
    const char *path;
    struct names ids;   /* of the manifest, by place in it */
    bool *out;          /* [n_samples] */
    struct err *err;
};

static int exclude_id(struct exclusion *exclusion, const char *id)
{
    struct manifest *manifest = exclusion->manifest;
    const char *key = arena_strdup(&manifest->arena, id);
    size_t at;
    if (!key)
        return err_no_memory(exclusion->err, "an exclusion list");
    int rc = names_put(&exclusion->ids, key, manifest->n_samples, &at, exclusion->err);
    if (rc)
        return rc;
    if (at == manifest->n_samples)
        return err_set(exclusion->err, ERR_CONFIG, "'%s' excludes '%s', which is no sample of '%s'; 'toksweep check manifest' names some",
                       exclusion->path, id, manifest->path);
    exclusion->out[at] = true;
    return 0;
}

static int read_json(struct exclusion *exclusion, const char *bytes, size_t length)
{
    struct json *list;
    int rc = json_parse(&list, bytes, length, exclusion->path, exclusion->err);
    if (rc)
        return rc;
    for (const struct json *item = json_first(list); item && !rc; item = json_next(item)) {
        const struct json *id = json_type(item) == JSON_OBJECT ? json_get(item, "sample") : item;
        if (json_type(item) == JSON_OBJECT && (!id || json_type(id) == JSON_NULL || (json_string(id) && !*json_string(id))))
            continue;
        rc = json_string(id) ? exclude_id(exclusion, json_string(id))
                             : err_set(exclusion->err, ERR_DATA, "'%s' lists %s; expected ids, or objects whose 'sample' is one",
                                       exclusion->path, json_type_name(id));
    }
    json_free(list);
    return rc;
}

static int read_lines(struct exclusion *exclusion, char *bytes)
{
    int rc = 0;
    for (char *line = bytes, *next; line && *line && !rc; line = next) {
        size_t length = strcspn(line, "\n");
        next = line[length] ? line + length + 1 : NULL;
        const char *id = line;
        text_strip(&id, &length);
        ((char *)line)[(size_t)(id - line) + length] = 0;
        if (length && *id != '#')
            rc = exclude_id(exclusion, id);
    }
    return rc;
}

static int list_read(struct exclusion *exclusion)
{
    char *bytes;
    size_t length;
    int rc = file_load(&bytes, &length, exclusion->path, MOST_LIST, exclusion->err);
    if (rc)
        return rc;
    const char *text = bytes;
    size_t n = length;
    text_strip(&text, &n);
    if (!text_is_clean(bytes, length))
        rc = err_set(exclusion->err, ERR_DATA, "'%s': an exclusion list should be UTF-8 without NUL", exclusion->path);
    else
        rc = n && *text == '[' ? read_json(exclusion, bytes, length) : read_lines(exclusion, bytes);
    free(bytes);
    return rc;
}

/* What was left out is told by the ids, in the manifest's order, however the list had them. */
static int digest_change(const struct exclusion *exclusion)
{
    struct manifest *manifest = exclusion->manifest;
    struct digest *digest = digest_new();
    if (!digest)
        return err_no_memory(exclusion->err, "the digest of a manifest");
    digest_add_text(digest, manifest->digest);
    digest_add_text(digest, "exclude");
    for (size_t i = 0; i < manifest->n_samples; i++)
        if (exclusion->out[i])
            digest_add_text(digest, manifest->samples[i].id);
    digest_finish(digest, manifest->digest);
    return 0;
}

/* Closes the gaps: samples first, then videos, which samples name by their place. */
static int samples_remove(const struct exclusion *exclusion)
{
    struct manifest *manifest = exclusion->manifest;
    size_t n = 0, n_videos = 0, none = manifest->n_videos;
    size_t *moved = calloc(manifest->n_videos + 1, sizeof *moved);
    if (!moved)
        return err_no_memory(exclusion->err, "an exclusion list");
    for (size_t i = 0; i < manifest->n_samples; i++)
        if (!exclusion->out[i])
            manifest->samples[n++] = manifest->samples[i];
    manifest->n_excluded = manifest->n_samples - n;
    manifest->n_samples = n;
    for (size_t v = 0; v < manifest->n_videos; v++)
        moved[v] = none;
    for (size_t i = 0; i < n; i++)
        moved[manifest->samples[i].video] = 0;
    for (size_t v = 0; v < manifest->n_videos; v++)
        if (moved[v] != none) {
            manifest->videos[n_videos] = manifest->videos[v];
            moved[v] = n_videos++;
        }
    for (size_t i = 0; i < n; i++)
        manifest->samples[i].video = moved[manifest->samples[i].video];
    manifest->n_videos = n_videos;
    free(moved);
    return 0;
}

int manifest_exclude(struct manifest *manifest, const char *path, struct err *err)
{
    struct exclusion exclusion = {.manifest = manifest, .path = path, .err = err, .out = calloc(manifest->n_samples + 1, sizeof(bool))};
    int rc = exclusion.out ? 0 : err_no_memory(err, "an exclusion list");
    for (size_t i = 0, first; i < manifest->n_samples && !rc; i++)
        rc = names_put(&exclusion.ids, manifest->samples[i].id, i, &first, err);
    if (!rc)
        rc = list_read(&exclusion);
    if (!rc)
        rc = digest_change(&exclusion);
    if (!rc)
        rc = samples_remove(&exclusion);
    names_free(&exclusion.ids);
    free(exclusion.out);
    return rc;
}
