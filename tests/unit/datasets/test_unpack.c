/* Archives: what they hold comes out whole, once, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "datasets/unpack.h"

#include "tests/support/manifest_fixture.h"

#include <archive.h>
#include <archive_entry.h>

static const atomic_bool go = false;

struct member { const char *name, *bytes, *link; };

enum kind { ZIP, TAR, TAR_GZ };

static void make_archive(const char *name, enum kind kind, const struct member *members)
{
    struct archive *archive = archive_write_new();
    assert_int_equal(kind == ZIP ? archive_write_set_format_zip(archive) : archive_write_set_format_ustar(archive), ARCHIVE_OK);
    if (kind == TAR_GZ)
        assert_int_equal(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(archive, at(name)), ARCHIVE_OK);
    for (; members->name; members++) {
        struct archive_entry *entry = archive_entry_new();
        bool is_folder = members->name[strlen(members->name) - 1] == '/';
        archive_entry_set_pathname(entry, members->name);
        archive_entry_set_filetype(entry, members->link ? AE_IFLNK : is_folder ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(entry, 0755);
        if (members->link)
            archive_entry_set_symlink(entry, members->link);
        else
            archive_entry_set_size(entry, members->bytes ? (la_int64_t)strlen(members->bytes) : 0);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        if (members->bytes)
            assert_int_equal(archive_write_data(archive, members->bytes, strlen(members->bytes)), strlen(members->bytes));
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
}

static void assert_file(const char *name, const char *bytes)
{
    struct err err = {0};
    char *found;
    size_t length;
    assert_int_equal(file_load(&found, &length, at(name), 1 << 20, &err), 0);
    assert_string_equal(found, bytes);
    free(found);
}

static int unpack(const char *const *parts, size_t *n_files, size_t *n_there, struct err *err)
{
    return archive_unpack(parts, at("out"), &go, n_files, n_there, err);
}

static const struct member videos[] = {{"./", NULL, NULL}, {"data/", NULL, NULL}, {"data/a.mp4", "aaaa", NULL}, {"./data/b/c.mp4", "", NULL}, {0}};

static void test_zip_and_tar(void **state)
{
    (void)state;
    static const char *const names[] = {"v.zip", "v.tar", "v.tar.gz"};
    for (int kind = ZIP; kind <= TAR_GZ; kind++) {
        struct err err = {0};
        size_t n_files, n_there;
        make_archive(names[kind], (enum kind)kind, videos + (kind == ZIP)); /* zip has no folder "./" */
        const char *parts[] = {at(names[kind]), NULL};
        assert_int_equal(unpack(parts, &n_files, &n_there, &err), 0);
        assert_int_equal(n_files + n_there, 2);
        assert_int_equal(n_files, kind == ZIP ? 2 : 0); /* afterwards all is there */
        assert_file("out/data/a.mp4", "aaaa");
        assert_file("out/data/b/c.mp4", "");
    }
    /* Another size: it is made again. */
    struct err err = {0};
    size_t n_files, n_there;
    const char *parts[] = {at("v.tar"), NULL};
    assert_int_equal(file_save(at("out/data/a.mp4"), "a", 1, &err), 0);
    assert_int_equal(unpack(parts, &n_files, &n_there, &err), 0);
    assert_int_equal(n_files, 1);
    assert_file("out/data/a.mp4", "aaaa");
}

static void test_parts(void **state)
{
    (void)state;
    struct err err = {0};
    char *bytes;
    size_t length, n_files, n_there;
    static const struct member more[] = {{"part.mp4", "in parts", NULL}, {0}};
    make_archive("p.tar.gz", TAR_GZ, more);
    assert_int_equal(file_load(&bytes, &length, at("p.tar.gz"), 1 << 20, &err), 0);
    assert_int_equal(file_save(at("p.tar.gz.part.aa"), bytes, length / 2, &err), 0);
    assert_int_equal(file_save(at("p.tar.gz.part.ab"), bytes + length / 2, length - length / 2, &err), 0);
    free(bytes);
    const char *whole[] = {at("p.tar.gz.part.aa"), at("p.tar.gz.part.ab"), NULL}, *half[] = {at("p.tar.gz.part.aa"), NULL};
    assert_int_equal(unpack(half, &n_files, &n_there, &err), ERR_DATA);
    assert_non_null(strstr(err.text, "cannot read archive"));
    assert_int_not_equal(access(at("out/part.mp4"), F_OK), 0);
    assert_int_not_equal(access(at("out/part.mp4.incomplete"), F_OK), 0);
    assert_int_equal(unpack(whole, &n_files, &n_there, &err), 0);
    assert_file("out/part.mp4", "in parts");
}

/* Nothing of such an entry is written, here or elsewhere. */
static void test_hostile(void **state)
{
    (void)state;
    static const struct { struct member member; const char *words; } cases[] = {
        {{"../out.txt", "x", NULL}, "leads out of the folder"},
        {{"data/../../out.txt", "x", NULL}, "leads out of the folder"},
        {{"/tmp/toksweep-out.txt", "x", NULL}, "leads out of the folder"},
        {{"a\\b", "x", NULL}, "leads out of the folder"},
        {{"link", NULL, "/etc"}, "neither a file nor a folder"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err err = {0};
        size_t n_files, n_there;
        const struct member members[] = {cases[i].member, {0}};
        make_archive("hostile.tar", TAR, members);
        const char *parts[] = {at("hostile.tar"), NULL};
        assert_int_equal(unpack(parts, &n_files, &n_there, &err), ERR_DATA);
        assert_non_null(strstr(err.text, cases[i].words));
        assert_int_equal(n_files, 0);
        assert_int_not_equal(access(at("out.txt"), F_OK), 0);
        assert_int_not_equal(access(at("out/link"), F_OK), 0);
        assert_int_not_equal(access("/tmp/toksweep-out.txt", F_OK), 0);
    }
}

static void test_no_archive(void **state)
{
    (void)state;
    struct err err = {0};
    size_t n_files, n_there;
    assert_int_equal(file_save(at("text.zip"), "no archive", 10, &err), 0);
    const char *parts[] = {at("text.zip"), NULL};
    assert_int_equal(unpack(parts, &n_files, &n_there, &err), ERR_DATA);
    const atomic_bool stop = true;
    const char *stopped[] = {at("v.tar"), NULL};
    assert_int_equal(archive_unpack(stopped, at("elsewhere"), &stop, &n_files, &n_there, &err), ERR_REMOTE);
    assert_int_not_equal(access(at("elsewhere/data/a.mp4"), F_OK), 0);
}

static void test_stems(void **state)
{
    (void)state;
    static const struct { const char *name; size_t stem; } cases[] = {
        {"videos.zip", 10}, {"v.tgz", 5},  {"v.tar", 1},     {"v.tar.gz", 1}, {"v.tar.part.aa", 1}, {"v.tar.gz.001", 1},
        {"v.tar.md5", 0},   {"v.tart", 0}, {"v.parquet", 0}, {".tar", 0},     {".zip", 0},          {"starch.json", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(archive_stem(cases[i].name), cases[i].stem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zip_and_tar), cmocka_unit_test(test_parts), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_no_archive),  cmocka_unit_test(test_stems),
    };
    return cmocka_run_group_tests(tests, sandbox_make, sandbox_remove);
}
