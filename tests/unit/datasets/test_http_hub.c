/* The Hub's cache from a server with the Hub's URLs: whole, after cuts, with wrong bytes, and beside what its own tools left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/file.h"
#include "core/hub.h"
#include "datasets/http_hub.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

enum { LARGE = 300000, PATH = 600 };

/* ---- a server of one repository ------------------------------------------------------------------------------------------------ */

struct place { /* the repository o/n, the server, and a cache */
    char folder[64], endpoint[64], blob[DIGEST_HEX], sha256[DIGEST_HEX], list[2000];
    uint8_t large[LARGE];
    int listener, cut;       /* cut: bytes after which the first answer with the large file ends; 0: never */
    bool no_ranges, corrupt, longer;
    pthread_t thread;
    int n_lists, n_files;    /* requests; the server's thread writes, tests read between requests */
    char ranges[400], authorization[100];
    atomic_bool stop;
    struct hub_remote remote;
};

static const char small[] = "{\"model_type\": \"small\"}\n";

static void send_all(int fd, const void *bytes, size_t n)
{
    for (ssize_t sent; n && (sent = send(fd, bytes, n, MSG_NOSIGNAL)) > 0; bytes = (const char *)bytes + sent)
        n -= (size_t)sent;
}

static void reply(int fd, const char *status, const char *headers, const void *body, size_t n, size_t promised)
{
    char head[400];
    int length = snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, promised, headers);
    send_all(fd, head, (size_t)length);
    send_all(fd, body, n);
}

static void reply_large(struct place *place, int fd, const char *request)
{
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range && !place->no_ranges ? strtoull(range + 13, NULL, 10) : 0, n = LARGE - from, sent = n;
    uint8_t *bytes = malloc(LARGE + 1);
    memcpy(bytes, place->large, LARGE);
    bytes[LARGE - 1] ^= place->corrupt;
    if (range)
        snprintf(place->ranges + strlen(place->ranges), sizeof place->ranges - strlen(place->ranges), "%.*s ", (int)strcspn(range + 13, "\r"), range + 13);
    if (place->cut && place->n_files == 1)
        sent = (size_t)place->cut;
    n += place->longer;
    char header[100] = "";
    if (from)
        snprintf(header, sizeof header, "Content-Range: bytes %zu-%d/%d\r\n", from, LARGE - 1, LARGE);
    reply(fd, from ? "206 Partial Content" : "200 OK", header, bytes + from, place->longer ? n : sent, n);
    free(bytes);
}

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static void answer(struct place *place, int fd, const char *request)
{
    const char *key = strstr(request, "Authorization: ");
    snprintf(place->authorization, sizeof place->authorization, "%.*s", key ? (int)strcspn(key + 15, "\r") : 0, key ? key + 15 : "");
    if (begins(request, "GET /api/models/o/n/revision/main?blobs=true ")) {
        place->n_lists++;
        reply(fd, "200 OK", "", place->list, strlen(place->list), strlen(place->list));
    } else if (begins(request, "GET /api/models/o/private/")) {
        reply(fd, "401 Unauthorized", "", "", 0, 0);
    } else if (begins(request, "GET /o/n/resolve/" COMMIT "/config.json ")) {
        place->n_files++;
        reply(fd, "200 OK", "", small, sizeof small - 1, sizeof small - 1);
    } else if (begins(request, "GET /o/n/resolve/" COMMIT "/sub%20folder/model.bin ")) {
        reply(fd, "302 Found", "Location: /elsewhere\r\n", "", 0, 0);
    } else if (begins(request, "GET /elsewhere ")) {
        place->n_files++;
        reply_large(place, fd, request);
    } else {
        reply(fd, "404 Not Found", "", "", 0, 0);
    }
}

static void *serve_hub(void *context)
{
    struct place *place = context;
    for (int fd; (fd = accept(place->listener, NULL, NULL)) >= 0; close(fd)) {
        char request[4096];
        size_t n = 0;
        for (ssize_t got; n + 1 < sizeof request && (got = recv(fd, request + n, sizeof request - 1 - n, 0)) > 0;) {
            request[n += (size_t)got] = 0;
            if (strstr(request, "\r\n\r\n"))
                break;
        }
        request[n] = 0;
        answer(place, fd, request);
    }
    return NULL;
}

static void write_list(struct place *place, const char *path)
{
    snprintf(place->list, sizeof place->list,
             "{\"sha\": \"" COMMIT "\", \"siblings\": [{\"rfilename\": \"config.json\", \"size\": %zu, \"blobId\": \"%s\"}, {\"rfilename\": \"%s\", "
             "\"size\": %d, \"blobId\": \"%s\", \"lfs\": {\"sha256\": \"%s\", \"size\": %d, \"pointerSize\": 130}}]}",
             sizeof small - 1, place->blob, path, LARGE, COMMIT, place->sha256, LARGE);
}

static int set_up(void **state)
{
    struct place *place = *state = calloc(1, sizeof *place);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    char path[PATH];
    struct err err = {0};
    snprintf(place->folder, sizeof place->folder, "/tmp/toksweep-hub-XXXXXX");
    if (!mkdtemp(place->folder))
        return 1;
    setenv("HF_HUB_CACHE", place->folder, 1);
    for (size_t i = 0; i < LARGE; i++)
        place->large[i] = (uint8_t)(i * i >> 7);
    digest_of(place->large, LARGE, place->sha256);
    snprintf(path, sizeof path, "%s/small", place->folder);
    if (file_save(path, small, sizeof small - 1, &err) || digest_of_blob(path, place->blob, &err))
        return 1;
    unlink(path);
    write_list(place, "sub folder/model.bin");
    place->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(place->listener, (struct sockaddr *)&address, size) || listen(place->listener, 16) ||
        getsockname(place->listener, (struct sockaddr *)&address, &size))
        return 1;
    snprintf(place->endpoint, sizeof place->endpoint, "http://127.0.0.1:%d", ntohs(address.sin_port));
    place->remote = (struct hub_remote){.endpoint = place->endpoint, .backoff_s = 0.01, .stop = &place->stop};
    return pthread_create(&place->thread, NULL, serve_hub, place);
}

static int remove_one(const char *path, const struct stat *stat_of, int type, struct FTW *where)
{
    (void)stat_of, (void)type, (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    struct place *place = *state;
    shutdown(place->listener, SHUT_RDWR);
    pthread_join(place->thread, NULL);
    close(place->listener);
    nftw(place->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(place);
    return 0;
}

/* ---- helpers ------------------------------------------------------------------------------------------------------------------- */

static void open_repository(struct hub_repository *out, const struct place *place)
{
    struct err err = {0};
    if (hub_open(out, &place->remote, "models", "o/n", "main", &err))
        fail_msg("%s", err.text);
    assert_int_equal(out->n, 2);
    assert_string_equal(out->commit, COMMIT);
}

static void get(const struct hub_repository *repository, const struct place *place, size_t i)
{
    struct err err = {0};
    if (hub_get(repository, &repository->files[i], &place->remote, &err))
        fail_msg("%s", err.text);
    assert_true(hub_has(repository, &repository->files[i]));
}

static void assert_content(const struct place *place, const char *path, const void *bytes, size_t n)
{
    char whole[PATH], *found;
    size_t length;
    struct err err = {0};
    snprintf(whole, sizeof whole, "%s/%s", place->folder, path);
    if (file_load(&found, &length, whole, 1 << 20, &err))
        fail_msg("%s", err.text);
    assert_int_equal(length, n);
    assert_memory_equal(found, bytes, n);
    free(found);
}

static bool is_there(const struct place *place, const char *path)
{
    char whole[PATH];
    struct stat stat_of;
    snprintf(whole, sizeof whole, "%s/%s", place->folder, path);
    return !lstat(whole, &stat_of);
}

static void assert_link(const struct place *place, const char *path, const char *begins, const char *ends)
{
    char whole[PATH], target[PATH] = "", expected[PATH];
    snprintf(whole, sizeof whole, "%s/%s", place->folder, path);
    assert_true(readlink(whole, target, sizeof target - 1) > 0);
    snprintf(expected, sizeof expected, "%s%s", begins, ends);
    assert_string_equal(target, expected);
}

/* ---- tests --------------------------------------------------------------------------------------------------------------------- */

static void test_a_whole_repository(void **state)
{
    struct place *place = *state;
    struct hub_repository repository;
    struct arena arena = {0};
    struct err err = {0};
    place->remote.token = "hf_secret";
    open_repository(&repository, place);
    assert_string_equal(place->authorization, "Bearer hf_secret");
    for (size_t i = 0; i < 2; i++) {
        assert_false(hub_has(&repository, &repository.files[i]));
        get(&repository, place, i);
    }
    assert_null(hub_snapshot("models", "o/n", "main", &arena)); /* the revision is noted when all is there */
    assert_int_equal(hub_note_revision(&repository, &err), 0);
    assert_non_null(hub_snapshot("models", "o/n", "main", &arena));
    assert_content(place, "models--o--n/refs/main", COMMIT, 40);
    assert_content(place, "models--o--n/snapshots/" COMMIT "/config.json", small, sizeof small - 1);
    assert_content(place, "models--o--n/snapshots/" COMMIT "/sub folder/model.bin", place->large, LARGE);
    assert_link(place, "models--o--n/snapshots/" COMMIT "/config.json", "../../blobs/", place->blob);
    assert_link(place, "models--o--n/snapshots/" COMMIT "/sub folder/model.bin", "../../../blobs/", place->sha256);
    hub_close(&repository);
    open_repository(&repository, place); /* again: all is there */
    assert_true(hub_has(&repository, &repository.files[0]) && hub_has(&repository, &repository.files[1]));
    get(&repository, place, 1);
    assert_int_equal(place->n_files, 2);
    hub_close(&repository);
    arena_free(&arena);
}

static void test_a_cut_is_resumed(void **state)
{
    struct place *place = *state;
    struct hub_repository repository;
    place->cut = 100000;
    open_repository(&repository, place);
    get(&repository, place, 1);
    assert_int_equal(place->n_files, 2);
    assert_string_equal(place->ranges, "100000- ");
    assert_content(place, "models--o--n/snapshots/" COMMIT "/sub folder/model.bin", place->large, LARGE);
    hub_close(&repository);
}

static void test_a_server_without_ranges(void **state)
{
    struct place *place = *state;
    struct hub_repository repository;
    place->cut = 100000;
    place->no_ranges = true;
    open_repository(&repository, place);
    get(&repository, place, 1);
    assert_content(place, "models--o--n/snapshots/" COMMIT "/sub folder/model.bin", place->large, LARGE);
    hub_close(&repository);
}

static void test_wrong_bytes_are_refused(void **state)
{
    struct place *place = *state;
    struct hub_repository repository;
    struct err err = {0};
    char path[200];
    place->corrupt = true;
    open_repository(&repository, place);
    assert_int_equal(hub_get(&repository, &repository.files[1], &place->remote, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "the Hub promised"));
    snprintf(path, sizeof path, "models--o--n/blobs/%s", place->sha256);
    assert_false(is_there(place, path));
    snprintf(path, sizeof path, "models--o--n/blobs/%s.incomplete", place->sha256);
    assert_false(is_there(place, path));
    assert_false(hub_has(&repository, &repository.files[1]));
    place->corrupt = false;
    get(&repository, place, 1);
    hub_close(&repository);
}

static void test_too_many_bytes_are_refused(void **state)
{
    struct place *place = *state;
    struct hub_repository repository;
    struct err err = {0};
    place->longer = true;
    open_repository(&repository, place);
    assert_int_equal(hub_get(&repository, &repository.files[1], &place->remote, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "is longer than the 300000 bytes"));
    hub_close(&repository);
}

static void test_paths_that_lead_out(void **state)
{
    static const char *const paths[] = {"../../etc/passwd", "/etc/passwd", "a/../../b", "a//b", "a/./b", "", "a/", "..", "a\\\\b", "a\\u0007b"};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct hub_repository repository;
        struct err err = {0};
        write_list(place, paths[i]);
        if (hub_open(&repository, &place->remote, "models", "o/n", "main", &err) != ERR_DATA || !strstr(err.text, "no path inside it"))
            fail_msg("'%s': %s", paths[i], err.text);
    }
    assert_false(is_there(place, "models--o--n"));
}

static void test_what_the_hubs_tools_left(void **state)
{
    struct place *place = *state;
    struct hub_repository repository;
    struct err err = {0};
    char blobs[PATH], path[PATH + 100];
    snprintf(blobs, sizeof blobs, "%s/models--o--n", place->folder);
    assert_int_equal(mkdir(blobs, 0777), 0);
    strcat(blobs, "/blobs");
    assert_int_equal(mkdir(blobs, 0777), 0);
    snprintf(path, sizeof path, "%s/%s", blobs, place->blob); /* a blob without its link */
    assert_int_equal(file_save(path, small, sizeof small - 1, &err), 0);
    snprintf(path, sizeof path, "%s/%s.incomplete", blobs, place->sha256); /* and a download that was stopped */
    assert_int_equal(file_save(path, (const char *)place->large, 1234, &err), 0);
    open_repository(&repository, place);
    get(&repository, place, 0);
    assert_int_equal(place->n_files, 0);
    get(&repository, place, 1);
    assert_string_equal(place->ranges, "1234- ");
    assert_content(place, "models--o--n/snapshots/" COMMIT "/sub folder/model.bin", place->large, LARGE);
    hub_close(&repository);
}

static void note_missing(const char *path, void *context)
{
    strcat(strcat(context, path), " ");
}

static void test_what_is_missing_is_named(void **state)
{
    static const char index_text[] = "{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"two.safetensors\", \"c\": \"two.safetensors\", \"d\": \"../x\"}}";
    struct place *place = *state;
    struct err err = {0};
    char path[PATH], missing[200] = "";
    snprintf(path, sizeof path, "%s/one.safetensors", place->folder);
    assert_int_equal(file_save(path, "x", 1, &err), 0);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", place->folder);
    assert_int_equal(file_save(path, index_text, sizeof index_text - 1, &err), 0);
    snprintf(path, sizeof path, "%s/tokenizer.json", place->folder);
    assert_int_equal(symlink("../../blobs/nothing", path), 0);
    assert_int_equal(hub_check(place->folder, note_missing, missing, &err), 0);
    assert_string_equal(missing, "tokenizer.json two.safetensors ");
}

static void test_refusals(void **state)
{
    static const struct { const char *id, *revision, *said; int code; } asks[] = {
        {"o/private", "main", "says 401 of model 'o/private' at revision 'main'; it may be private", ERR_REMOTE},
        {"o/none", "main", "says 404", ERR_REMOTE},
        {"none", "main", "is no name on the Hub", ERR_CONFIG},
        {"o/n/m", "main", "is no name on the Hub", ERR_CONFIG},
        {"../n", "main", "is no name on the Hub", ERR_CONFIG},
        {"o/n?x", "main", "is no name on the Hub", ERR_CONFIG},
        {"o/n", "../../x", "is no revision", ERR_CONFIG}};
    struct place *place = *state;
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        struct hub_repository repository;
        struct err err = {0};
        int rc = hub_open(&repository, &place->remote, "models", asks[i].id, asks[i].revision, &err);
        if (rc != asks[i].code || !strstr(err.text, asks[i].said))
            fail_msg("'%s' at '%s': %s", asks[i].id, asks[i].revision, err.text);
    }
    atomic_store(&place->stop, true);
    struct hub_repository repository;
    struct err err = {0};
    assert_int_equal(hub_open(&repository, &place->remote, "models", "o/n", "main", &err), ERR_REMOTE);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_a_whole_repository),     WITH_SERVER(test_a_cut_is_resumed),         WITH_SERVER(test_a_server_without_ranges),
        WITH_SERVER(test_wrong_bytes_are_refused), WITH_SERVER(test_too_many_bytes_are_refused), WITH_SERVER(test_paths_that_lead_out),
        WITH_SERVER(test_what_the_hubs_tools_left), WITH_SERVER(test_what_is_missing_is_named), WITH_SERVER(test_refusals),
    };
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    return cmocka_run_group_tests_name("http_hub", tests, NULL, NULL);
}
