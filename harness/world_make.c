#include "harness/world_make.h"

#include "core/arena.h"
#include "core/digest.h"
#include "core/file.h"
#include "core/known.h"
#include "datasets/video_write.h"
#include "harness/cli.h"
#include "world/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUANTISER = 2, SECONDS_PER_KEY = 8, BLANK_SECONDS = 16, BLANK_LEVEL = 110, MOST_SUMS_BYTES = 64 << 20 };

static const struct video_form form = {WORLD_SIDE, WORLD_SIDE, WORLD_FPS, QUANTISER, SECONDS_PER_KEY * WORLD_FPS};

struct making {
    const char *videos; /* folder */
    char (*listed)[DIGEST_HEX]; /* [n + 1] digests of the videos that should be there, "" for none; the last is the grey one's */
    int n;
    pthread_mutex_t lock; /* guards all below */
    int next, sums; /* video to be looked at; file of digests, open at its end */
    struct world_made made;
    int rc;
    struct err err;
};

/* ---- one video ------------------------------------------------------------------------------------------------------------ */

static int number_of(const struct making *making, int k) /* of the world; -1: the grey one */
{
    return k < making->n ? k : -1;
}

static int encode_video(const char *path, int v, struct err *err)
{
    uint8_t rgb[WORLD_FRAME_BYTES];
    struct world_scene scene = {.n_frames = BLANK_SECONDS * WORLD_FPS};
    struct video_writer *writer;
    int rc = video_write_open(&writer, path, &form, err);
    if (rc)
        return rc;
    memset(rgb, BLANK_LEVEL, sizeof rgb);
    if (v >= 0)
        world_video_draw(&scene, v);
    for (int i = 0; i < scene.n_frames && !rc && !cli_stopped; i++) {
        if (v >= 0)
            world_frame_render(&scene, i, rgb, NULL);
        rc = video_write_frame(writer, rgb, err);
    }
    if (!rc && cli_stopped)
        rc = err_set(err, ERR_IO, "stopped; the same command goes on");
    struct err late = {0};
    int closed = video_write_close(writer, rc ? &late : err);
    return rc ? rc : closed;
}

static bool is_there(const char *path, const char *listed)
{
    char hex[DIGEST_HEX];
    struct err err = {0};
    return *listed && !access(path, R_OK) && !known_digest_of_file(path, hex, &err) && !strcmp(hex, listed);
}

static int list_video(struct making *making, const char *name, const char *hex, struct err *err)
{
    char line[DIGEST_HEX + WORLD_MOST_NAME + 16];
    int length = snprintf(line, sizeof line, "%s  %s.mp4\n", hex, name);
    pthread_mutex_lock(&making->lock);
    bool whole = write(making->sums, line, (size_t)length) == length;
    making->made.n_rendered += whole;
    pthread_mutex_unlock(&making->lock);
    return whole ? 0 : err_errno(err, "write to", "SHA256SUMS");
}

/* Under another name until it is whole. */
static int make_video(struct making *making, int k, struct err *err)
{
    char name[WORLD_MOST_NAME], hex[DIGEST_HEX], path[4096], part[4096];
    world_video_name(number_of(making, k), name);
    snprintf(path, sizeof path, "%s/%s.mp4", making->videos, name);
    snprintf(part, sizeof part, "%s/%s.%ld.part", making->videos, name, (long)getpid()); /* another process may be at the same video */
    if (is_there(path, making->listed[k])) {
        pthread_mutex_lock(&making->lock);
        making->made.n_kept++;
        pthread_mutex_unlock(&making->lock);
        return 0;
    }
    int rc = encode_video(part, number_of(making, k), err);
    if (!rc)
        rc = digest_of_file(part, hex, err);
    if (!rc && rename(part, path))
        rc = err_errno(err, "rename", part);
    if (rc)
        unlink(part);
    return rc ? rc : list_video(making, name, hex, err);
}

static void *work(void *context)
{
    struct making *making = context;
    for (;;) {
        struct err err = {0};
        pthread_mutex_lock(&making->lock);
        int k = making->rc || making->next > making->n ? -1 : making->next++;
        pthread_mutex_unlock(&making->lock);
        if (k < 0)
            return NULL;
        int rc = make_video(making, k, &err);
        pthread_mutex_lock(&making->lock);
        if (rc && !making->rc) {
            making->rc = rc;
            making->err = err;
        }
        pthread_mutex_unlock(&making->lock);
    }
}

/* ---- digests -------------------------------------------------------------------------------------------------------------- */

static const char sums_lead[] = "# " WORLD_NAME ", made with ";

/* Takes the lines of the list; later ones count. Lists of other libraries than these, and lines that are cut off, count as nothing. */
static bool read_sums(struct making *making, const char *path, const char *versions)
{
    char first[128], *rest = NULL, *text;
    struct err missing = {0};
    size_t length;
    if (file_load(&text, &length, path, MOST_SUMS_BYTES, &missing))
        return false;
    snprintf(first, sizeof first, "%s%s\n", sums_lead, versions);
    bool theirs = !strncmp(text, first, strlen(first));
    for (char *line = theirs ? strtok_r(text + strlen(first), "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        char name[WORLD_MOST_NAME];
        int v = -1, end = 0;
        bool numbered = strlen(line) > DIGEST_HEX && sscanf(line + DIGEST_HEX - 1, "  tw%5d.mp4%n", &v, &end) == 1 && end;
        int k = numbered ? v : making->n;
        world_video_name(numbered ? v : -1, name);
        if (k < 0 || k > making->n || strncmp(line + DIGEST_HEX + 1, name, strlen(name)))
            continue;
        snprintf(making->listed[k], DIGEST_HEX, "%s", line);
    }
    free(text);
    return theirs;
}

/* Whether every video is as the libraries made it that this program was built with. Where they are, those that are here need not be
 * opened, which takes longer than all else that a start does. */
static bool all_there(struct making *making, const char *sums)
{
    char versions[VIDEO_VERSIONS], name[WORLD_MOST_NAME], path[4096];
    video_write_versions_built(versions);
    bool there = read_sums(making, sums, versions);
    for (int k = 0; k <= making->n && there; k++) {
        world_video_name(number_of(making, k), name);
        snprintf(path, sizeof path, "%s/%s.mp4", making->videos, name);
        there = is_there(path, making->listed[k]);
    }
    if (there)
        making->made.n_kept = making->n + 1;
    memset(making->listed, 0, ((size_t)making->n + 1) * sizeof *making->listed);
    return there;
}

static int open_sums(struct making *making, const char *path, struct err *err)
{
    char versions[VIDEO_VERSIONS];
    int rc = video_write_versions(versions, err);
    if (!rc && !read_sums(making, path, versions)) {
        char first[128];
        int n = snprintf(first, sizeof first, "%s%s\n", sums_lead, versions);
        rc = file_save(path, first, (size_t)n, err);
    }
    if (rc)
        return rc;
    making->sums = open(path, O_WRONLY | O_APPEND);
    return making->sums < 0 ? err_errno(err, "open", path) : 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------ */

static int make_folder(const char *path, struct err *err)
{
    char partial[4096];
    for (size_t n = 1; path[n - 1]; n++)
        if (path[n] == '/' || !path[n]) {
            snprintf(partial, sizeof partial, "%.*s", (int)n, path);
            if (mkdir(partial, 0777) && errno != EEXIST)
                return err_errno(err, "make folder", partial);
        }
    return 0;
}

int world_folder(const char *cache, char *folder, size_t size, struct err *err)
{
    bool found = cache ? snprintf(folder, size, "%s/" WORLD_NAME, cache) < (int)size : file_cache_path(folder, size, WORLD_NAME);
    return found ? 0 : err_set(err, ERR_CONFIG, "%s; say where the tiny world goes with --cache FOLDER",
                               cache ? "the path of the cache is too long" : "there is neither XDG_CACHE_HOME nor HOME with a path that is short enough");
}

void world_manifest_path(const char *folder, const char *tier, const char *control, char *path, size_t size)
{
    snprintf(path, size, "%s/%s%s%s.json", folder, tier, *control ? "-" : "", control);
}

static bool holds(const char *path, const struct text *text)
{
    char *bytes = NULL;
    size_t length;
    struct err missing;
    bool same = !file_load(&bytes, &length, path, text->length, &missing) && length == text->length && !memcmp(bytes, text->bytes, length);
    free(bytes);
    return same;
}

/* *held: it is there already. */
static int make_manifest(const char *path, const struct world_tier *tier, enum world_control control, bool *held, struct err *err)
{
    struct text text = {0};
    int rc = world_manifest_write(&text, tier->n_videos, control, err);
    *held = !rc && holds(path, &text);
    if (!rc && !*held)
        rc = file_save(path, text.bytes, text.length, err);
    text_free(&text);
    return rc;
}

/* A manifest that this very program file has found to be what it writes need not be written again to find that. */
static int keep_manifest(const char *path, const struct world_tier *tier, enum world_control control, int program, struct err *err)
{
    char what[256], key[DIGEST_HEX], known[DIGEST_HEX];
    int files[] = {open(path, O_RDONLY | O_CLOEXEC), program}, rc = 0;
    snprintf(what, sizeof what, "manifest %s %d", tier->name, control);
    bool lasting = known_key(key, what, files, 2), held = lasting && known_find(key, known);
    if (!held) {
        rc = make_manifest(path, tier, control, &held, err);
        if (!rc && held && lasting)
            known_add(key, key, what, files, 2);
    }
    if (files[0] >= 0)
        close(files[0]);
    return rc;
}

static int make_manifests(const char *folder, const struct world_tier *tier, struct err *err)
{
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), rc = 0;
    for (int control = 0; control < N_CONTROLS && !rc; control++) {
        char path[4096];
        world_manifest_path(folder, tier->name, world_control_names[control], path, sizeof path);
        rc = keep_manifest(path, tier, (enum world_control)control, program, err);
    }
    if (program >= 0)
        close(program);
    return rc;
}

static int run_workers(struct making *making, int jobs, struct err *err)
{
    pthread_t *threads = calloc((size_t)jobs, sizeof *threads);
    int n = 0;
    while (threads && n < jobs && !pthread_create(&threads[n], NULL, work, making))
        n++;
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    if (!n)
        return err_no_memory(err, "threads that render");
    if (making->rc)
        *err = making->err;
    return making->rc;
}

int world_make(struct world_made *out, const char *folder, const struct world_tier *tier, int jobs, struct err *err)
{
    char videos[4000], sums[4096];
    snprintf(videos, sizeof videos, "%s/videos", folder);
    snprintf(sums, sizeof sums, "%s/SHA256SUMS", videos);
    struct making making = {.videos = videos, .n = tier->n_videos, .sums = -1, .lock = PTHREAD_MUTEX_INITIALIZER};
    making.listed = calloc((size_t)making.n + 1, sizeof *making.listed);
    int rc = making.listed ? make_folder(videos, err) : err_no_memory(err, "a list of videos");
    if (!rc)
        rc = make_manifests(folder, tier, err);
    if (!rc && !all_there(&making, sums) && !(rc = open_sums(&making, sums, err)))
        rc = run_workers(&making, jobs, err);
    if (making.sums >= 0)
        close(making.sums);
    free(making.listed);
    *out = making.made;
    return rc;
}
