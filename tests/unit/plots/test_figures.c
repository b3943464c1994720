/* Figures: the exact data of a small store, figures that are what their endings say, scripts that reproduce them, and clear refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plots/plot.h"
#include "tests/support/store_fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SAMPLES = 10 };

static int store_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof *fixture);
    struct err err = {0};
    if (fixture_open(fixture, SAMPLES, &err) != 0)
        fail_msg("%s", err.text);
    *state = fixture;
    return 0;
}

static int store_teardown(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void add_cell(struct store_fixture *fixture, const char *compressor, const char *params, const char *label, int frames,
                     size_t correct,
                     int kept)
{
    int64_t id = 0;
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, compressor, params, label, frames), &id, &err));
    for (size_t i = 0; i < SAMPLES; i++) {
        struct answer answer = fixture_answer(i < correct, frames, kept);
        struct cost *cost = &answer.cost;
        cost->alone_ms[STAGE_VISION] = 10 * frames;
        cost->alone_ms[STAGE_PREFILL] = kept / 10.0;
        cost->paid_ms[STAGE_VISION] = frames;
        cost->paid_ms[STAGE_PREFILL] = kept / 20.0;
        OK(store_put_answer(fixture->store, fixture->run, id, &fixture->manifest, i, &answer, &err));
    }
}

static void add_threshold(struct store_fixture *fixture, double threshold, int frames, size_t correct, int kept)
{
    char params[64], label[64];
    snprintf(params, sizeof params, "{\"threshold\":%g}", threshold);
    snprintf(label, sizeof label, "dyntok threshold=%g", threshold);
    add_cell(fixture, "dyntok", params, label, frames, correct, kept);
}

/* Thresholds come in disorder; at 10 frames 2100 tokens are there before, 140 of them markers. */
static void add_sweep(struct store_fixture *fixture)
{
    add_cell(fixture, "none", "{}", "none", 10, 6, 1960);
    add_threshold(fixture, 0.6, 10, 7, 770);
    add_threshold(fixture, 0.4, 10, 5, 280);
}

/* The cell without compression once more, of a later build. */
static void add_revision(struct store_fixture *fixture, const char *build, const char *model, size_t correct)
{
    struct cell cell = fixture_cell(&fixture->manifest, "none", "{}", "none", 10);
    int64_t id = 0;
    cell.build_digest = build;
    cell.model_digest = model;
    pause_ms(5);
    OK(fixture_put_cell(fixture->store, cell, &id, &err));
    OK(fixture_answer_all(fixture, id, SAMPLES, correct, 10, 1960, &err));
}

static const char *path_in(const struct store_fixture *fixture, const char *name)
{
    static char path[FIXTURE_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    return path;
}

/* A whole file, NUL-terminated; the caller frees. */
static char *file_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: %s", path, strerror(errno));
    char *bytes = calloc(1, 1 << 20);
    *size = fread(bytes, 1, (1 << 20) - 1, file);
    fclose(file);
    return bytes;
}

static void file_is(const char *path, const char *expected)
{
    size_t size;
    char *bytes = file_read(path, &size);
    assert_string_equal(bytes, expected);
    free(bytes);
}

static void file_holds(const char *path, const char *part)
{
    size_t size;
    char *bytes = file_read(path, &size);
    if (!strstr(bytes, part))
        fail_msg("%s does not hold: %s\nbut:\n%s", path, part, bytes);
    free(bytes);
}

static int draw(struct store_fixture *fixture, const char *figure, const char *name, const char *where, const char *title, struct err *err)
{
    char out[FIXTURE_PATH + 64];
    snprintf(out, sizeof out, "%s", path_in(fixture, name));
    return figure_find(figure)->draw(fixture->store, &(struct plot_options){.out = out, .where = where, .title = title}, err);
}

/* Tags are closed in order, entities are known, attributes are quoted: what a viewer needs to open it. */
static void xml_is_well_formed(const char *path)
{
    size_t size;
    char *bytes = file_read(path, &size), *open_tags[64];
    int depth = 0, elements = 0;
    for (char *at = bytes; *at; at++) {
        if (*at == '&') {
            assert_true(!strncmp(at, "&lt;", 4) || !strncmp(at, "&gt;", 4) || !strncmp(at, "&amp;", 5) || !strncmp(at, "&quot;", 6) ||
                        !strncmp(at, "&apos;", 6) || !strncmp(at, "&#", 2));
        } else if (!strncmp(at, "<!--", 4)) {
            at = strstr(at, "-->") + 2;
        } else if (!strncmp(at, "<![CDATA[", 9)) {
            at = strstr(at, "]]>") + 2;
        } else if (*at == '<') {
            char *end = strchr(at, '>');
            assert_non_null(end);
            int quotes = 0;
            for (char *c = at; c < end; c++)
                quotes += *c == '"';
            assert_int_equal(quotes % 2, 0);
            if (at[1] == '/') {
                assert_true(depth > 0);
                size_t length = strcspn(open_tags[--depth], " \t\r\n>");
                assert_true(!strncmp(at + 2, open_tags[depth], length) && at[2 + length] == '>');
            } else if (at[1] != '?' && at[1] != '!') {
                elements++;
                if (end[-1] != '/') {
                    assert_true(depth < 64);
                    open_tags[depth++] = at + 1;
                }
            }
            at = end;
        }
    }
    assert_int_equal(depth, 0);
    assert_true(elements > 50);
    free(bytes);
}

/* ---- the table ------------------------------------------------------------------------------------------------------------- */

static void figures_are_listed(void **state)
{
    (void)state;
    static const char *const names[] = {"ratio-accuracy", "frames", "budget", "threshold", "tasks", "pareto", "cost"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(figure_find(names[i]));
    assert_null(figure_at(-1));
    int n = 0;
    for (const struct figure *figure; (figure = figure_at(n)); n++) {
        assert_ptr_equal(figure_find(figure->name), figure);
        assert_true(strlen(figure->summary) > 20 && !strchr(figure->summary, '\n'));
    }
    assert_int_equal(n, 8);
    assert_null(figure_find("ratio"));
}

/* ---- data ------------------------------------------------------------------------------------------------------------------ */

static void ratio_accuracy_data_is_exact(void **state)
{
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    OK(draw(fixture, "ratio-accuracy", "a.svg", NULL, NULL, &err));
    file_is(path_in(fixture, "a.dat"),
            "# One block per series, as many as the legend has entries. Accuracy in percent, low and high its 95 % interval.\n"
            "# kept: visual tokens of those without compression, markers included, in percent; mean over the language model's layers.\n"
            "# shift: added to kept where points at equal x are drawn side by side.\n"
            "# \"none, 10 frames\"\n"
            "# kept accuracy low high correct replies shift label\n"
            "100.0000 60.0000 13.1244 93.7082 6 10 0 \"none\"\n"
            "\n\n"
            "# \"dyntok threshold, 10 frames\"\n"
            "# kept accuracy low high correct replies shift label\n"
            "20.0000 50.0000 11.0588 88.9412 5 10 0 \"dyntok threshold=0.4\"\n"
            "43.3333 70.0000 20.8098 95.3956 7 10 0 \"dyntok threshold=0.6\"\n");
    xml_is_well_formed(path_in(fixture, "a.svg"));
    file_holds(path_in(fixture, "a.svg"), "tiny on videomme");
    file_holds(path_in(fixture, "a.svg"), "n = 10 replies a point; bars are 95 % intervals over videos");
    file_holds(path_in(fixture, "a.svg"), "accuracy (%)");
    file_holds(path_in(fixture, "a.gp"), "set xrange [0:105]");
    file_holds(path_in(fixture, "a.gp"), "set label '0.4' at screen");
}

static void threshold_data_is_exact(void **state)
{
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    OK(draw(fixture, "threshold", "t.svg", NULL, NULL, &err));
    file_is(path_in(fixture, "t.dat"),
            "# One block per series, as many as the legend has entries. Percent, but for the threshold.\n"
            "# kept: visual tokens that entered the language model, of those without compression, markers included.\n"
            "# \"none, 10 frames\"\n"
            "# threshold kept accuracy low high correct replies label\n"
            "NaN 100.0000 60.0000 13.1244 93.7082 6 10 \"none\"\n"
            "\n\n"
            "# \"dyntok, 10 frames\"\n"
            "# threshold kept accuracy low high correct replies label\n"
            "0.4 20.0000 50.0000 11.0588 88.9412 5 10 \"dyntok threshold=0.4\"\n"
            "0.6 43.3333 70.0000 20.8098 95.3956 7 10 \"dyntok threshold=0.6\"\n");
    xml_is_well_formed(path_in(fixture, "t.svg"));
    file_holds(path_in(fixture, "t.svg"), "tokens kept (%)");
    file_holds(path_in(fixture, "t.svg"), "43.3");
    file_holds(path_in(fixture, "t.gp"), "with boxxyerror"); /* the only baseline shows its interval */
}

static void published_numbers_are_crosses(void **state)
{
    struct store_fixture *fixture = *state;
    char out[FIXTURE_PATH + 64];
    struct err err = {0};
    add_sweep(fixture); /* cells 1 to 3: none, 0.6, 0.4 */
    static const struct plot_reference references[] = {{2, 97, 44.4, (double)NAN}, {3, (double)NAN, 25, (double)NAN}};
    static const char *const parts[] = {
        "\n\n# \"published\"\n# threshold kept accuracy label\n0.6 44.4000 97.0000 \"dyntok threshold=0.6\"\n0.4 25.0000 nan \"dyntok threshold=0.4\"\n",
        "\n\n# \"published\"\n# kept accuracy label\n44.4000 97.0000 \"dyntok threshold=0.6\"\n"};
    for (int i = 0; i < 2; i++) {
        snprintf(out, sizeof out, "%s", path_in(fixture, "r.svg"));
        struct plot_options options = {.out = out, .references = references, .n_references = 2};
        if (figure_find(i ? "ratio-accuracy" : "threshold")->draw(fixture->store, &options, &err) != 0)
            fail_msg("%s", err.text);
        file_holds(path_in(fixture, "r.dat"), parts[i]);
        file_holds(path_in(fixture, "r.svg"), "published");
        file_holds(path_in(fixture, "r.gp"), "set yrange [0:100]"); /* the cross at 97 is inside */
    }
}

/* Two numbers of frames, with and without compression: Figure 4. */
static void add_frames(struct store_fixture *fixture)
{
    add_cell(fixture, "none", "{}", "none", 20, 6, 3920);
    add_cell(fixture, "none", "{}", "none", 10, 5, 1960);
    add_threshold(fixture, 0.6, 20, 7, 1540);
    add_threshold(fixture, 0.6, 10, 5, 770);
}

static void frames_data_is_exact(void **state)
{
    struct store_fixture *fixture = *state;
    add_frames(fixture);
    OK(draw(fixture, "frames", "f.svg", NULL, NULL, &err));
    file_is(path_in(fixture, "f.dat"),
            "# One block per series, as many as the legend has entries. Accuracy in percent, low and high its 95 % interval.\n"
            "# frames: most frames shown of a video.\n"
            "# shift: added to frames where points at equal x are drawn side by side.\n"
            "# \"none\"\n"
            "# frames accuracy low high correct replies shift label\n"
            "10.0000 50.0000 11.0588 88.9412 5 10 -0.077 \"none\"\n"
            "20.0000 60.0000 13.1244 93.7082 6 10 -0.077 \"none\"\n"
            "\n\n"
            "# \"dyntok threshold=0.6\"\n"
            "# frames accuracy low high correct replies shift label\n"
            "10.0000 50.0000 11.0588 88.9412 5 10 0.077 \"dyntok threshold=0.6\"\n"
            "20.0000 70.0000 20.8098 95.3956 7 10 0.077 \"dyntok threshold=0.6\"\n");
    file_holds(path_in(fixture, "f.gp"), "set xtics (10, 20)");
    xml_is_well_formed(path_in(fixture, "f.svg"));
}

/* Tokens with their markers: 196 + 14 a frame without compression, 77 + 14 with. */
static void budget_data_is_exact(void **state)
{
    struct store_fixture *fixture = *state;
    add_frames(fixture);
    OK(draw(fixture, "budget", "b.svg", NULL, NULL, &err));
    file_is(path_in(fixture, "b.dat"),
            "# One block per series, as many as the legend has entries. Accuracy in percent, low and high its 95 % interval.\n"
            "# tokens: visual tokens per question, markers included, mean over the language model's layers.\n"
            "# shift: added to tokens where points at equal x are drawn side by side.\n"
            "# \"none\"\n"
            "# tokens accuracy low high correct replies shift label\n"
            "2100.0000 50.0000 11.0588 88.9412 5 10 0 \"none\"\n"
            "4200.0000 60.0000 13.1244 93.7082 6 10 0 \"none\"\n"
            "\n\n"
            "# \"dyntok threshold=0.6\"\n"
            "# tokens accuracy low high correct replies shift label\n"
            "910.0000 50.0000 11.0588 88.9412 5 10 0 \"dyntok threshold=0.6\"\n"
            "1820.0000 70.0000 20.8098 95.3956 7 10 0 \"dyntok threshold=0.6\"\n");
    file_holds(path_in(fixture, "b.svg"), "points are named by their frames");
}

/* alpha is asked by samples 0, 3, 6, 9, beta by 1, 4, 7, gamma by 2, 5, 8; the first `correct` are right. */
static void tasks_data_is_exact(void **state)
{
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    OK(draw(fixture, "tasks", "t.svg", "label IN ('none', 'dyntok threshold=0.6')", NULL, &err));
    size_t size;
    char *bytes = file_read(path_in(fixture, "t.dat"), &size);
    static const char *const rows[] = {
        "# \"none, 10 frames\"\n# accuracy low high y correct questions task\n60.0000 13.1244 93.7082 3.6", " 6 10 \"all questions\"\n50.0000 ",
        " 2 4 \"alpha\"\n66.6667 ", " 2 3 \"beta\"\n66.6667 ", " 2 3 \"gamma\"\n\n\n# \"dyntok threshold=0.6, 10 frames\"\n",
        "70.0000 20.8098 95.3956 3.3", " 7 10 \"all questions\"\n75.0000 ", " 3 4 \"alpha\"\n", " 2 3 \"gamma\"\n"};
    const char *at = bytes;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!(at = strstr(at, rows[i])))
            fail_msg("no '%s' in its place in: %s", rows[i], bytes);
    free(bytes);
    file_holds(path_in(fixture, "t.gp"), "'alpha (4)' 2.5");
    file_holds(path_in(fixture, "t.svg"), "in brackets: questions");
    xml_is_well_formed(path_in(fixture, "t.svg"));
}

static void cost_data_is_exact(void **state)
{
    struct store_fixture *fixture = *state;
    add_frames(fixture);
    OK(draw(fixture, "cost", "c.svg", "frames = 10", NULL, &err));
    file_is(path_in(fixture, "c.dat"),
            "# One block per stage, as many as the legend has entries. Mean per question in milliseconds; from, to: where its part of the bar is;\n"
            "# alone: as if run by itself; paid: what sharing left of it.\n"
            "# \"vision\"\n# from to low high kind cell\n"
            "0 100 1.4000 1.8800 alone \"none, 10 frames\"\n0 10 1.1600 1.3600 paid \"none, 10 frames\"\n"
            "0 100 0.4000 0.8800 alone \"dyntok threshold=0.6, 10 frames\"\n0 10 0.1600 0.3600 paid \"dyntok threshold=0.6, 10 frames\"\n"
            "\n\n# \"prefill\"\n# from to low high kind cell\n"
            "100 296 1.4000 1.8800 alone \"none, 10 frames\"\n10 108 1.1600 1.3600 paid \"none, 10 frames\"\n"
            "100 177 0.4000 0.8800 alone \"dyntok threshold=0.6, 10 frames\"\n10 48.5 0.1600 0.3600 paid \"dyntok threshold=0.6, 10 frames\"\n");
    file_holds(path_in(fixture, "c.gp"), "'66 %'"); /* 196 of 296 */
    file_holds(path_in(fixture, "c.svg"), "milliseconds per question");
    xml_is_well_formed(path_in(fixture, "c.svg"));
}

/* 910 tokens at 50 %, 1820 at 70 %, 2100 at 50 %, 4200 at 60 %: the first two are the front, the second unless no video is drawn that it has
 * more right of than the first. */
static void pareto_front_is_found(void **state)
{
    struct store_fixture *fixture = *state;
    add_frames(fixture);
    OK(draw(fixture, "pareto", "p.svg", NULL, NULL, &err));
    size_t size;
    char *bytes = file_read(path_in(fixture, "p.dat"), &size);
    static const char *const parts[] = {"# tokens accuracy low high\n910.0000 50.0000 ", "\n1820.0000 50.0000 ", "\n1820.0000 70.0000 ", "\n2100.0000 70.0000 ",
                                        "# Cells on the front.", "1820.0000 70.0000 20.8098 95.3956 0.9170 20 \"dyntok threshold=0.6\"",
                                        "910.0000 50.0000 11.0588 88.9412 1.0000 10 \"dyntok threshold=0.6\"", "# All others.",
                                        "4200.0000 60.0000 13.1244 93.7082 0.0000 20 \"none\"", "2100.0000 50.0000 11.0588 88.9412 0.0000 10 \"none\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(bytes, parts[i]))
            fail_msg("no '%s' in: %s", parts[i], bytes);
    assert_true(strstr(bytes, "All others") < strstr(bytes, "4200.0000 60.0000 13"));
    free(bytes);
    file_holds(path_in(fixture, "p.svg"), "1  dyntok threshold=0.6, 10 frames: on the front in 100 %");
    xml_is_well_formed(path_in(fixture, "p.svg"));
}

static void too_many_cells_are_refused(void **state)
{
    struct store_fixture *fixture = *state;
    struct err err = {0};
    for (int i = 0; i < 25; i++)
        add_threshold(fixture, 0.3 + 0.01 * i, 10, 5, 500);
    assert_int_equal(draw(fixture, "tasks", "m.svg", NULL, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "25 cells are too many for the dots of one row, 8 are most; choose with --where"));
    assert_int_equal(draw(fixture, "cost", "m.svg", NULL, NULL, &err), ERR_CONFIG);
    assert_non_null(strstr(err.text, "25 cells are too many for one picture"));
}

static void equal_points_stand_side_by_side(void **state)
{
    struct store_fixture *fixture = *state;
    for (int frames = 10; frames <= 12; frames++)
        add_cell(fixture, "none", "{}", "none", frames, 6, 196 * frames);
    OK(draw(fixture, "ratio-accuracy", "e.svg", NULL, NULL, &err));
    static const char *const shifts[] = {"6 10 -1 \"none\"", "6 10 0 \"none\"", "6 10 1 \"none\""};
    for (int i = 0; i < 3; i++)
        file_holds(path_in(fixture, "e.dat"), shifts[i]);
    file_holds(path_in(fixture, "e.svg"), "points at equal x are drawn side by side");
}

static void series_are_apart_by_what_varies(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = 0;
    add_sweep(fixture);
    add_threshold(fixture, 0.4, 20, 5, 560);
    struct cell cell = fixture_cell(&fixture->manifest, "dyntok", "{\"threshold\":0.4}", "dyntok threshold=0.4", 10);
    cell.dtype = "bf16";
    cell.build_digest = "0123456789abcdef";
    OK(fixture_put_cell(fixture->store, cell, &id, &err));
    OK(fixture_answer_all(fixture, id, 5, 5, 10, 280, &err));
    cell = fixture_cell(&fixture->manifest, "dyntok", "{\"order\":\"2d\",\"threshold\":0.4}", "dyntok order=2d threshold=0.4", 10);
    OK(fixture_put_cell(fixture->store, cell, &id, &err));
    OK(fixture_answer_all(fixture, id, SAMPLES, 5, 10, 280, &err));
    OK(draw(fixture, "threshold", "v.svg", NULL, NULL, &err));
    static const char *const titles[] = {"# \"none, 10 frames, f32, build b0\"", "# \"dyntok, 10 frames, f32, build b0\"",
                                         "# \"dyntok, 20 frames, f32, build b0\"",
                                         "# \"dyntok, 10 frames, bf16, build 0123456\"",
                                         "# \"dyntok order=2d, 10 frames, f32, build b0\""};
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        file_holds(path_in(fixture, "v.dat"), titles[i]);
    file_holds(path_in(fixture, "v.svg"), "n = 5 to 10 replies a point");
    file_holds(path_in(fixture, "v.svg"), "1 of 6 cells lack replies to part of the questions; points at equal x");
}

static void where_selects(void **state)
{
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    OK(draw(fixture, "ratio-accuracy", "w.svg", "threshold < 0.5", NULL, &err)); /* one cell, no line */
    file_holds(path_in(fixture, "w.dat"), "20.0000 50.0000");
    file_holds(path_in(fixture, "w.gp"), "keyentry with points ");
    OK(draw(fixture, "threshold", "w.svg", "threshold < 0.5", NULL, &err));
}

static void thirty_cells_fit(void **state)
{
    struct store_fixture *fixture = *state;
    for (int frames = 8; frames <= 12; frames++) {
        add_cell(fixture, "none", "{}", "none", frames, 5, 196 * frames);
        for (int i = 0; i < 5; i++)
            add_threshold(fixture, 0.4 + 0.05 * i, frames, (size_t)(4 + i % 3), (10 + 15 * i) * frames);
    }
    OK(draw(fixture, "ratio-accuracy", "many.svg", NULL, NULL, &err));
    xml_is_well_formed(path_in(fixture, "many.svg"));
    OK(draw(fixture, "threshold", "many2.svg", NULL, NULL, &err));
    xml_is_well_formed(path_in(fixture, "many2.svg"));
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

static void endings_pick_the_format(void **state)
{
    static const struct { const char *name, *magic; } kinds[] = {{"f.svg", "<?xml"}, {"f.png", "\x89PNG"}, {"f.pdf", "%PDF-"}};
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    add_revision(fixture, "build-1", "m0", 8);
    for (int figure = 0; figure_at(figure); figure++)
        for (size_t i = 0; i < 3; i++) {
            OK(draw(fixture, figure_at(figure)->name, kinds[i].name, NULL, NULL, &err));
            size_t size;
            char *bytes = file_read(path_in(fixture, kinds[i].name), &size);
            assert_true(size > 2000);
            assert_memory_equal(bytes, kinds[i].magic, strlen(kinds[i].magic));
            free(bytes);
        }
}

static void gnuplot_in(const char *folder, const char *script)
{
    pid_t child = fork();
    if (child == 0) {
        if (chdir(folder) == 0)
            execlp("gnuplot", "gnuplot", script, (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void script_reproduces_the_figure(void **state)
{
    struct store_fixture *fixture = *state;
    size_t size, again_size;
    add_sweep(fixture);
    add_revision(fixture, "build-1", "m0", 8);
    for (int figure = 0; figure_at(figure); figure++) {
        OK(draw(fixture, figure_at(figure)->name, "it's $(x) %d.svg", NULL, NULL, &err));
        char *bytes = file_read(path_in(fixture, "it's $(x) %d.svg"), &size);
        unlink(path_in(fixture, "it's $(x) %d.svg"));
        gnuplot_in(fixture->folder, "it's $(x) %d.gp");
        char *again = file_read(path_in(fixture, "it's $(x) %d.svg"), &again_size);
        assert_int_equal(size, again_size);
        assert_memory_equal(bytes, again, size);
        free(bytes);
        free(again);
    }
}

static void path_may_be_relative(void **state)
{
    struct store_fixture *fixture = *state;
    char before[4096];
    add_sweep(fixture);
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(fixture->folder), 0);
    struct err err = {0};
    int rc = figure_find("threshold")->draw(fixture->store, &(struct plot_options){.out = "plain.svg"}, &err);
    assert_int_equal(chdir(before), 0);
    if (rc != 0)
        fail_msg("%s", err.text);
    assert_int_equal(access(path_in(fixture, "plain.svg"), R_OK), 0);
}

static void text_is_shown_not_obeyed(void **state)
{
    struct store_fixture *fixture = *state;
    static const char title[] = "<b> & 'it' \"x\" _a^b @c {d} `touch pwned` \\n \x01\xff \xc3\xa9";
    add_cell(fixture, "x'); system('touch pwned'); ('", "{}", "x'); system('touch pwned'); (' \"k\"=`touch pwned`", 10, 5, 300);
    OK(draw(fixture, "ratio-accuracy", "q.svg", NULL, title, &err));
    xml_is_well_formed(path_in(fixture, "q.svg"));
    file_holds(path_in(fixture, "q.svg"), "&lt;b> &amp; 'it' \"x\" _a^b @c {d} `touch pwned` \\n    \xc3\xa9");
    file_holds(path_in(fixture, "q.svg"), "x'); system('touch pwned'); ('");
    assert_int_equal(access(path_in(fixture, "pwned"), F_OK), -1);
}

/* ---- refusals -------------------------------------------------------------------------------------------------------------- */

static void refuses(struct store_fixture *fixture, const char *figure, const char *name, const char *where, int code, const char *part)
{
    struct err err = {0};
    int rc = draw(fixture, figure, name, where, NULL, &err);
    if (rc != code || !strstr(err.text, part))
        fail_msg("%d: %s", rc, err.text);
}

/* A line for each cell with several revisions, those that have one are left out. */
static void history_is_by_revision(void **state)
{
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    refuses(fixture, "history", "h.svg", NULL, ERR_CONFIG, "no cell has two revisions");
    add_revision(fixture, "build-1", "m0", 8);
    add_revision(fixture, "build-2", "model-2", 6);
    OK(draw(fixture, "history", "h.svg", NULL, NULL, &err));
    file_holds(path_in(fixture, "h.dat"), "# \"none@10\"\n# place accuracy low high correct replies date revision program model questions\n"
                                          "1 60.0000 13.1244 93.7082 6 10 2");
    file_holds(path_in(fixture, "h.dat"), " \"unknown\" build-1 m0 ");
    file_holds(path_in(fixture, "h.dat"), "\n2 80.0000 ");
    file_holds(path_in(fixture, "h.dat"), "\n3 60.0000 ");
    file_holds(path_in(fixture, "h.gp"), " build-2, model' 3)");
    file_holds(path_in(fixture, "h.svg"), "n = 10 replies a point");
    xml_is_well_formed(path_in(fixture, "h.svg"));
}

static void nothing_to_plot_says_what_to_run(void **state)
{
    struct store_fixture *fixture = *state;
    int64_t id = 0;
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none", 10), &id,
                        &err)); /* a cell without answers */
    refuses(fixture, "ratio-accuracy", "n.svg", NULL, ERR_CONFIG,
            "nothing to plot: no cell of the store has replies with a count of visual tokens; 'toksweep run SWEEP.yaml' makes some");
    refuses(fixture, "threshold", "n.svg", NULL, ERR_CONFIG,
            "nothing to plot: no cell of the store has replies and a parameter 'threshold'; sweep one, such as '{ name: dyntok, "
            "threshold: [");
    assert_int_equal(access(path_in(fixture, "n.dat"), F_OK), -1);
    add_sweep(fixture);
    refuses(fixture, "ratio-accuracy", "n.svg", "frames = 11", ERR_CONFIG, "nothing to plot: no cell that matches 'frames = 11' has "
                                                                           "replies");
    refuses(fixture, "threshold", "n.svg", "label = 'none'", ERR_CONFIG, "nothing to plot: only cells without compression have replies");
    refuses(fixture, "threshold", "n.svg", "nonsense", ERR_CONFIG, "cannot select by 'nonsense'");
}

static void only_failures_are_nothing(void **state)
{
    struct store_fixture *fixture = *state;
    struct answer failed = {.status = ANSWER_TIMEOUT, .message = "late", .extracted = -1, .cost.joules = (double)NAN};
    int64_t id = 0;
    OK(fixture_put_cell(fixture->store, fixture_cell(&fixture->manifest, "none", "{}", "none", 10), &id, &err));
    OK(store_put_answer(fixture->store, fixture->run, id, &fixture->manifest, 0, &failed, &err));
    refuses(fixture, "ratio-accuracy", "n.svg", NULL, ERR_CONFIG, "nothing to plot: no cell of the store has replies");
}

static void names_are_checked(void **state)
{
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    static const char *const wrong[] = {"f.jpg", "f", "f.svg.txt", ".svg", "f.SVG"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refuses(fixture, "threshold", wrong[i], NULL, ERR_CONFIG, "the name's ending picks the format; end it in .svg, .png or .pdf");
    refuses(fixture, "threshold", "a\nb.svg", NULL, ERR_CONFIG, "the file's name holds a control character; choose another name");
    refuses(fixture, "threshold", "no/such/f.svg", NULL, ERR_IO, "/no/such/f.dat': No such file or directory");
}

/* A gnuplot of our own in front of the real one. */
static void fake_gnuplot(const struct store_fixture *fixture, const char *script)
{
    const char *path = path_in(fixture, "gnuplot");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    chmod(path, 0755);
}

static void gnuplot_failures_are_told_apart(void **state)
{
    static const struct { const char *script, *part; } cases[] = {
        {"exit 3", "this gnuplot lacks the terminal 'svg'; install Debian's gnuplot-nox, or use another ending"},
        {"printf '\\nplot it\\n     ^\\n\"f.gp\" line 7: it is broken\\n\\n' >&2; exit 1",
         "gnuplot says: \"f.gp\" line 7: it is broken; its script is beside it, as f.gp"},
        {"exit 0", "gnuplot wrote nothing there; is the disk full?"},
        {"kill -9 $$", "gnuplot says: no reason given"},
        {"i=0; while [ $i -lt 3000 ]; do echo 'more than a pipe holds, and more, and more, and more'; i=$((i+1)); done; exit 1",
         "gnuplot says: more than a pipe holds, and more, and more, and more; its script"},
    };
    struct store_fixture *fixture = *state;
    add_sweep(fixture);
    char *before = strdup(getenv("PATH")), path[4096];
    snprintf(path, sizeof path, "%s:%s", fixture->folder, before);
    setenv("PATH", path, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_gnuplot(fixture, cases[i].script);
        refuses(fixture, "threshold", "f.svg", NULL, ERR_IO, cases[i].part);
    }
    unlink(path_in(fixture, "gnuplot"));
    setenv("PATH", fixture->folder, 1);
    refuses(fixture, "threshold", "f.svg", NULL, ERR_IO, "gnuplot is not installed; install it, on Debian with: apt install gnuplot-nox");
    setenv("PATH", before, 1);
    free(before);
    refuses(fixture, "threshold", "f.svg", "0", ERR_CONFIG, "nothing to plot");
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_listed),
        IN_STORE(ratio_accuracy_data_is_exact),
        IN_STORE(threshold_data_is_exact),
        IN_STORE(history_is_by_revision),
        IN_STORE(published_numbers_are_crosses),
        IN_STORE(frames_data_is_exact),
        IN_STORE(budget_data_is_exact),
        IN_STORE(tasks_data_is_exact),
        IN_STORE(cost_data_is_exact),
        IN_STORE(pareto_front_is_found),
        IN_STORE(too_many_cells_are_refused),
        IN_STORE(equal_points_stand_side_by_side),
        IN_STORE(series_are_apart_by_what_varies),
        IN_STORE(where_selects),
        IN_STORE(thirty_cells_fit),
        IN_STORE(endings_pick_the_format),
        IN_STORE(script_reproduces_the_figure),
        IN_STORE(path_may_be_relative),
        IN_STORE(text_is_shown_not_obeyed),
        IN_STORE(nothing_to_plot_says_what_to_run),
        IN_STORE(only_failures_are_nothing),
        IN_STORE(names_are_checked),
        IN_STORE(gnuplot_failures_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
