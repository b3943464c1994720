/* Shown, drawn: which frames, in their own size, with their captions, above the rows. */
#include "harness/shown.h"

#include "plots/token_picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 6 }; /* frames that are drawn unless somebody says which */

/* ---- columns ------------------------------------------------------------------------------------------------------------- */

/* A frame of the video. A short video's is shown several times: `repeat` counts from 0. */
struct column { size_t slot, repeat, place; };

static size_t repeats(const struct job_cell *cell, uint32_t index)
{
    size_t n = 0;
    for (size_t i = 0; i < cell->n; i++)
        n += cell->index[i] == index;
    return n;
}

/* Every frame as often as the cell that shows it most often does. */
static struct column *list_columns(struct shown *shown, size_t *n)
{
    const struct job *job = shown->job;
    size_t room = 0;
    *n = 0;
    for (size_t c = 0; c < job->n_cells; c++)
        room += job->cells[c].n;
    struct column *columns = arena_alloc(&shown->arena, room, sizeof *columns);
    for (size_t slot = 0; slot < job->frames.n && columns; slot++) {
        size_t most = 0;
        for (size_t c = 0; c < job->n_cells; c++) {
            size_t times = repeats(&job->cells[c], job->frames.index[slot]);
            most = times > most ? times : most;
        }
        for (size_t repeat = 0; repeat < most; repeat++)
            columns[*n] = (struct column){slot, repeat, *n + 1}, (*n)++;
    }
    return columns;
}

/* Which of a cell's frames a column shows; -1: none. */
static int frame_of(const struct job *job, const struct job_cell *cell, const struct column *column)
{
    size_t before = 0;
    for (size_t i = 0; i < cell->n; i++)
        if (cell->index[i] == job->frames.index[column->slot] && before++ == column->repeat)
            return (int)i;
    return -1;
}

/* ---- places -------------------------------------------------------------------------------------------------------------- */

static int refuse_places(const char *places, size_t n, struct err *err)
{
    return err_set(err, ERR_CONFIG, "--show should be places from 1 to %zu such as 1,3,5-8, or all; it is '%s'", n, places);
}

/* Sets chosen[0..n). */
static int read_places(const char *places, size_t n, bool *chosen, struct err *err)
{
    for (const char *at = places; *at;) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (end == at || *at < '0' || *at > '9')
            return refuse_places(places, n, err);
        if (*end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
            if (end == at || *at < '0' || *at > '9')
                return refuse_places(places, n, err);
        }
        if (!first || last < first || last > n || (*end && (*end != ',' || !end[1])))
            return refuse_places(places, n, err);
        for (; first <= last; first++)
            chosen[first - 1] = true;
        at = *end ? end + 1 : end;
    }
    return *places ? 0 : refuse_places(places, n, err);
}

/* Moves the chosen columns to the front, and says how many. */
static int choose_columns(struct shown *shown, const char *places, struct column *columns, size_t *n, struct err *err)
{
    bool *chosen = arena_alloc(&shown->arena, *n, sizeof *chosen), all = places && !strcmp(places, "all");
    size_t few = *n < FEW ? *n : FEW, kept = 0;
    if (!chosen)
        return err_no_memory(err, "a picture");
    for (size_t i = 0; i < few && !places; i++)
        chosen[few > 1 ? i * (*n - 1) / (few - 1) : 0] = true;
    int rc = places && !all ? read_places(places, *n, chosen, err) : 0;
    for (size_t i = 0; i < *n; i++)
        if (chosen[i] || all)
            columns[kept++] = columns[i];
    *n = kept;
    return rc;
}

/* ---- frames -------------------------------------------------------------------------------------------------------------- */

/* A frame in its own size, made as wide as it is drawn: out[height][width][3]. */
static int read_frame(struct video *video, uint32_t index, int width, int height, uint8_t *out, struct err *err)
{
    struct frames frames = {0};
    size_t n_replaced = 0;
    int rc = video_read(video, &index, 1, 0, &frames, &n_replaced, err);
    if (!rc)
        rc = resize_bicubic(frames.rgb, frames.width, frames.height, out, width, height, err);
    frames_free(&frames);
    return rc;
}

static int fill_columns(struct shown *shown, const struct column *columns, struct token_picture *picture, struct err *err)
{
    const struct frames *frames = &shown->job->frames;
    struct token_column *out = arena_alloc(&shown->arena, picture->n_columns, sizeof *out);
    struct video *video = NULL;
    int rc = out ? video_open(&video, shown->job->video, 1, err) : err_no_memory(err, "a picture");
    for (size_t i = 0; i < picture->n_columns && !rc; i++) {
        uint32_t index = frames->index[columns[i].slot];
        uint8_t *rgb = arena_alloc(&shown->arena, (size_t)picture->width * (size_t)picture->height, 3);
        out[i].rgb = rgb;
        out[i].caption = arena_printf(&shown->arena, "%zu: frame %u, %.2f s%s", columns[i].place, index, frames->time_s[columns[i].slot],
                                      columns[i].repeat ? ", again" : "");
        rc = rgb && out[i].caption ? read_frame(video, index, picture->width, picture->height, rgb, err) : err_no_memory(err, "a picture");
    }
    video_close(video);
    picture->columns = out;
    return rc;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static const char *row_note(struct shown *shown, const struct shown_row *row)
{
    size_t in = row->content_before + row->markers_before, out = row->groups.n + row->groups.markers, content = row->groups.n;
    return arena_printf(&shown->arena, "%zu of %zu tokens, %.1f %%; content %zu of %zu, %.1f %%, of %zu unpooled %.1f %%", out, in,
                        100 * (double)out / (double)in, content, row->content_before, 100 * (double)content / (double)row->content_before,
                        row->unpooled, 100 * (double)content / (double)row->unpooled);
}

/* Layers in which nothing has happened yet to the uncompressed grid: there is nothing to see. */
static bool is_idle(const struct shown_row *row)
{
    const struct token_groups *groups = &row->groups;
    bool idle = row->first_layer >= 0 && groups->n == (size_t)groups->T * (size_t)groups->h * (size_t)groups->w;
    for (size_t i = 0; i < groups->n && idle; i++)
        idle = groups->group[i].size == 1 && groups->group[i].cells == 1;
    return idle;
}

static size_t count_rows(const struct shown *shown)
{
    size_t n = 0;
    for (size_t r = 0; r < shown->n; r++)
        n += !is_idle(&shown->rows[r]);
    return n;
}

static int fill_rows(struct shown *shown, const struct column *columns, struct token_picture *picture, struct err *err)
{
    struct token_row *out = arena_alloc(&shown->arena, shown->n, sizeof *out);
    picture->rows = out;
    for (size_t r = 0; r < shown->n && out; r++) {
        const struct shown_row *row = &shown->rows[r];
        int *frame = arena_alloc(&shown->arena, picture->n_columns, sizeof *frame);
        if (is_idle(row))
            continue;
        *out = (struct token_row){.label = shown_label(shown, row), .note = row_note(shown, row), .groups = &row->groups, .frame = frame};
        if (!frame || !out->label || !out->note)
            return err_no_memory(err, "a picture");
        for (size_t c = 0; c < picture->n_columns; c++)
            frame[c] = frame_of(shown->job, &shown->job->cells[row->cell], &columns[c]);
        picture->n_rows++;
        out++;
    }
    return out ? 0 : err_no_memory(err, "a picture");
}

int shown_draw(struct shown *shown, const char *places, int width, const char *title, const char *note, const char *out, struct err *err)
{
    const struct video_facts *facts = &shown->job->facts;
    struct token_picture picture = {.title = title, .note = note, .width = width};
    picture.height = (int)((double)width * facts->height / facts->width + 0.5);
    picture.height = picture.height ? picture.height : 1;
    struct column *columns = list_columns(shown, &picture.n_columns);
    int rc = columns ? choose_columns(shown, places, columns, &picture.n_columns, err) : err_no_memory(err, "a picture");
    if (!rc)
        rc = token_picture_check(&picture, count_rows(shown), err);
    if (!rc)
        rc = fill_columns(shown, columns, &picture, err);
    if (!rc)
        rc = fill_rows(shown, columns, &picture, err);
    return rc ? rc : token_picture_draw(&picture, out, err);
}
