/* The tiny world: from a scene to the pixels of one frame. */
#include "world/world.h"

#include "core/rng.h"

#include <string.h>

/* Shapes are counted out in samples, SAMPLES x SAMPLES to a pixel, that lie at odd eighths of it. */
enum { SAMPLES = 4, EIGHTHS = 2 * SAMPLES, MOST_RADIUS = 12, MASK_SIDE = 2 * MOST_RADIUS + 1, FULL = SAMPLES * SAMPLES, MOST_CORNERS = 12 };
enum { LABEL_SIGN = N_SHAPES + 1, LABEL_BORDER, LABEL_BAR, LEAST_MARKED = 6 };

struct canvas {
    uint8_t *rgb;
    struct world_label marks[WORLD_SIDE * WORLD_SIDE]; /* of what a pixel shows; family unused */
};

static const uint8_t palette[N_COLOURS][3] = {
    [RED] = {225, 30, 40},    [GREEN] = {30, 170, 50},  [BLUE] = {40, 70, 235},    [YELLOW] = {240, 225, 40},
    [ORANGE] = {245, 135, 20}, [PURPLE] = {150, 40, 190}, [WHITE] = {250, 250, 250}, [CYAN] = {40, 215, 225},
};

/* ---- shapes --------------------------------------------------------------------------------------------------------------- */

/* Corners in 64ths of the radius, y downwards. Disc and ring have none. */
static const struct outline {
    int n;
    int8_t x[MOST_CORNERS], y[MOST_CORNERS];
} outlines[N_SHAPES] = {
    [SHAPE_SQUARE] = {4, {-54, 54, 54, -54}, {-54, -54, 54, 54}},
    [SHAPE_TRIANGLE] = {3, {0, 64, -64}, {-60, 52, 52}},
    [SHAPE_STAR] = {10, {0, 16, 61, 26, 38, 0, -38, -26, -61, -16}, {-64, -22, -20, 8, 52, 27, 52, 8, -20, -22}},
    [SHAPE_CROSS] = {12, {-20, 20, 20, 62, 62, 20, 20, -20, -20, -62, -62, -20}, {-62, -62, -20, -20, 20, 20, 62, 62, 20, 20, -20, -20}},
};

static int root_of(int square) /* the floor */
{
    int root = 0;
    while ((root + 1) * (root + 1) <= square)
        root++;
    return root;
}

/* Where a row of samples enters and leaves the shape, ascending; all in eighths of a pixel from the centre. */
static int disc_crossings(int radius, int y, int *x)
{
    int square = radius * radius - y * y;
    if (square <= 0)
        return 0;
    x[1] = root_of(square);
    x[0] = -x[1];
    return 2;
}

static int ring_crossings(int radius, int y, int *x)
{
    int n = disc_crossings(radius, y, x), inner[2];
    if (!n || !disc_crossings(radius / 2, y, inner))
        return n;
    x[3] = x[1];
    x[1] = inner[0];
    x[2] = inner[1];
    return 4;
}

static int outline_crossings(const struct outline *outline, int radius, int y, int *x)
{
    int n = 0;
    for (int i = 0; i < outline->n; i++) {
        int j = (i + 1) % outline->n, x0 = outline->x[i] * radius / 64, y0 = outline->y[i] * radius / 64;
        int x1 = outline->x[j] * radius / 64, y1 = outline->y[j] * radius / 64;
        if ((y0 > y) == (y1 > y))
            continue;
        int at = x0 + (y - y0) * (x1 - x0) / (y1 - y0), k = n++;
        for (; k > 0 && x[k - 1] > at; k--)
            x[k] = x[k - 1];
        x[k] = at;
    }
    return n;
}

static int crossings(int shape, int radius, int y, int *x)
{
    return shape == SHAPE_DISC   ? disc_crossings(radius, y, x)
           : shape == SHAPE_RING ? ring_crossings(radius, y, x)
                                 : outline_crossings(&outlines[shape], radius, y, x);
}

/* cover[2r+1][2r+1]: how many samples of each pixel lie within. */
static void mask_fill(uint8_t *cover, int shape, int radius)
{
    int side = 2 * radius + 1, edge = EIGHTHS * side / 2;
    memset(cover, 0, (size_t)(side * side));
    for (int row = 0; row < side * SAMPLES; row++) {
        int x[MOST_CORNERS], n = crossings(shape, EIGHTHS * radius + EIGHTHS / 2, 2 * row + 1 - edge, x);
        for (int k = 0; k + 1 < n; k += 2)
            for (int at = x[k] | 1; at < x[k + 1]; at += 2)
                cover[row / SAMPLES * side + (at + edge) / EIGHTHS]++;
    }
}

/* ---- painting ------------------------------------------------------------------------------------------------------------- */

/* Moves a pixel towards a colour by share/full. */
static void mix(uint8_t *pixel, const uint8_t *colour, int share, int full)
{
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)((pixel[c] * (full - share) + colour[c] * share + full / 2) / full);
}

static void dot(struct canvas *canvas, int x, int y, const uint8_t *colour, int contrast, int cover, struct world_label label)
{
    int at = y * WORLD_SIDE + x;
    mix(canvas->rgb + at * 3, colour, contrast * cover, 255 * FULL);
    if (2 * cover >= FULL)
        canvas->marks[at] = label;
}

static void fill(struct canvas *canvas, int x0, int y0, int w, int h, const uint8_t *colour, int contrast, struct world_label label)
{
    for (int y = y0; y < y0 + h; y++)
        for (int x = x0; x < x0 + w; x++)
            dot(canvas, x, y, colour, contrast, FULL, label);
}

static void paint_sprite(struct canvas *canvas, const struct world_sprite *sprite)
{
    uint8_t cover[MASK_SIDE * MASK_SIDE];
    struct world_label label = {.shape = (uint8_t)(1 + sprite->shape), .colour = (uint8_t)(1 + sprite->colour)};
    int side = 2 * sprite->radius + 1;
    mask_fill(cover, sprite->shape, sprite->radius);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            if (cover[y * side + x])
                dot(canvas, sprite->x - sprite->radius + x, sprite->y - sprite->radius + y, palette[sprite->colour], sprite->contrast,
                    cover[y * side + x], label);
}

/* ---- what is on the picture ----------------------------------------------------------------------------------------------- */

static const struct world_background *background_at(const struct world_scene *scene, int i)
{
    const struct world_background *background = scene->backgrounds;
    while (background->until <= i)
        background++;
    return background;
}

/* Share of the second tone along row y of the picture, in 111ths. */
static void tone_shares(const struct world_background *background, uint64_t seed, int y, int share[WORLD_SIDE])
{
    uint64_t stones = rng_u64(seed, rng_stream(WORLD_NAME " mosaic"), (uint64_t)(y / WORLD_PATCH));
    for (int x = 0; x < WORLD_SIDE; x++) {
        int along = background->upright ? x : y;
        bool second = background->family == MOSAIC ? stones >> (x / WORLD_PATCH) & 1 : background->family == STRIPES && along / background->period % 2;
        share[x] = background->family == GRADIENT ? along : second ? WORLD_SIDE - 1 : 0;
    }
}

static void paint_background(struct canvas *canvas, const struct world_background *background, uint64_t seed)
{
    uint8_t mixed[WORLD_SIDE][3], *pixel = canvas->rgb;
    const int whole = WORLD_SIDE - 1;
    for (int share = 0; share < WORLD_SIDE; share++)
        for (int c = 0; c < 3; c++)
            mixed[share][c] = (uint8_t)((background->tone[0][c] * (whole - share) + background->tone[1][c] * share) / whole);
    for (int y = 0; y < WORLD_SIDE; y++) {
        int share[WORLD_SIDE];
        tone_shares(background, seed, y, share);
        for (int x = 0; x < WORLD_SIDE; x++, pixel += 3)
            memcpy(pixel, mixed[share[x]], 3);
    }
}

static void paint_sign(struct canvas *canvas, const struct world_scene *scene)
{
    static const uint8_t light[3] = {245, 245, 245}, dark[3] = {15, 15, 15};
    static const uint8_t glyphs[10][7] = { /* rows of five dots, the leftmost highest */
        {14, 17, 19, 21, 25, 17, 14}, {4, 12, 4, 4, 4, 4, 14},      {14, 17, 1, 2, 4, 8, 31},    {31, 2, 4, 2, 1, 17, 14},
        {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14},   {6, 8, 16, 30, 17, 17, 14},  {31, 1, 2, 4, 8, 8, 8},
        {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15, 1, 2, 12},
    };
    const uint8_t *plate = scene->sign.dark ? dark : light, *ink = scene->sign.dark ? light : dark;
    for (int d = 0; d < 2; d++) {
        int x = scene->sign.x + d * WORLD_PATCH, y = scene->sign.y, digit = scene->sign.digits[d];
        struct world_label label = {.shape = LABEL_SIGN, .digit = (uint8_t)(1 + digit)};
        fill(canvas, x, y, WORLD_PATCH, WORLD_PATCH, plate, scene->sign.contrast, label);
        for (int place = 0; place < 35; place++)
            if (glyphs[digit][place / 5] >> (4 - place % 5) & 1)
                fill(canvas, x + 1 + place % 5, y + place / 5, 1, 1, ink, scene->sign.contrast, label);
    }
}

static bool is_on(const struct world_span *span, int i)
{
    return i >= span->from && i < span->until;
}

static void paint_edges(struct canvas *canvas, const struct world_scene *scene, int i)
{
    const int wide = WORLD_PATCH, side = WORLD_SIDE;
    if (is_on(&scene->border.span, i)) {
        const uint8_t *colour = palette[scene->border.colour];
        struct world_label label = {.shape = LABEL_BORDER, .colour = (uint8_t)(1 + scene->border.colour)};
        fill(canvas, 0, 0, side, wide, colour, scene->flash_contrast, label);
        fill(canvas, 0, wide, wide, side - 2 * wide, colour, scene->flash_contrast, label);
        fill(canvas, side - wide, wide, wide, side - 2 * wide, colour, scene->flash_contrast, label);
    }
    for (int k = 0; k < WORLD_EVENTS; k++) {
        struct world_label label = {.shape = LABEL_BAR, .colour = (uint8_t)(1 + scene->bar[k].colour)};
        if (is_on(&scene->bar[k].span, i))
            fill(canvas, 0, side - wide, side, wide, palette[scene->bar[k].colour], scene->flash_contrast, label);
    }
}

static void add_noise(uint8_t *rgb, uint64_t seed, int i, int most)
{
    uint64_t key = rng_u64(seed, rng_stream(WORLD_NAME " noise"), (uint64_t)i), bits = 0;
    for (int k = 0; k < WORLD_FRAME_BYTES && most; k++, bits >>= 8) {
        if (k % 8 == 0)
            bits = rng_mix(key + (uint64_t)k * 0x9e3779b97f4a7c15u);
        int value = rgb[k] + (int)(bits & 255) * (2 * most + 1) / 256 - most;
        rgb[k] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

/* ---- labels --------------------------------------------------------------------------------------------------------------- */

static bool same_label(const struct world_label *a, const struct world_label *b)
{
    return a->shape == b->shape && a->colour == b->colour && a->digit == b->digit;
}

static bool is_marked(const struct world_label *marks)
{
    int any = 0;
    for (int y = 0; y < WORLD_PATCH; y++)
        for (int x = 0; x < WORLD_PATCH; x++)
            any |= marks[y * WORLD_SIDE + x].shape;
    return any;
}

/* What has most pixels, if they are enough to be seen. */
static struct world_label label_of(const struct canvas *canvas, int row, int column)
{
    const struct world_label *marks = canvas->marks + (row * WORLD_SIDE + column) * WORLD_PATCH;
    struct world_label kinds[WORLD_PATCH * WORLD_PATCH], best = {0};
    int counts[WORLD_PATCH * WORLD_PATCH], n = 0, most = LEAST_MARKED - 1;
    if (!is_marked(marks))
        return best;
    for (int p = 0; p < WORLD_PATCH * WORLD_PATCH; p++) {
        const struct world_label *mark = &marks[p / WORLD_PATCH * WORLD_SIDE + p % WORLD_PATCH];
        int k = 0;
        while (k < n && !same_label(&kinds[k], mark))
            k++;
        counts[k] = k < n ? counts[k] : 0;
        counts[k]++;
        if (k == n)
            kinds[n++] = *mark;
    }
    for (int k = 0; k < n; k++) {
        if (kinds[k].shape && counts[k] > most) {
            most = counts[k];
            best = kinds[k];
        }
    }
    return best;
}

void world_frame_render(const struct world_scene *scene, int i, uint8_t *rgb, struct world_label *labels)
{
    struct canvas canvas = {.rgb = rgb};
    const struct world_background *background = background_at(scene, i);
    struct world_sprite actor;
    paint_background(&canvas, background, scene->seed);
    paint_edges(&canvas, scene, i);
    for (int k = 0; k < WORLD_CAST; k++)
        paint_sprite(&canvas, &scene->cast[k]);
    for (int k = 0; k < scene->n_crowd; k++)
        paint_sprite(&canvas, &scene->crowd[k]);
    if (world_actor_at(scene, i, &actor))
        paint_sprite(&canvas, &actor);
    if (is_on(&scene->sign.span, i))
        paint_sign(&canvas, scene);
    add_noise(rgb, scene->seed, i, scene->noise);
    for (int p = 0; labels && p < WORLD_PATCHES; p++) {
        labels[p] = label_of(&canvas, p / WORLD_GRID, p % WORLD_GRID);
        labels[p].family = (uint8_t)background->family;
        for (int n = scene->n_crowd; n && labels[p].shape == 1 + scene->crowd[0].shape; n /= 2)
            labels[p].number++;
    }
}
