/* The Hub over HTTP: lists and downloads. Paths and names come from a server, so none is used before it was looked at. */
#include "datasets/http_hub.h"

#include "core/curl.h"
#include "core/file.h"
#include "core/hub.h"
#include "core/json.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MOST_LIST = 64 << 20,     /* bytes of a list of files */
    MOST_FILES = 1000000,
    MOST_SHARDS = 16 << 20,   /* bytes of an index of shards */
    EMPTY_ATTEMPTS = 5,       /* in a row that bring nothing */
    LONGEST_BACKOFF_S = 60,
    SILENCE_S = 60,           /* after which a connection counts as cut */
};

/* ---- names --------------------------------------------------------------------------------------------------------------------- */

static bool is_hex(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

/* Percent-encodes all but what a path has (RFC 3986); with `whole`, slashes too. */
static void put_encoded(struct text *url, const char *path, bool whole)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *path; path++)
        text_printf(url, strchr(plain, *path) || (*path == '/' && !whole) ? "%c" : "%%%02X", (unsigned char)*path);
}

/* ---- one request --------------------------------------------------------------------------------------------------------------- */

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    const struct hub_remote *remote;
    struct text *text;        /* a body that is kept in memory; NULL: it goes to `fd` */
    int fd;
    int64_t have, most;       /* bytes of the file that are there, and that it may have */
    bool began, too_long, failed;
    long status;
};

/* The first bytes of a file: a server that knows ranges goes on where the file ends, another starts again. */
static bool begin_file(struct transfer *transfer)
{
    transfer->began = true;
    curl.curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &transfer->status);
    if (transfer->status == 200 && transfer->have) {
        transfer->have = 0;
        return ftruncate(transfer->fd, 0) == 0 && lseek(transfer->fd, 0, SEEK_SET) == 0;
    }
    return true;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t n = size * count;
    if (transfer->text) {
        text_add(transfer->text, bytes, n);
        transfer->too_long = transfer->text->length > MOST_LIST;
        return transfer->too_long || transfer->text->failed ? 0 : n;
    }
    if (!transfer->began && !begin_file(transfer))
        return 0;
    if (transfer->status != 200 && transfer->status != 206)
        return n; /* what an error says is not the file */
    transfer->too_long = transfer->have + (int64_t)n > transfer->most;
    if (transfer->too_long)
        return 0;
    for (size_t done = 0; done < n;) {
        ssize_t written = write(transfer->fd, bytes + done, n - done);
        if (written < 0 && errno != EINTR) {
            transfer->failed = true;
            return 0;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    transfer->have += (int64_t)n;
    if (transfer->remote->progress)
        transfer->remote->progress((int64_t)n, transfer->remote->context);
    return n;
}

static int look_for_stop(void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    const struct transfer *transfer = context;
    (void)total, (void)now, (void)up_total, (void)up_now;
    return atomic_load(transfer->remote->stop);
}

/* libcurl leaves the Authorization header out where a redirection leads to another host. */
static int transfer_begin(struct transfer *transfer, const char *url, struct err *err)
{
    transfer->easy = curl.curl_easy_init();
    if (!transfer->easy)
        return err_no_memory(err, "a download");
    if (transfer->remote->token) {
        struct text line = {0};
        text_printf(&line, "Authorization: Bearer %s", transfer->remote->token);
        transfer->headers = line.failed ? NULL : curl.curl_slist_append(NULL, line.bytes);
        text_free(&line);
        if (!transfer->headers)
            return err_no_memory(err, "a download");
    }
    CURL *easy = transfer->easy;
    curl.curl_easy_setopt(easy, CURLOPT_URL, url);
    curl.curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl.curl_easy_setopt(easy, CURLOPT_USERAGENT, "toksweep");
    curl.curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 5L);
    curl.curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, strncmp(url, "https:", 6) ? "http,https" : "https");
    curl.curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 20L);
    curl.curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    curl.curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl.curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl.curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, look_for_stop);
    curl.curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
    curl.curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)transfer->have);
    if (!transfer->text && transfer->have) /* not CURLOPT_RESUME_FROM, which gives up on servers without ranges */
        curl.curl_easy_setopt(easy, CURLOPT_RANGE, range);
    return 0;
}

/* Sends the request; *code is libcurl's, and transfer->status the server's. */
static int transfer_run(struct transfer *transfer, const char *url, CURLcode *code, struct err *err)
{
    int rc = curl_open(err);
    if (rc)
        return rc;
    if (!(rc = transfer_begin(transfer, url, err))) {
        *code = curl.curl_easy_perform(transfer->easy);
        curl.curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &transfer->status);
    }
    curl.curl_easy_cleanup(transfer->easy);
    curl.curl_slist_free_all(transfer->headers);
    return rc;
}

static int say_status(const struct hub_repository *repository, const struct hub_remote *remote, long status, struct err *err)
{
    const char *way_out = status == 401 || status == 403 ? "; it may be private or ask for its terms to be accepted: do that in a browser and set HF_TOKEN"
                          : status == 404                ? "; check name and revision, and HF_TOKEN where it is private"
                                                         : "; try again later";
    return err_set(err, ERR_REMOTE, "'%s' says %ld of %s '%s' at revision '%s'%s", remote->endpoint, status,
                   strcmp(repository->kind, "models") ? "data set" : "model", repository->id, repository->revision, way_out);
}

/* ---- lists --------------------------------------------------------------------------------------------------------------------- */

/* One of "siblings": {"rfilename", "size", "blobId", "lfs": {"sha256", "size"}}. */
static int read_file(struct hub_file *out, const struct json *entry, struct hub_repository *repository, struct err *err)
{
    const struct json *lfs = json_get(entry, "lfs");
    const char *path = json_string(json_get(entry, "rfilename")), *etag = json_string(json_get(lfs, "sha256"));
    etag = etag ? etag : json_string(json_get(entry, "blobId"));
    if (!path || !path_stays_inside(path))
        return err_set(err, ERR_DATA, "'%s' lists a file '%.200s', which is no path inside it; nothing was fetched", repository->id, path ? path : "");
    if (!etag || (!is_hex(etag, 64) && !is_hex(etag, 40)) || !json_integer(json_get(entry, "size"), 0, INT64_C(1) << 53, &out->bytes))
        return err_set(err, ERR_DATA, "'%s' lists '%.200s' without a size or a digest; nothing was fetched", repository->id, path);
    snprintf(out->etag, sizeof out->etag, "%s", etag);
    out->path = arena_strdup(&repository->arena, path);
    return out->path ? 0 : err_no_memory(err, "a list of files");
}

static int read_list(struct hub_repository *repository, const struct json *list, struct err *err)
{
    const struct json *siblings = json_get(list, "siblings");
    const char *commit = json_string(json_get(list, "sha"));
    size_t n = json_count(siblings);
    int rc = 0;
    if (!commit || !is_hex(commit, 40) || n > MOST_FILES)
        return err_set(err, ERR_DATA, "what the Hub says of '%s' has no commit, or too many files", repository->id);
    snprintf(repository->commit, sizeof repository->commit, "%s", commit);
    repository->files = arena_alloc(&repository->arena, n, sizeof *repository->files);
    if (!repository->files)
        return err_no_memory(err, "a list of files");
    for (const struct json *entry = json_first(siblings); entry && !rc; entry = json_next(entry))
        rc = read_file(&repository->files[repository->n++], entry, repository, err);
    return rc;
}

static int get_list(struct hub_repository *repository, const struct hub_remote *remote, struct err *err)
{
    struct text url = {0}, body = {0};
    struct transfer transfer = {.remote = remote, .text = &body};
    struct json *list = NULL;
    CURLcode code = CURLE_OK;
    text_printf(&url, "%s/api/%s/%s/revision/", remote->endpoint, repository->kind, repository->id);
    put_encoded(&url, repository->revision, true);
    text_put(&url, "?blobs=true");
    int rc = url.failed ? err_no_memory(err, "a URL") : transfer_run(&transfer, url.bytes, &code, err);
    if (!rc && code)
        rc = err_set(err, ERR_REMOTE, "cannot ask '%s' about '%s': %s; check the network, HF_ENDPOINT, or set HF_HUB_OFFLINE=1", remote->endpoint,
                     repository->id, transfer.too_long ? "its list of files is too long" : curl.curl_easy_strerror(code));
    if (!rc && transfer.status != 200)
        rc = say_status(repository, remote, transfer.status, err);
    if (!rc)
        rc = json_parse(&list, body.length ? body.bytes : "", body.length, "the Hub's list of files", err);
    if (!rc)
        rc = read_list(repository, list, err);
    json_free(list);
    text_free(&body);
    text_free(&url);
    return rc;
}

int hub_open(struct hub_repository *out, const struct hub_remote *remote, const char *kind, const char *id, const char *revision, struct err *err)
{
    *out = (struct hub_repository){.kind = kind, .id = id, .revision = revision};
    out->folder = hub_folder(kind, id, &out->arena);
    int rc = 0;
    if (!out->folder || strpbrk(id, "?#% \\"))
        rc = err_set(err, ERR_CONFIG, "'%s' is no name on the Hub, or there is no HOME to keep it in; names are owner/name", id);
    else if (!path_stays_inside(revision))
        rc = err_set(err, ERR_CONFIG, "'%s' is no revision; give a branch, a tag or a commit", revision);
    if (!rc)
        rc = get_list(out, remote, err);
    if (rc)
        hub_close(out);
    return rc;
}

void hub_close(struct hub_repository *repository)
{
    arena_free(&repository->arena);
    *repository = (struct hub_repository){0};
}

/* ---- the cache ----------------------------------------------------------------------------------------------------------------- */

static bool has_bytes(const char *path, int64_t bytes)
{
    struct stat stat_of;
    return path && !stat(path, &stat_of) && S_ISREG(stat_of.st_mode) && stat_of.st_size == bytes;
}

struct places { const char *blob, *incomplete, *link, *target, *lock; }; /* of a file */

static int find_places(struct places *out, const struct hub_repository *repository, const struct hub_file *file, struct arena *arena, struct err *err)
{
    const char *base = strrchr(repository->folder, '/') + 1;
    struct text up = {0};
    for (const char *p = file->path; *p; p++)
        if (*p == '/')
            text_put(&up, "../");
    *out = (struct places){
        .blob = arena_printf(arena, "%s/blobs/%s", repository->folder, file->etag),
        .incomplete = arena_printf(arena, "%s/blobs/%s.incomplete", repository->folder, file->etag),
        .link = arena_printf(arena, "%s/snapshots/%s/%s", repository->folder, repository->commit, file->path),
        .target = arena_printf(arena, "%s../../blobs/%s", up.bytes ? up.bytes : "", file->etag),
        .lock = arena_printf(arena, "%.*s.locks/%s/%s.lock", (int)(base - repository->folder), repository->folder, base, file->etag)};
    bool whole = !up.failed && out->blob && out->incomplete && out->link && out->target && out->lock;
    text_free(&up);
    return whole ? 0 : err_no_memory(err, "a path");
}

bool hub_has(const struct hub_repository *repository, const struct hub_file *file)
{
    struct arena arena = {0};
    bool has = has_bytes(arena_printf(&arena, "%s/snapshots/%s/%s", repository->folder, repository->commit, file->path), file->bytes);
    arena_free(&arena);
    return has;
}

static int put_link(const struct places *places, struct err *err)
{
    int rc = file_make_folders(places->link, err);
    if (rc)
        return rc;
    unlink(places->link); /* a link to nothing, or a file that is not whole */
    return symlink(places->target, places->link) && errno != EEXIST ? err_errno(err, "link", places->link) : 0;
}

int hub_note_revision(const struct hub_repository *repository, struct err *err)
{
    struct arena arena = {0};
    const char *path = arena_printf(&arena, "%s/refs/%s", repository->folder, repository->revision);
    int rc = path ? 0 : err_no_memory(err, "a path");
    if (!rc && strcmp(repository->revision, repository->commit) && !(rc = file_make_folders(path, err)))
        rc = file_save(path, repository->commit, strlen(repository->commit), err);
    arena_free(&arena);
    return rc;
}

/* ---- downloads ----------------------------------------------------------------------------------------------------------------- */

static int verify(const struct hub_file *file, const struct places *places, struct err *err)
{
    char found[DIGEST_HEX];
    int rc = strlen(file->etag) == 64 ? digest_of_file(places->incomplete, found, err) : digest_of_blob(places->incomplete, found, err);
    if (rc || !strcmp(found, file->etag))
        return rc;
    unlink(places->incomplete);
    return err_set(err, ERR_DATA, "'%s' came with digest %.12s..., the Hub promised %.12s...; it was removed, fetch it again", file->path, found, file->etag);
}

static void wait_s(double seconds, const atomic_bool *stop)
{
    for (; seconds > 0 && !atomic_load(stop); seconds -= 0.05)
        nanosleep(&(struct timespec){.tv_nsec = seconds < 0.05 ? (long)(seconds * 1e9) : 50000000}, NULL);
}

/* Why a request brought no whole file; 0: another may. */
static int judge(const struct hub_repository *repository, const struct hub_file *file, const struct hub_remote *remote, struct transfer *transfer,
                 struct err *err)
{
    bool again = transfer->status == 0 || transfer->status == 200 || transfer->status == 206 || transfer->status == 408 || transfer->status == 429 ||
                 transfer->status >= 500;
    if (atomic_load(remote->stop))
        return err_set(err, ERR_REMOTE, "stopped in the middle of '%s'; the same command continues", file->path);
    if (transfer->failed)
        return err_set(err, ERR_IO, "cannot write '%s' into '%s': %s; make room and continue", file->path, repository->folder, strerror(errno));
    if (transfer->too_long)
        return err_set(err, ERR_DATA, "'%s' is longer than the %lld bytes that the Hub promised; try again later", file->path, (long long)file->bytes);
    return again ? 0 : say_status(repository, remote, transfer->status, err);
}

/* Fetches what is lacking of a file, as often as something comes. */
static int fill(const struct hub_repository *repository, const struct hub_file *file, const struct hub_remote *remote, const char *url, int fd,
                struct err *err)
{
    double backoff = remote->backoff_s;
    for (int empty = 0; empty < EMPTY_ATTEMPTS;) {
        struct transfer transfer = {.remote = remote, .fd = fd, .have = lseek(fd, 0, SEEK_END), .most = file->bytes};
        int64_t before = transfer.have;
        CURLcode code = CURLE_OK;
        if (before > file->bytes)
            before = transfer.have = ftruncate(fd, 0) ? before : 0;
        if (before == file->bytes)
            return 0;
        int rc = transfer_run(&transfer, url, &code, err);
        if (rc || (!code && transfer.have == file->bytes) || (rc = judge(repository, file, remote, &transfer, err)))
            return rc;
        bool more = transfer.have > before;
        empty = more ? 0 : empty + 1;
        backoff = more ? remote->backoff_s : backoff * 2 < LONGEST_BACKOFF_S ? backoff * 2 : LONGEST_BACKOFF_S;
        wait_s(backoff, remote->stop);
    }
    return err_set(err, ERR_REMOTE, "'%s' gives nothing more of '%s'; the same command continues", remote->endpoint, file->path);
}

/* A blob under its lock. */
static int fetch_blob(const struct hub_repository *repository, const struct hub_file *file, const struct hub_remote *remote, const struct places *places,
                      struct err *err)
{
    struct text url = {0};
    text_printf(&url, "%s/%s%s/resolve/%s/", remote->endpoint, strcmp(repository->kind, "models") ? "datasets/" : "", repository->id, repository->commit);
    put_encoded(&url, file->path, false);
    int fd = open(places->incomplete, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int rc = url.failed ? err_no_memory(err, "a URL") : fd < 0 ? err_errno(err, "open", places->incomplete) : 0;
    if (!rc)
        rc = fill(repository, file, remote, url.bytes, fd, err);
    if (!rc && fsync(fd))
        rc = err_errno(err, "write", places->incomplete);
    if (!rc)
        rc = verify(file, places, err);
    if (!rc && rename(places->incomplete, places->blob))
        rc = err_errno(err, "rename", places->incomplete);
    if (fd >= 0)
        close(fd);
    text_free(&url);
    return rc;
}

int hub_get(const struct hub_repository *repository, const struct hub_file *file, const struct hub_remote *remote, struct err *err)
{
    struct arena arena = {0};
    struct places places;
    int lock = -1, rc = find_places(&places, repository, file, &arena, err);
    if (!rc && !(rc = file_make_folders(places.lock, err)) && !(rc = file_make_folders(places.blob, err))) {
        lock = open(places.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock < 0 || flock(lock, LOCK_EX))
            rc = err_errno(err, "lock", places.lock);
    }
    if (!rc && !has_bytes(places.blob, file->bytes)) /* somebody else may have fetched it while we waited */
        rc = fetch_blob(repository, file, remote, &places, err);
    if (!rc)
        rc = put_link(&places, err);
    if (lock >= 0)
        close(lock);
    arena_free(&arena);
    return rc;
}

/* ---- what is missing ----------------------------------------------------------------------------------------------------------- */

/* nftw has no context; one search runs at a time. */
static pthread_mutex_t search_lock = PTHREAD_MUTEX_INITIALIZER;
static struct { void (*missing)(const char *path, void *context); void *context; size_t skip; } search;

static int look_at(const char *path, const struct stat *stat_of, int type, struct FTW *where)
{
    (void)stat_of, (void)where;
    if (type == FTW_SLN)
        search.missing(path + search.skip, search.context);
    return 0;
}

static int find_lost_links(const char *snapshot, void (*missing)(const char *path, void *context), void *context, struct err *err)
{
    pthread_mutex_lock(&search_lock);
    search.missing = missing;
    search.context = context;
    search.skip = strlen(snapshot) + 1;
    int failed = nftw(snapshot, look_at, 16, 0);
    pthread_mutex_unlock(&search_lock);
    return failed ? err_errno(err, "look through", snapshot) : 0;
}

static int find_lost_shards(const char *snapshot, void (*missing)(const char *path, void *context), void *context, struct err *err)
{
    struct arena arena = {0};
    struct json *index = NULL;
    struct stat stat_of;
    const char *path = arena_printf(&arena, "%s/model.safetensors.index.json", snapshot), *last = "";
    int rc = path ? 0 : err_no_memory(err, "a path");
    if (!rc && !stat(path, &stat_of))
        rc = json_load(&index, path, MOST_SHARDS, err);
    for (const struct json *tensor = json_first(json_get(index, "weight_map")); tensor && !rc; tensor = json_next(tensor)) {
        const char *shard = json_string(tensor), *file = shard && path_stays_inside(shard) ? arena_printf(&arena, "%s/%s", snapshot, shard) : NULL;
        if (file && strcmp(shard, last) && lstat(file, &stat_of)) /* a link to nothing is told elsewhere */
            missing(shard, context);
        last = shard ? shard : last;
    }
    json_free(index);
    arena_free(&arena);
    return rc;
}

int hub_check(const char *snapshot, void (*missing)(const char *path, void *context), void *context, struct err *err)
{
    int rc = find_lost_links(snapshot, missing, context, err);
    return rc ? rc : find_lost_shards(snapshot, missing, context, err);
}
