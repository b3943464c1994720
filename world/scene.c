/* The tiny world: from a seed to a scene. Every choice is one draw from a counter, in the order of the code. */
#include "world/world.h"

#include "core/rng.h"

enum { MARGIN = WORLD_PATCH, GAP = 2, MOST_BOXES = WORLD_CAST + WORLD_MOST_CROWD + 2, TRIES = 400 };

const char *const world_type_names[N_TYPES] = {
    "Attribute Perception", "Object Recognition",  "OCR Problems",         "Spatial Perception",  "Counting Problem",
    "Temporal Perception",  "Temporal Reasoning", "Action Recognition", "Information Synopsis",
};
const char *const world_shape_names[N_SHAPES] = {"disc", "square", "triangle", "star", "cross", "ring"};
const char *const world_colour_names[N_COLOURS] = {"red", "green", "blue", "yellow", "orange", "purple", "white", "cyan"};
const char *const world_family_names[N_FAMILIES] = {"plain", "gradient", "stripes", "mosaic"};

struct draw {
    uint64_t seed, stream, next;
};

static int draw_below(struct draw *draw, int n)
{
    return (int)((rng_u64(draw->seed, draw->stream, draw->next++) >> 32) * (uint64_t)n >> 32);
}

static int draw_between(struct draw *draw, int least, int most)
{
    return least + draw_below(draw, most - least + 1);
}

static int draw_of(struct draw *draw, const int *values, int n)
{
    return values[draw_below(draw, n)];
}

static void draw_shuffled(struct draw *draw, int *values, int n)
{
    for (int i = 0; i < n; i++)
        values[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = draw_below(draw, i + 1), kept = values[i];
        values[i] = values[j];
        values[j] = kept;
    }
}

#define DRAW_OF(draw, ...) draw_of(draw, (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* Even steps on a log scale from 0.4 to 1. */
static int draw_contrast(struct draw *draw)
{
    return DRAW_OF(draw, 102, 128, 161, 203, 255);
}

/* ---- places --------------------------------------------------------------------------------------------------------------- */

struct box {
    int x0, y0, x1, y1; /* pixels, the last ones within */
};

struct places {
    struct box boxes[MOST_BOXES];
    int n;
};

static bool is_free(const struct places *places, const struct box *box)
{
    for (int i = 0; i < places->n; i++) {
        const struct box *other = &places->boxes[i];
        if (box->x0 <= other->x1 + GAP && other->x0 <= box->x1 + GAP && box->y0 <= other->y1 + GAP && other->y0 <= box->y1 + GAP)
            return false;
    }
    return true;
}

/* A multiple of step that leaves room for `size` between the edges that flash, and no more of it on one side than on the other. */
static int draw_corner(struct draw *draw, int size, int step)
{
    int room = WORLD_SIDE - 2 * MARGIN - size;
    return step * draw_between(draw, MARGIN / step + (room % step != 0), (MARGIN + room) / step);
}

/* Finds a free place for w x h pixels, on a grid of step pixels: things that lie in few ways across patches are sooner learnt. */
static bool place(struct places *places, struct draw *draw, int w, int h, int step, struct box *out)
{
    for (int i = 0; i < TRIES; i++) {
        int x = draw_corner(draw, w, step), y = draw_corner(draw, h, step);
        *out = (struct box){x, y, x + w - 1, y + h - 1};
        if (is_free(places, out)) {
            places->boxes[places->n++] = *out;
            return true;
        }
    }
    return false;
}

static bool place_sprite(struct places *places, struct draw *draw, struct world_sprite *sprite)
{
    struct box box;
    int side = 2 * sprite->radius + 1;
    if (!place(places, draw, side, side, WORLD_PATCH / 2, &box))
        return false;
    sprite->x = box.x0 + sprite->radius;
    sprite->y = box.y0 + sprite->radius;
    return true;
}

/* Nearer to one edge than to any other, by more than a patch. */
static bool is_aside(const struct world_sprite *sprite)
{
    int dx = 2 * sprite->x - WORLD_SIDE, dy = 2 * sprite->y - WORLD_SIDE;
    int across = dx > 0 ? dx : -dx, down = dy > 0 ? dy : -dy;
    return across > down + 2 * WORLD_PATCH || down > across + 2 * WORLD_PATCH;
}

/* ---- who is there --------------------------------------------------------------------------------------------------------- */

static bool draw_cast(struct world_scene *scene, struct draw *draw, struct places *places, const int *shapes, const int *colours)
{
    for (int i = 0; i < WORLD_CAST; i++) {
        scene->cast[i] = (struct world_sprite){.shape = shapes[i], .colour = colours[i], .radius = DRAW_OF(draw, 6, 8, 10, 12),
                                               .contrast = draw_contrast(draw)};
        if (!place_sprite(places, draw, &scene->cast[i]))
            return false;
    }
    return is_aside(&scene->cast[WORLD_ASIDE]);
}

/* Each has a patch to itself, so that as many patches show them as there are. */
static bool draw_crowd(struct world_scene *scene, struct draw *draw, struct places *places, int shape, int colour)
{
    struct world_sprite one = {.shape = shape, .colour = colour, .radius = (WORLD_PATCH - 1) / 2, .contrast = DRAW_OF(draw, 161, 203, 255)};
    bool in_a_row = draw_below(draw, 2);
    struct box box = {0};
    scene->n_crowd = DRAW_OF(draw, 1, 2, 4, 8);
    if (in_a_row && !place(places, draw, scene->n_crowd * WORLD_PATCH, WORLD_PATCH, WORLD_PATCH, &box))
        return false;
    for (int i = 0; i < scene->n_crowd; i++) {
        if (!in_a_row && !place(places, draw, WORLD_PATCH, WORLD_PATCH, WORLD_PATCH, &box))
            return false;
        scene->crowd[i] = one;
        scene->crowd[i].x = box.x0 + one.radius + (in_a_row ? i * WORLD_PATCH : 0);
        scene->crowd[i].y = box.y0 + one.radius;
    }
    return true;
}

/* All that the actor ever covers is its own. */
static bool draw_actor(struct world_scene *scene, struct draw *draw, struct places *places, int shape, const int colours[2])
{
    struct world_sprite *actor = &scene->actor;
    int length = scene->n_frames / DRAW_OF(draw, 1, 2), start = draw_between(draw, 0, scene->n_frames - length);
    struct box box;
    *actor = (struct world_sprite){.shape = shape, .colour = colours[0], .contrast = draw_contrast(draw)};
    scene->actor_span = (struct world_span){start, start + length};
    scene->turned = colours[1];
    scene->turns = start + length - length / DRAW_OF(draw, 2, 4);
    scene->action = draw_below(draw, N_ACTIONS);
    bool sizes = scene->action == GROWS || scene->action == SHRINKS, across = scene->action == MOVES_LEFT || scene->action == MOVES_RIGHT;
    int widest = sizes ? DRAW_OF(draw, 10, 12) : DRAW_OF(draw, 6, 8), side = 2 * widest + 1;
    scene->travel = sizes ? widest - 3 : draw_between(draw, 32, 56);
    if (!place(places, draw, side + (across ? scene->travel : 0), side + (across || sizes ? 0 : scene->travel), WORLD_PATCH / 2, &box))
        return false;
    actor->radius = scene->action == GROWS ? widest - scene->travel : widest;
    actor->x = scene->action == MOVES_LEFT ? box.x1 - widest : box.x0 + widest;
    actor->y = scene->action == MOVES_UP ? box.y1 - widest : box.y0 + widest;
    return true;
}

static bool draw_sign(struct world_scene *scene, struct draw *draw, struct places *places)
{
    struct box box;
    int half = scene->n_frames / 2, start = draw_below(draw, 2) * half;
    for (int i = 0; i < 2; i++)
        scene->sign.digits[i] = draw_below(draw, 10);
    scene->sign.contrast = draw_contrast(draw);
    scene->sign.dark = draw_below(draw, 2);
    scene->sign.span = (struct world_span){start, start + half};
    if (!place(places, draw, 2 * WORLD_PATCH, WORLD_PATCH, WORLD_PATCH, &box))
        return false;
    scene->sign.x = box.x0;
    scene->sign.y = box.y0;
    return true;
}

/* Where they do not all find a place, all are drawn again. */
static void draw_things(struct world_scene *scene, struct draw *draw)
{
    int shapes[N_SHAPES], colours[N_COLOURS];
    struct places places;
    do {
        places.n = 0;
        draw_shuffled(draw, shapes, N_SHAPES);
        draw_shuffled(draw, colours, N_COLOURS);
    } while (!draw_actor(scene, draw, &places, shapes[4], colours + 4) || !draw_sign(scene, draw, &places) ||
             !draw_cast(scene, draw, &places, shapes, colours) || !draw_crowd(scene, draw, &places, shapes[3], colours[3]));
}

/* ---- what happens --------------------------------------------------------------------------------------------------------- */

static void draw_background(struct world_background *background, struct draw *draw, int family)
{
    *background = (struct world_background){.family = family, .upright = draw_below(draw, 2), .period = draw_between(draw, 5, 9)};
    int base = draw_between(draw, 70, 130), step = family == GRADIENT ? DRAW_OF(draw, -60, -45, 45, 60) : DRAW_OF(draw, -30, -20, 20, 30);
    for (int c = 0; c < 3; c++) {
        background->tone[0][c] = base + draw_between(draw, -10, 10);
        background->tone[1][c] = background->tone[0][c] + step;
    }
}

/* Two or three in turn; the longest lasts 8 to 12 sixteenths, any other less than half as long. */
static void draw_backgrounds(struct world_scene *scene, struct draw *draw)
{
    int families[N_FAMILIES], order[WORLD_MOST_BACKGROUNDS], sixteenths = 0;
    int n = scene->n_backgrounds = draw_between(draw, 2, WORLD_MOST_BACKGROUNDS);
    int longest = n == 2 ? draw_between(draw, 11, 12) : draw_between(draw, 9, 11), rest = 16 - longest;
    int shares[WORLD_MOST_BACKGROUNDS] = {longest, n == 2 ? rest : rest / 2, rest - rest / 2};
    draw_shuffled(draw, families, N_FAMILIES);
    draw_shuffled(draw, order, n);
    for (int i = 0; i < n; i++) {
        draw_background(&scene->backgrounds[i], draw, families[i]);
        sixteenths += shares[order[i]];
        scene->backgrounds[i].until = scene->n_frames * sixteenths / 16;
    }
}

static void draw_border(struct world_scene *scene, struct draw *draw)
{
    int length = scene->n_frames / DRAW_OF(draw, 2, 4, 8, 16, 32), start = draw_between(draw, 0, scene->n_frames - length);
    scene->border = (struct world_event){{start, start + length}, draw_below(draw, N_COLOURS)};
}

/* Each event has a third of the video to be somewhere in; one lasts four times as long as the others. */
static void draw_bar(struct world_scene *scene, struct draw *draw)
{
    int colours[N_COLOURS], third = scene->n_frames / WORLD_EVENTS, longest = draw_below(draw, WORLD_EVENTS);
    draw_shuffled(draw, colours, N_COLOURS);
    for (int i = 0; i < WORLD_EVENTS; i++) {
        int length = scene->n_frames / (i == longest ? 4 : 16), start = i * third + draw_between(draw, 0, third - length);
        scene->bar[i] = (struct world_event){{start, start + length}, colours[i]};
    }
}

void world_scene_draw(struct world_scene *out, uint64_t seed, int n_frames)
{
    struct draw draw = {seed, rng_stream(WORLD_NAME " scene"), 0};
    *out = (struct world_scene){.seed = seed, .n_frames = n_frames};
    out->noise = DRAW_OF(&draw, 0, 3, 8);
    out->flash_contrast = DRAW_OF(&draw, 161, 203, 255);
    draw_things(out, &draw);
    draw_backgrounds(out, &draw);
    draw_border(out, &draw);
    draw_bar(out, &draw);
}

bool world_actor_at(const struct world_scene *scene, int i, struct world_sprite *out)
{
    const struct world_span *span = &scene->actor_span;
    int gone = scene->travel * (i - span->from) / (span->until - span->from - 1);
    *out = scene->actor;
    if (i >= scene->turns)
        out->colour = scene->turned;
    out->x += scene->action == MOVES_RIGHT ? gone : scene->action == MOVES_LEFT ? -gone : 0;
    out->y += scene->action == MOVES_DOWN ? gone : scene->action == MOVES_UP ? -gone : 0;
    out->radius += scene->action == GROWS ? gone : scene->action == SHRINKS ? -gone : 0;
    return i >= span->from && i < span->until;
}

/* ---- the benchmark -------------------------------------------------------------------------------------------------------- */

static const struct world_tier tiers[] = {{"smoke", 20}, {"quick", 60}, {"default", 250}, {"full", 1000}};

const struct world_tier *world_tier_at(int i)
{
    return i >= 0 && i < (int)(sizeof tiers / sizeof *tiers) ? &tiers[i] : NULL;
}

const struct world_tier *world_tier_find(const char *name)
{
    for (size_t i = 0; i < sizeof tiers / sizeof *tiers; i++) {
        const char *a = tiers[i].name, *b = name;
        while (*a && *a == *b)
            a++, b++;
        if (*a == *b)
            return &tiers[i];
    }
    return NULL;
}

void world_video_draw(struct world_scene *out, int v)
{
    static const int seconds[] = {16, 64, 192};
    world_scene_draw(out, rng_u64(1, rng_stream(WORLD_NAME " video"), (uint64_t)v), seconds[v % 3] * WORLD_FPS);
}
