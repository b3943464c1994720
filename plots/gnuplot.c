/* Plots, last step: text made safe, the two files beside the figure, and gnuplot as a process, without a shell between.
 *
 * Strings of the store reach gnuplot only inside single quotes, where it expands nothing; the terminals are told to take text as it is. */
#include "plots/plot_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- text ------------------------------------------------------------------------------------------------------------------ */

/* Bytes of the character at `at` if it is well-formed UTF-8 that XML 1.0 admits (an SVG is XML), else 0. Control characters are not. */
static size_t character(const unsigned char *at)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (n < 2)
        return n == 1 && at[0] >= 0x20 && at[0] != 0x7f ? 1 : 0;
    unsigned code = at[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000, no_character = code == 0xfffe || code == 0xffff, control = code < 0xa0;
    return code >= least[n] && code <= 0x10ffff && !surrogate && !no_character && !control ? n : 0;
}

/* `quote` inside is written as `instead`. */
static void text_quote(struct text *text, const char *string, char quote, const char *instead)
{
    text_add(text, &quote, 1);
    for (const unsigned char *at = (const unsigned char *)string; *at;) {
        size_t n = character(at);
        if (n == 1 && *at == (unsigned char)quote)
            text_put(text, instead);
        else if (n)
            text_add(text, (const char *)at, n);
        else
            text_put(text, " ");
        at += n ? n : 1;
    }
    text_add(text, &quote, 1);
}

void text_quote_script(struct text *text, const char *string)
{
    text_quote(text, string, '\'', "''");
}

void text_quote_data(struct text *text, const char *string)
{
    text_quote(text, string, '"', "'");
}

/* ---- script ---------------------------------------------------------------------------------------------------------------- */

static double across(double px)
{
    return px / CANVAS_WIDTH;
}

static double upwards(double py, int height)
{
    return 1 - py / height;
}

void script_panel(struct text *script, const struct panel *panel, int height)
{
    text_printf(script, "set lmargin at screen %.6f\nset rmargin at screen %.6f\n", across(panel->left), across(panel->right));
    text_printf(script, "set tmargin at screen %.6f\nset bmargin at screen %.6f\n", upwards(panel->top, height), upwards(panel->bottom,
        height));
    text_printf(script, "set xrange [%.10g:%.10g]\nset xtics %.10g\n", panel->x.low, panel->x.high, panel->x.step);
    text_printf(script, "set yrange [%.10g:%.10g]\nset ytics %.10g\n", panel->y.low, panel->y.high, panel->y.step);
}

/* As labels at fixed places: where a terminal would put an axis's own name depends on its fonts. */
void script_x_name(struct text *script, const struct panel *panel, int height, const char *name)
{
    enum { BELOW = 50 };
    text_put(script, "set label ");
    text_quote_script(script, name);
    text_printf(script, " at screen %.6f,%.6f center\n", across((panel->left + panel->right) / 2), upwards(panel->bottom + BELOW, height));
}

void script_axis_names(struct text *script, const struct panel *panel, int height, const char *x, const char *y)
{
    enum { LEFT_OF = 56 };
    if (x)
        script_x_name(script, panel, height, x);
    text_put(script, "set label ");
    text_quote_script(script, y);
    text_printf(script, " at screen %.6f,%.6f center rotate by 90\n", across(panel->left - LEFT_OF),
                upwards((panel->top + panel->bottom) / 2, height));
}

void script_text(struct text *script, const char *words, double x, double y, int height, const char *ink)
{
    text_put(script, "set label ");
    text_quote_script(script, words);
    text_printf(script, " at screen %.6f,%.6f left font small textcolor rgb '%s' front\n", across(x), upwards(y, height), ink);
}

void script_labels(struct text *script, const struct panel *panel, int height, const struct label *labels, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (labels[i].placed)
            script_text(script, labels[i].text, panel_px(panel, labels[i].x) + labels[i].dx, panel_py(panel, labels[i].y) + labels[i].dy,
                        height,
                        labels[i].ink);
}

void script_title(struct text *script, const char *title, const struct notes *notes, int height)
{
    const struct { const char *text; double y; const char *look; } lines[] = {
        {title, 22, "font large"},
        {notes->first, 44, "font small textcolor rgb '#444444'"},
        {notes->second, 61, "font small textcolor rgb '#444444'"},
    };
    for (int i = 0; i < 3; i++)
        if (lines[i].text[0]) {
            text_printf(script, "set label %d ", i + 1);
            text_quote_script(script, lines[i].text);
            text_printf(script, " at screen 0.5,%.6f center %s\n", upwards(lines[i].y, height), lines[i].look);
        }
}

void script_legend(struct text *script, const struct legend *legend, int height)
{
    text_printf(script, "set key at screen 0.5,%.6f center bottom horizontal Left reverse maxcols %d samplen 3\n",
                upwards(height - 6, height), legend->columns);
}

/* ---- files ----------------------------------------------------------------------------------------------------------------- */

/* A pixel is `unit` of what the terminal measures its size in; `font` is 14 pixels in what it measures fonts in, `point`
 * a marker of MARKER pixels. */
static const struct format { const char *ending, *terminal, *suffix; double unit, font, point; } formats[] = {
    {".svg", "svg", "", 1, 14, 0.7},
    {".png", "pngcairo", "", 1, 10.5, 1.1},
    {".pdf", "pdfcairo", "in", 0.01, 13.5, 0.8},
};

struct place { /* of a figure: "plots", "figure", ".svg" of "plots/figure.svg" */
    char *folder, *stem;
    const struct format *format;
};

static void place_free(struct place *place)
{
    free(place->folder);
    free(place->stem);
}

static const struct format *format_of(const char *name)
{
    const char *ending = strrchr(name, '.');
    for (size_t i = 0; ending && ending > name && i < sizeof formats / sizeof *formats; i++)
        if (strcmp(ending, formats[i].ending) == 0)
            return &formats[i];
    return NULL;
}

static int place_of(struct place *place, const char *out, struct err *err)
{
    const char *slash = strrchr(out, '/'), *name = slash ? slash + 1 : out;
    *place = (struct place){.format = format_of(name)};
    if (!place->format)
        return err_set(err, ERR_CONFIG, "cannot draw '%s': the name's ending picks the format; end it in .svg, .png or .pdf", out);
    for (const char *at = name; *at; at++)
        if ((unsigned char)*at < 0x20)
            return err_set(err, ERR_CONFIG, "cannot draw '%s': the file's name holds a control character; choose another name", out);
    place->folder = !slash ? strdup(".") : slash == out ? strdup("/") : strndup(out, (size_t)(slash - out));
    place->stem = strndup(name, strlen(name) - strlen(place->format->ending));
    return place->folder && place->stem ? 0 : err_no_memory(err, "the name of a figure");
}

int figure_check_path(const char *out, struct err *err)
{
    struct place place;
    int rc = place_of(&place, out, err);
    place_free(&place);
    return rc;
}

/* "<folder>/<stem><ending>", malloc'ed. */
static char *place_path(const struct place *place, const char *ending)
{
    struct text path = {0};
    text_printf(&path, "%s/%s%s", place->folder, place->stem, ending);
    return text_take(&path);
}

/* A quoted name relative to the figure's folder. File names are bytes, so only the quote is changed. */
static void text_quote_name(struct text *text, const struct place *place, const char *ending)
{
    text_put(text, "'");
    for (const char *at = place->stem; *at; at++)
        text_add(text, *at == '\'' ? "''" : at, *at == '\'' ? 2 : 1);
    text_printf(text, "%s'", ending);
}

enum { STATUS_NO_TERMINAL = 3 }; /* exit status of a script whose terminal is missing */

/* What stands before every figure's own commands. */
static void script_head(struct text *script, const struct place *place, const struct drawing *drawing)
{
    const struct format *format = place->format;
    int width = drawing->width ? drawing->width : CANVAS_WIDTH;
    text_printf(script, "# Draws %s%s from %s.dat; run in this folder: gnuplot %s.gp\n", place->stem, format->ending, place->stem,
                place->stem);
    text_printf(script, "if (strstrt(GPVAL_TERMINALS, ' %s ') == 0) { exit status %d }\n", format->terminal, (int)STATUS_NO_TERMINAL);
    text_put(script, "set encoding utf8\n");
    text_printf(script, "set terminal %s noenhanced size %.10g%s,%.10g%s font 'Sans,%.10g' background rgb 'white'\n", format->terminal,
                width * format->unit, format->suffix, drawing->height * format->unit, format->suffix, format->font);
    text_put(script, "set output ");
    text_quote_name(script, place, format->ending);
    text_put(script, "\ndata = ");
    text_quote_name(script, place, ".dat");
    if (drawing->pixels.length) {
        text_put(script, "\npixels = ");
        text_quote_name(script, place, ".rgb");
    }
    text_printf(script, "\nlarge = ',%.3g'\nsmall = ',%.3g'\ntiny = ',%.3g'\npoint = %.3g\n", 1.35 * format->font, 0.9 * format->font,
                0.65 * format->font, format->point);
    text_put(script, "set border 3 linecolor rgb '#444444'\nset tics nomirror out textcolor rgb '#222222' format '%g'\n"
                     "set grid linetype 1 linecolor rgb '#d4d4d4' linewidth 1 dashtype 1\nset bars 0.6\n");
}

static int file_write(const char *path, const char *bytes, size_t n, struct err *err)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return err_errno(err, "write", path);
    bool good = fwrite(bytes, 1, n, file) == n;
    if (fclose(file) != 0 || !good)
        return err_errno(err, "write", path);
    return 0;
}

/* ---- process --------------------------------------------------------------------------------------------------------------- */

struct speech { char text[4096]; size_t length; }; /* the end of what gnuplot said */

static void speech_add(struct speech *speech, const char *bytes, size_t n)
{
    size_t room = sizeof speech->text - 1 - speech->length;
    if (n > room) {
        size_t forget = n - room;
        memmove(speech->text, speech->text + forget, speech->length - forget);
        speech->length -= forget;
    }
    memcpy(speech->text + speech->length, bytes, n);
    speech->length += n;
    speech->text[speech->length] = 0;
}

static void speech_hear(struct speech *speech, int fd)
{
    char piece[1024];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        speech_add(speech, piece, (size_t)n);
    }
}

/* The last line with words in it: gnuplot shows the place first and says what is wrong last. */
static const char *speech_last_line(struct speech *speech)
{
    const char *last = "no reason given";
    char *rest = NULL;
    for (char *line = strtok_r(speech->text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (line[strspn(line, " \t^")])
            last = line;
    return last;
}

/* In the child: becomes gnuplot, or writes errno to `report`. */
static void become_gnuplot(const char *folder, const char *script, int said, int report)
{
    char *const command[] = {(char[]){"gnuplot"}, (char[]){"--default-settings"}, (char *)(uintptr_t)script, NULL};
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0 && dup2(nothing, 0) >= 0 && dup2(said, 1) >= 0 && dup2(said, 2) >= 0 && chdir(folder) == 0)
        execvp(command[0], command);
    int saved = errno;
    ssize_t n = write(report, &saved, sizeof saved);
    _exit(n == sizeof saved ? 127 : 126);
}

/* *status as from waitpid; *failure is the errno that kept gnuplot from starting, 0 if it ran. */
static int gnuplot_run(const char *folder, const char *script, struct speech *speech, int *status, int *failure, struct err *err)
{
    int said[2], report[2];
    if (pipe(said) != 0)
        return err_errno(err, "start", "gnuplot");
    if (pipe(report) != 0) {
        close(said[0]);
        close(said[1]);
        return err_errno(err, "start", "gnuplot");
    }
    fcntl(report[1], F_SETFD, FD_CLOEXEC); /* closes when gnuplot starts */
    pid_t child = fork();
    if (child == 0)
        become_gnuplot(folder, script, said[1], report[1]);
    close(said[1]);
    close(report[1]);
    int rc = 0;
    if (child < 0) {
        rc = err_errno(err, "start", "gnuplot");
    } else {
        speech_hear(speech, said[0]);
        *failure = 0;
        if (read(report[0], failure, sizeof *failure) != sizeof *failure)
            *failure = 0;
        while (waitpid(child, status, 0) < 0 && errno == EINTR)
            ;
    }
    close(said[0]);
    close(report[0]);
    return rc;
}

/* From how gnuplot ended to an error, or 0 when the figure is there. */
static int gnuplot_judge(const struct place *place, const char *out, struct speech *speech, int status, int failure, struct err *err)
{
    struct stat info;
    if (failure == ENOENT)
        return err_set(err, ERR_IO, "cannot draw '%s': gnuplot is not installed; install it, on Debian with: apt install gnuplot-nox", out);
    if (failure)
        return err_set(err, ERR_IO, "cannot draw '%s': gnuplot does not start: %s", out, strerror(failure));
    if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_TERMINAL)
        return err_set(err, ERR_IO, "cannot draw '%s': this gnuplot lacks the terminal '%s'; install Debian's gnuplot-nox, or use another "
                                    "ending",
                       out, place->format->terminal);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, ERR_IO, "cannot draw '%s': gnuplot says: %s; its script is beside it, as %s.gp", out, speech_last_line(speech),
                       place->stem);
    if (stat(out, &info) != 0 || info.st_size == 0)
        return err_set(err, ERR_IO, "cannot draw '%s': gnuplot wrote nothing there; is the disk full?", out);
    return 0;
}

static int drawing_write(const struct place *place, const struct drawing *drawing, struct err *err)
{
    struct text whole = {0};
    script_head(&whole, place, drawing);
    text_add(&whole, drawing->script.bytes, drawing->script.length);
    const struct { const char *ending; const struct text *bytes; } files[] = {
        {".dat", &drawing->data}, {".gp", &whole}, {".rgb", &drawing->pixels}};
    int rc = whole.failed ? err_no_memory(err, "a plot") : 0;
    for (size_t i = 0; i < sizeof files / sizeof *files && rc == 0; i++) {
        char *path = files[i].bytes->length ? place_path(place, files[i].ending) : NULL;
        if (path)
            rc = file_write(path, files[i].bytes->bytes, files[i].bytes->length, err);
        else if (files[i].bytes->length)
            rc = err_no_memory(err, "a plot");
        free(path);
    }
    text_free(&whole);
    return rc;
}

static int drawing_run(const struct place *place, const char *out, struct err *err)
{
    struct text name = {0};
    struct speech speech = {.length = 0};
    int status = 0, failure = 0;
    text_printf(&name, "./%s.gp", place->stem);
    char *script = text_take(&name);
    int rc = script ? gnuplot_run(place->folder, script, &speech, &status, &failure, err) : err_no_memory(err, "a plot");
    free(script);
    return rc < 0 ? rc : gnuplot_judge(place, out, &speech, status, failure, err);
}

int drawing_finish(struct drawing *drawing, int rc, const char *out, struct err *err)
{
    struct place place = {0};
    if (rc == 0)
        rc = place_of(&place, out, err);
    if (rc == 0 && (drawing->data.failed || drawing->script.failed || drawing->pixels.failed))
        rc = err_no_memory(err, "a plot");
    if (rc == 0 && (rc = drawing_write(&place, drawing, err)) == 0)
        rc = drawing_run(&place, out, err);
    place_free(&place);
    text_free(&drawing->data);
    text_free(&drawing->script);
    text_free(&drawing->pixels);
    return rc;
}
