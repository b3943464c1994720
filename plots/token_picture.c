/* Token pictures: a grid of panels. Pixels (frame, tint, fading) are mixed here; outlines and text are gnuplot's, so that they stay
 * sharp. */
#include "plots/token_picture.h"

#include "plots/plot_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 16, GAP = 8, HEAD = 58, CAPTION = 20, ROW_HEAD = 52, LEGEND = 40, LEAST_WIDTH = 640 }; /* pixels */
enum { STRIP_WIDTH = 200, STRIP_HEIGHT = 24, CHIP_HEIGHT = 11 };
enum { HUES = 7 };

static const double tiny_letter = 5.8, small_letter = 7; /* widths of letters, in pixels */

/* Okabe and Ito's, and what is legible on each. */
static const struct hue { unsigned rgb, ink; } hues[HUES] = {
    {0x0072b2, 0xffffff}, {0xe69f00, 0x000000}, {0x009e73, 0xffffff}, {0xcc79a7, 0x000000},
    {0xd55e00, 0xffffff}, {0x56b4e9, 0x000000}, {0xf0e442, 0x000000}};

/* Kinds of marks, each a block of the data file, in the order of drawing. */
enum ink {
    INK_HAIR,
    INK_CUT,
    INK_EDGE,
    INK_FINE_EDGE,
    INK_HUE,
    INK_FINE_HUE = INK_HUE + HUES,
    INK_BOX = INK_FINE_HUE + HUES,
    INK_WORD,
    INKS
};

struct identity { uint32_t letter; int hue; }; /* letter 0: none */

struct seen { bool single, merged, lettered, earlier, dropped, spread; }; /* what the legend has to explain */

struct sketch {
    const struct token_picture *picture;
    struct drawing drawing;
    struct text ink[INKS], images;
    struct seen seen;
    struct arena arena;
};

struct place { double x, y; }; /* pixels from the upper left corner */

/* One row's groups in one column. */
struct panel_of {
    const struct token_groups *groups;
    const struct identity *identity;
    int t;
    struct place at;
};

/* ---- marks --------------------------------------------------------------------------------------------------------------- */

static void add_line(struct sketch *sketch, enum ink ink, double x0, double y0, double x1, double y1)
{
    text_printf(&sketch->ink[ink], "%.2f %.2f\n%.2f %.2f\n\n", x0, y0, x1, y1);
}

/* rgb: 0xaarrggbb, aa: how transparent */
static void add_box(struct sketch *sketch, double x0, double y0, double x1, double y1, unsigned rgb)
{
    text_printf(&sketch->ink[INK_BOX], "%.2f %.2f %.2f %.2f %.2f %.2f %u\n", (x0 + x1) / 2, (y0 + y1) / 2, x0, x1, y0, y1, rgb);
}

static void add_word(struct sketch *sketch, double x, double y, const char *word, unsigned rgb)
{
    text_printf(&sketch->ink[INK_WORD], "%.2f %.2f ", x, y);
    text_quote_data(&sketch->ink[INK_WORD], word);
    text_printf(&sketch->ink[INK_WORD], " %u\n", rgb);
}

static void add_chip(struct sketch *sketch, double x, double y, double room, const char *word, unsigned ground, unsigned rgb)
{
    double half = (tiny_letter * (double)strlen(word) + 4) / 2, tall = room < CHIP_HEIGHT ? room : CHIP_HEIGHT;
    add_box(sketch, x - half, y - tall / 2, x + half, y + tall / 2, ground);
    add_word(sketch, x, y, word, rgb);
}

/* Text of the sheet; `look` is gnuplot's. */
static void add_text(struct sketch *sketch, double x, double y, const char *words, const char *look)
{
    text_put(&sketch->drawing.script, "set label ");
    text_quote_script(&sketch->drawing.script, words);
    text_printf(&sketch->drawing.script, " at first %.2f,%.2f %s\n", x, y, look);
}

/* ---- pixels -------------------------------------------------------------------------------------------------------------- */

static uint32_t owner_at(const struct panel_of *panel, int y, int x)
{
    const struct token_groups *groups = panel->groups;
    if (y < 0 || x < 0 || y >= groups->h || x >= groups->w)
        return OWNER_NONE;
    return groups->owner[((size_t)panel->t * (size_t)groups->h + (size_t)y) * (size_t)groups->w + (size_t)x];
}

static bool is_single(const struct panel_of *panel, uint32_t owner)
{
    const struct token_group *group = &panel->groups->group[owner];
    return group->cells == 1 && group->size == 1;
}

static bool stands_here(const struct panel_of *panel, uint32_t owner)
{
    return panel->groups->group[owner].t == panel->t;
}

static int brightness(const uint8_t *rgb)
{
    return (rgb[0] * 299 + rgb[1] * 587 + rgb[2] * 114) / 1000;
}

/* A dropped pixel keeps a trace of its brightness, under thin stripes; a merged one takes most of its token's colour, less of it where the
 * token stands in another frame. */
static void mix_pixel(const struct panel_of *panel, uint32_t owner, bool stripe, const uint8_t *from, uint8_t *to)
{
    enum { PAPER = 246, STRIPE = 222 };
    enum { FADED = 26, TINT = 68, ELSEWHERE = 52 }; /* percent that is left of the frame, of the token's colour, of both */
    int grey = brightness(from);
    for (int c = 0; c < 3; c++)
        if (owner == OWNER_NONE) {
            to[c] = (uint8_t)((grey * FADED + (stripe ? STRIPE : PAPER) * (100 - FADED)) / 100);
        } else if (owner == OWNER_ALL || is_single(panel, owner)) {
            to[c] = from[c];
        } else {
            int mixed = (panel->groups->group[owner].rgb[c] * TINT + from[c] * (100 - TINT)) / 100;
            to[c] = (uint8_t)(stands_here(panel, owner) ? mixed : (mixed * ELSEWHERE + PAPER * (100 - ELSEWHERE)) / 100);
        }
}

static void place_image(struct sketch *sketch, struct place at, const uint8_t *rgb)
{
    const struct token_picture *picture = sketch->picture;
    text_put(&sketch->images, sketch->images.length ? ", \\\n  " : "");
    text_printf(&sketch->images, "pixels binary skip=%zu array=(%d,%d) origin=(%.1f,%.1f) ", sketch->drawing.pixels.length, picture->width,
                picture->height, at.x + 0.5, at.y + 0.5);
    text_put(&sketch->images, "format='%uchar%uchar%uchar' using 1:2:3 with rgbimage");
    text_add(&sketch->drawing.pixels, (const char *)rgb, (size_t)picture->width * (size_t)picture->height * 3);
}

static int draw_pixels(struct sketch *sketch, const struct panel_of *panel, const uint8_t *rgb, struct err *err)
{
    int width = sketch->picture->width, height = sketch->picture->height;
    uint8_t *mixed = malloc((size_t)width * (size_t)height * 3);
    if (!mixed)
        return err_no_memory(err, "a picture");
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            size_t pixel = ((size_t)y * (size_t)width + (size_t)x) * 3;
            uint32_t owner = owner_at(panel, y * panel->groups->h / height, x * panel->groups->w / width);
            mix_pixel(panel, owner, (x + y) % 7 == 0, rgb + pixel, mixed + pixel);
        }
    place_image(sketch, panel->at, mixed);
    free(mixed);
    return 0;
}

/* ---- outlines ------------------------------------------------------------------------------------------------------------ */

/* Merged, and standing here: lettered ones have sides of their own. */
static bool has_edge(const struct panel_of *panel, uint32_t owner)
{
    return owner < OWNER_ALL && !is_single(panel, owner) && !panel->identity[owner].letter && stands_here(panel, owner);
}

/* What stands between two neighbouring cells: nothing (-1), a hair between single tokens, a cut towards what was dropped, an edge round
 * merged ones. */
static int border_ink(const struct panel_of *panel, uint32_t a, uint32_t b, bool fine)
{
    if ((a >= OWNER_ALL && b >= OWNER_ALL) || a == b)
        return -1;
    if (has_edge(panel, a) || has_edge(panel, b))
        return fine ? INK_FINE_EDGE : INK_EDGE;
    return a == OWNER_NONE || b == OWNER_NONE ? INK_CUT : INK_HAIR;
}

struct scale { double cell_w, cell_h; bool fine; struct place at; }; /* fine: strokes are thin, since cells are small */

static struct scale scale_of(const struct sketch *sketch, const struct panel_of *panel)
{
    struct scale scale = {.cell_w = (double)sketch->picture->width / panel->groups->w,
                          .cell_h = (double)sketch->picture->height / panel->groups->h, .at = panel->at};
    scale.fine = scale.cell_w < 13 || scale.cell_h < 13;
    return scale;
}

/* Through the middle of a pixel: sharp. */
static double sharp(double at)
{
    return floor(at) + 0.5;
}

/* Borders along one grid line, equal neighbours as one stroke. `across`: a horizontal line, above row `line`. */
static void draw_border(struct sketch *sketch, const struct panel_of *panel, bool across, int line)
{
    struct scale s = scale_of(sketch, panel);
    int n = across ? panel->groups->w : panel->groups->h, from = 0, ink = -1;
    for (int i = 0; i <= n; i++) {
        int now = i == n ? -1
                  : across ? border_ink(panel, owner_at(panel, line - 1, i), owner_at(panel, line, i), s.fine)
                           : border_ink(panel, owner_at(panel, i, line - 1), owner_at(panel, i, line), s.fine);
        if (now == ink)
            continue;
        double start = sharp(across ? s.at.x + from * s.cell_w : s.at.y + from * s.cell_h);
        double end = sharp(across ? s.at.x + i * s.cell_w : s.at.y + i * s.cell_h);
        double beside = sharp(across ? s.at.y + line * s.cell_h : s.at.x + line * s.cell_w);
        if (ink >= 0)
            add_line(sketch, (enum ink)ink, across ? start : beside, across ? beside : start, across ? end : beside, across ? beside : end);
        from = i;
        ink = now;
    }
}

/* The sides of a lettered token's cells, a little inside of them, so that neighbours' colours stand side by side. */
static void draw_sides(struct sketch *sketch, const struct panel_of *panel, int y, int x)
{
    uint32_t owner = owner_at(panel, y, x);
    if (owner >= OWNER_ALL || !panel->identity[owner].letter)
        return;
    struct scale s = scale_of(sketch, panel);
    const double in = s.fine ? 1 : 1.8, corner = in / 2;
    enum ink ink = (enum ink)((s.fine ? INK_FINE_HUE : INK_HUE) + panel->identity[owner].hue);
    bool up = owner_at(panel, y - 1, x) == owner, down = owner_at(panel, y + 1, x) == owner;
    bool left = owner_at(panel, y, x - 1) == owner, right = owner_at(panel, y, x + 1) == owner;
    double x0 = s.at.x + x * s.cell_w + (left ? 0 : in), x1 = s.at.x + (x + 1) * s.cell_w - (right ? 0 : in);
    double y0 = s.at.y + y * s.cell_h + (up ? 0 : in), y1 = s.at.y + (y + 1) * s.cell_h - (down ? 0 : in);
    if (!up)
        add_line(sketch, ink, x0 - (left ? 0 : corner), y0, x1 + (right ? 0 : corner), y0);
    if (!down)
        add_line(sketch, ink, x0 - (left ? 0 : corner), y1, x1 + (right ? 0 : corner), y1);
    if (!left)
        add_line(sketch, ink, x0, y0, x0, y1);
    if (!right)
        add_line(sketch, ink, x1, y0, x1, y1);
}

static void draw_outlines(struct sketch *sketch, const struct panel_of *panel)
{
    for (int line = 0; line <= panel->groups->h; line++)
        draw_border(sketch, panel, true, line);
    for (int line = 0; line <= panel->groups->w; line++)
        draw_border(sketch, panel, false, line);
    for (int y = 0; y < panel->groups->h; y++)
        for (int x = 0; x < panel->groups->w; x++)
            draw_sides(sketch, panel, y, x);
}

/* ---- sizes and letters --------------------------------------------------------------------------------------------------- */

/* A piece of a token in a panel, and the run of cells in which there is most room for its label, or where the token stands. */
struct piece { int y0, y1, x0, x1, cells; int run_y, run_x, run; bool stands; };

static void join_run(struct piece *piece, int y, int x, int run, bool stands)
{
    piece->y0 = piece->cells && piece->y0 < y ? piece->y0 : y;
    piece->x0 = piece->cells && piece->x0 < x ? piece->x0 : x;
    piece->y1 = piece->cells && piece->y1 > y + 1 ? piece->y1 : y + 1;
    piece->x1 = piece->cells && piece->x1 > x + run ? piece->x1 : x + run;
    piece->cells += run;
    if (stands || (!piece->stands && run > piece->run)) {
        piece->run_y = y;
        piece->run_x = x;
        piece->run = run;
    }
    piece->stands |= stands;
}

/* All pieces of a panel; a frame's are numbered without gaps from the first owned cell's on. */
static struct piece *gather_pieces(const struct panel_of *panel, struct arena *arena, uint32_t *first, size_t *n)
{
    const struct token_groups *groups = panel->groups;
    size_t frame = (size_t)groups->h * (size_t)groups->w, w = (size_t)groups->w;
    const uint32_t *number = groups->piece + (size_t)panel->t * frame, *owner = groups->owner + (size_t)panel->t * frame;
    struct piece *pieces = arena_alloc(arena, frame, sizeof *pieces);
    *n = 0;
    *first = PIECE_NONE;
    for (size_t i = 0, run = 1; i < frame && pieces; i += run, run = 1) {
        if (number[i] == PIECE_NONE)
            continue;
        *first = *first == PIECE_NONE ? number[i] : *first;
        *n = number[i] - *first + 1 > *n ? number[i] - *first + 1 : *n;
        while ((i + run) % w && number[i + run] == number[i])
            run++;
        const struct token_group *group = &groups->group[owner[i]];
        bool stands = group->t == panel->t && group->y == i / w && group->x >= i % w && group->x < i % w + run && !group->elsewhere;
        join_run(&pieces[number[i] - *first], (int)(i / w), (int)(i % w), (int)run, stands);
    }
    return pieces;
}

static void name_letter(uint32_t letter, char out[12])
{
    char reversed[12];
    int n = 0;
    for (; letter && n < 7; letter = (letter - 1) / 26)
        reversed[n++] = (char)('a' + (letter - 1) % 26);
    for (int i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    out[n] = 0;
}

/* "7", "b", "b7": as much of a token's letter and size as there is room for. */
static void draw_label(struct sketch *sketch, const struct panel_of *panel, const struct piece *piece, uint32_t owner)
{
    const struct token_group *group = &panel->groups->group[owner];
    const struct identity *identity = &panel->identity[owner];
    struct scale s = scale_of(sketch, panel);
    bool square = piece->cells == (piece->y1 - piece->y0) * (piece->x1 - piece->x0) && !(identity->letter && piece->stands);
    double x = square ? (piece->x0 + piece->x1) / 2.0 : piece->run_x + piece->run / 2.0;
    double y = square ? (piece->y0 + piece->y1) / 2.0 : piece->run_y + 0.5;
    double room = (square ? piece->x1 - piece->x0 : piece->run) * s.cell_w, height = (square ? piece->y1 - piece->y0 : 1) * s.cell_h;
    char letter[12], word[24];
    name_letter(identity->letter, letter);
    snprintf(word, sizeof word, "%s", letter);
    if (group->size > 1 && (piece->stands || (!identity->letter && stands_here(panel, owner)))) {
        int n = snprintf(word, sizeof word, "%s%u", letter, group->size);
        if (tiny_letter * n + 1 > room)
            snprintf(word, sizeof word, "%s", letter);
    }
    if (!word[0] || tiny_letter * (double)strlen(word) + 1 > room || height < CHIP_HEIGHT - 3)
        return;
    x = s.at.x + x * s.cell_w;
    y = s.at.y + y * s.cell_h;
    if (identity->letter && piece->stands)
        add_chip(sketch, x, y, height, word, hues[identity->hue].rgb, hues[identity->hue].ink);
    else if (identity->letter || s.fine) /* small cells would be all chip */
        add_word(sketch, x, y, word, brightness(group->rgb) > 130 || !stands_here(panel, owner) ? 0x000000 : 0xffffff);
    else
        add_chip(sketch, x, y, height, word, 0x60101010, 0xffffff);
}

static int draw_labels(struct sketch *sketch, const struct panel_of *panel, struct err *err)
{
    struct arena arena = {0};
    uint32_t first;
    size_t n, frame = (size_t)panel->groups->h * (size_t)panel->groups->w;
    const struct piece *pieces = gather_pieces(panel, &arena, &first, &n);
    const uint32_t *number = panel->groups->piece + (size_t)panel->t * frame, *owner = panel->groups->owner + (size_t)panel->t * frame;
    size_t next = 0;
    for (size_t i = 0; i < frame && pieces; i++)
        if (number[i] != PIECE_NONE && number[i] - first == next && next < n) { /* the first cell of each piece, in order */
            draw_label(sketch, panel, &pieces[next], owner[i]);
            next++;
        }
    arena_free(&arena);
    return pieces ? 0 : err_no_memory(err, "a picture");
}

/* ---- identities ---------------------------------------------------------------------------------------------------------- */

/* A hue that neither the cell to the left nor the one above has. */
static int free_hue(const struct panel_of *panel, int y, int x, uint32_t letter)
{
    int hue = (int)(letter % HUES);
    for (int tries = 0; tries < 3; tries++) {
        bool taken = false;
        for (int side = 0; side < 2; side++) {
            uint32_t near = side ? owner_at(panel, y - 1, x) : owner_at(panel, y, x - 1);
            taken |= near < OWNER_ALL && panel->identity[near].letter && panel->identity[near].hue == hue;
        }
        if (!taken)
            break;
        hue = (hue + 1) % HUES;
    }
    return hue;
}

/* Letters for the tokens in several pieces that the shown frames have, in the order of their first cells; and what there is to explain. */
static void identify(struct sketch *sketch, const struct token_row *row, struct identity *identity)
{
    uint32_t letters = 0;
    for (size_t c = 0; c < sketch->picture->n_columns; c++) {
        struct panel_of panel = {.groups = row->groups, .identity = identity, .t = row->frame[c]};
        for (int y = 0; y < row->groups->h && panel.t >= 0; y++)
            for (int x = 0; x < row->groups->w; x++) {
                uint32_t owner = owner_at(&panel, y, x);
                sketch->seen.dropped |= owner == OWNER_NONE;
                sketch->seen.spread |= owner == OWNER_ALL;
                if (owner >= OWNER_ALL)
                    continue;
                const struct token_group *group = &row->groups->group[owner];
                bool apart = group->pieces > 1 && !group->still;
                sketch->seen.lettered |= apart;
                sketch->seen.single |= !apart && is_single(&panel, owner);
                sketch->seen.merged |= !apart && !is_single(&panel, owner);
                sketch->seen.earlier |= !stands_here(&panel, owner);
                if (apart && !identity[owner].letter) {
                    identity[owner].hue = free_hue(&panel, y, x, letters);
                    identity[owner].letter = ++letters;
                }
            }
    }
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------- */

static double column_x(const struct token_picture *picture, size_t c)
{
    return MARGIN + (double)c * (picture->width + GAP);
}

/* Tokens that stand in each frame of the video as bars, at the right of a row's head; those of shown frames are dark. */
static void draw_strip(struct sketch *sketch, const struct token_row *row, double y)
{
    const struct token_groups *groups = row->groups;
    double bar = (double)STRIP_WIDTH / groups->T, right = sketch->drawing.width - MARGIN;
    bar = bar > 8 ? 8 : bar;
    double left = right - bar * groups->T;
    size_t most = 1;
    for (int t = 0; t < groups->T; t++)
        most = token_groups_in_frame(groups, t) > most ? token_groups_in_frame(groups, t) : most;
    for (int t = 0; t < groups->T; t++) {
        double height = STRIP_HEIGHT * (double)token_groups_in_frame(groups, t) / (double)most;
        bool shown = false;
        for (size_t c = 0; c < sketch->picture->n_columns; c++)
            shown |= row->frame[c] == t;
        double end = left + (t + (bar > 2 ? 0.85 : 1)) * bar;
        add_box(sketch, left + t * bar, y + STRIP_HEIGHT - height, end, y + STRIP_HEIGHT, shown ? 0x333333 : 0xb0b0b0);
    }
    char words[64];
    int n = snprintf(words, sizeof words, "tokens per frame, at most %zu", most);
    if (MARGIN + small_letter * (double)(strlen(row->label) + (size_t)n) + GAP < left)
        add_text(sketch, left - 6, y + STRIP_HEIGHT - 6, words, "right font small textcolor rgb '#444444'");
}

static int draw_panel(struct sketch *sketch, const struct token_row *row, const struct identity *identity, size_t c, double y,
                      struct err *err)
{
    const struct token_picture *picture = sketch->picture;
    struct panel_of panel = {row->groups, identity, row->frame[c], {column_x(picture, c), y}};
    if (panel.t < 0) {
        add_text(sketch, panel.at.x + picture->width / 2.0, y + picture->height / 2.0, "not shown",
                 "center font small textcolor rgb '#888888'");
        return 0;
    }
    int rc = draw_pixels(sketch, &panel, picture->columns[c].rgb, err);
    draw_outlines(sketch, &panel);
    if (!rc)
        rc = draw_labels(sketch, &panel, err);
    char words[64];
    size_t n = token_groups_in_frame(row->groups, panel.t);
    snprintf(words, sizeof words, n == 1 ? "1 token" : "%zu tokens", n);
    add_text(sketch, panel.at.x + picture->width / 2.0, y + picture->height + 9, words, "center font small textcolor rgb '#444444'");
    return rc;
}

static int draw_row(struct sketch *sketch, const struct token_row *row, double y, struct err *err)
{
    struct identity *identity = arena_alloc(&sketch->arena, row->groups->n, sizeof *identity);
    if (!identity)
        return err_no_memory(err, "a picture");
    identify(sketch, row, identity);
    add_text(sketch, MARGIN, y + 20, row->label, "left font 'Sans Bold'.small");
    add_text(sketch, MARGIN, y + 38, row->note, "left font small textcolor rgb '#444444'");
    draw_strip(sketch, row, y + 4);
    int rc = 0;
    for (size_t c = 0; c < sketch->picture->n_columns && !rc; c++)
        rc = draw_panel(sketch, row, identity, c, y + ROW_HEAD, err);
    return rc;
}

/* ---- legend -------------------------------------------------------------------------------------------------------------- */

static void draw_swatch(struct sketch *sketch, double x, double y, int kind)
{
    static const unsigned fill[] = {0xa8b8c8, 0x8fa37c, 0xb59a86, 0xc5cfbc, 0xe6e6e6, 0xa8b8c8};
    add_box(sketch, x, y - 9, x + 26, y + 9, fill[kind]);
    if (kind == 0)
        for (int i = 0; i < 3; i++)
            add_line(sketch, INK_HAIR, x + 13 * i, y - 9, x + 13 * i, y + 9);
    if (kind == 1)
        add_chip(sketch, x + 13, y, CHIP_HEIGHT, "7", 0x60101010, 0xffffff);
    if (kind == 2)
        add_chip(sketch, x + 13, y, CHIP_HEIGHT, "b7", hues[0].rgb, hues[0].ink);
    for (int side = 0; side < 2 && kind < 3; side++) {
        enum ink ink = kind == 0 ? INK_HAIR : kind == 1 ? INK_EDGE : INK_HUE;
        add_line(sketch, ink, x, y + (side ? 9 : -9), x + 26, y + (side ? 9 : -9));
        add_line(sketch, ink, x + (side ? 26 : 0), y - 9, x + (side ? 26 : 0), y + 9);
    }
}

static void draw_legend(struct sketch *sketch, double y)
{
    const struct { bool there; const char *words; } entries[] = {
        {sketch->seen.single, "a token as it is"},
        {sketch->seen.merged, "merged: mean colour, sources"},
        {sketch->seen.lettered, "one token in several places: its letter, and its sources where it stands"},
        {sketch->seen.earlier, "in a token of another frame: of the same place, or letter"},
        {sketch->seen.dropped, "dropped"},
        {sketch->seen.spread, "in tokens made of the whole frame or video"},
    };
    double x = MARGIN;
    for (int i = 0; i < 6; i++) {
        double wide = 34 + small_letter * (double)strlen(entries[i].words) + 16;
        if (!entries[i].there)
            continue;
        if (x > MARGIN && x + wide > sketch->drawing.width) {
            x = MARGIN;
            y += LEGEND / 2 + 4;
        }
        draw_swatch(sketch, x, y, i);
        add_text(sketch, x + 34, y, entries[i].words, "left font small textcolor rgb '#222222'");
        x += wide;
    }
}

/* ---- the sheet ----------------------------------------------------------------------------------------------------------- */

/* How gnuplot draws a block. */
static void put_look(struct text *script, int ink, int block)
{
    static const struct { const char *colour; double width; } lines[] = {
        [INK_HAIR] = {"#70ffffff", 0.8}, [INK_CUT] = {"#80000000", 1}, [INK_EDGE] = {"white", 1}, [INK_FINE_EDGE] = {"white", 0.5}};
    text_put(script, ", \\\n  ");
    if (ink == INK_EDGE || ink == INK_FINE_EDGE) /* white on dark shows on any frame */
        text_printf(script, "data index %d using 1:2 with lines linecolor rgb '#50000000' linewidth %g, \\\n  ", block,
                    ink == INK_EDGE ? 3 : 1.6);
    text_printf(script, "data index %d using ", block);
    if (ink == INK_BOX)
        text_put(script, "1:2:3:4:5:6:7 with boxxyerror linecolor rgb variable");
    else if (ink == INK_WORD)
        text_put(script, "1:2:3:4 with labels center font tiny textcolor rgb variable");
    else if (ink < INK_HUE)
        text_printf(script, "1:2 with lines linecolor rgb '%s' linewidth %g", lines[ink].colour, lines[ink].width);
    else
        text_printf(script, "1:2 with lines linecolor rgb '#%06x' linewidth %g", hues[(ink - INK_HUE) % HUES].rgb,
                    ink < INK_FINE_HUE ? 1.8 : 1);
}

/* The blocks that hold something become the data file, two empty lines behind each. */
static void finish_script(struct sketch *sketch)
{
    struct text *script = &sketch->drawing.script;
    text_put(script, "unset border\nunset tics\nunset grid\nunset key\nset style fill solid noborder\nset lmargin at screen 0\n"
                     "set rmargin at screen 1\nset tmargin at screen 1\nset bmargin at screen 0\n");
    text_printf(script, "set xrange [0:%d]\nset yrange [%d:0]\nplot ", sketch->drawing.width, sketch->drawing.height);
    text_add(script, sketch->images.bytes, sketch->images.length);
    for (int ink = 0, block = 0; ink < INKS; ink++)
        if (sketch->ink[ink].length) {
            text_add(&sketch->drawing.data, sketch->ink[ink].bytes, sketch->ink[ink].length);
            text_put(&sketch->drawing.data, ink < INK_BOX ? "\n" : "\n\n");
            put_look(script, ink, block++);
        }
    text_put(script, "\n");
}

static int draw_sheet(struct sketch *sketch, struct err *err)
{
    const struct token_picture *picture = sketch->picture;
    double y = HEAD + CAPTION;
    int rc = 0;
    add_text(sketch, MARGIN, 22, picture->title, "left font 'Sans Bold'.large");
    add_text(sketch, MARGIN, 44, picture->note, "left font small textcolor rgb '#444444'");
    for (size_t c = 0; c < picture->n_columns; c++) {
        add_text(sketch, column_x(picture, c) + picture->width / 2.0, HEAD + CAPTION / 2.0, picture->columns[c].caption,
                 "center font small textcolor rgb '#222222'");
        place_image(sketch, (struct place){column_x(picture, c), y}, picture->columns[c].rgb);
    }
    y += picture->height;
    for (size_t r = 0; r < picture->n_rows && !rc; r++, y += ROW_HEAD + picture->height + CAPTION)
        rc = draw_row(sketch, &picture->rows[r], y, err);
    draw_legend(sketch, y + LEGEND / 2.0);
    finish_script(sketch);
    return rc;
}

static struct place sheet_size(const struct token_picture *picture, size_t n_rows)
{
    double width = column_x(picture, picture->n_columns) - GAP + MARGIN, each = (double)picture->height + CAPTION;
    return (struct place){width > LEAST_WIDTH ? width : LEAST_WIDTH, HEAD + each + (double)n_rows * (ROW_HEAD + each) + 2 * LEGEND};
}

int token_picture_check(const struct token_picture *picture, size_t n_rows, struct err *err)
{
    struct place size = sheet_size(picture, n_rows);
    if (size.x > PICTURE_MOST_SIDE || size.y > PICTURE_MOST_SIDE || size.x * size.y > PICTURE_MOST_PIXELS)
        return err_set(err, ERR_CONFIG, "the picture would have %.0f x %.0f pixels; show fewer frames, fewer methods, or narrower frames",
                       size.x, size.y);
    return 0;
}

int token_picture_draw(const struct token_picture *picture, const char *out, struct err *err)
{
    struct sketch sketch = {.picture = picture};
    struct place size = sheet_size(picture, picture->n_rows);
    int rc = token_picture_check(picture, picture->n_rows, err);
    if (rc)
        return rc;
    sketch.drawing.width = (int)size.x;
    sketch.drawing.height = (int)size.y;
    rc = draw_sheet(&sketch, err);
    bool failed = sketch.images.failed;
    for (int i = 0; i < INKS; i++)
        failed |= sketch.ink[i].failed;
    if (!rc && failed)
        rc = err_no_memory(err, "a picture");
    rc = drawing_finish(&sketch.drawing, rc, out, err);
    for (int i = 0; i < INKS; i++)
        text_free(&sketch.ink[i]);
    text_free(&sketch.images);
    arena_free(&sketch.arena);
    return rc;
}
