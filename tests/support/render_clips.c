/* render_clips FOLDER: six short coloured clips, demo-1.mp4 to demo-6.mp4, for tests of whole sweeps.
 *
 * Every scene has calm parts and busy parts, so that methods which merge what looks alike keep different shares at different
 * thresholds. Integers only: the same pictures on every machine. */
#include "core/rng.h"
#include "tests/support/clip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 320, HEIGHT = 240, FPS = 10, CHANNELS = 3, MOST_SHAPES = 3, COUNT = 6 };

enum ground { GROUND_FLAT, GROUND_GRADIENT, GROUND_STRIPES, GROUND_NOISE, GROUND_CHECKS };
enum form { FORM_DISC, FORM_SQUARE, FORM_TRIANGLE };

struct colour {
    uint8_t channel[CHANNELS];
};

struct shape {
    enum form form;
    struct colour colour;
    int radius, x, y, step_x, step_y; /* centre in frame 0, and pixels per frame; reflected at the edges */
};

/* The upper part down to `horizon` is one ground, the lower part another. */
struct scene {
    int seconds, horizon;
    enum ground upper, lower;
    struct colour from, to; /* ends of gradients, both colours of stripes and checks */
    struct shape shapes[MOST_SHAPES];
    int n_shapes;
};

static const struct scene scenes[COUNT] = {
    {4, 150, GROUND_GRADIENT, GROUND_STRIPES, {{40, 90, 160}}, {{200, 220, 240}},
     {{FORM_DISC, {{220, 40, 40}}, 28, 60, 80, 6, 2}}, 1},
    {6, 120, GROUND_FLAT, GROUND_NOISE, {{60, 110, 60}}, {{150, 160, 90}},
     {{FORM_SQUARE, {{240, 210, 40}}, 22, 40, 60, 4, 1}, {FORM_DISC, {{30, 60, 200}}, 18, 250, 170, -3, -2}}, 2},
    {8, 90, GROUND_STRIPES, GROUND_GRADIENT, {{120, 40, 90}}, {{230, 190, 150}},
     {{FORM_TRIANGLE, {{30, 170, 90}}, 34, 160, 150, 3, 3}}, 1},
    {5, 180, GROUND_CHECKS, GROUND_FLAT, {{200, 200, 205}}, {{90, 95, 110}},
     {{FORM_DISC, {{250, 140, 20}}, 20, 80, 210, 7, 0}, {FORM_SQUARE, {{20, 20, 30}}, 30, 200, 90, -2, 3}}, 2},
    {12, 110, GROUND_GRADIENT, GROUND_CHECKS, {{20, 20, 40}}, {{160, 80, 60}},
     {{FORM_DISC, {{255, 255, 230}}, 16, 30, 40, 2, 0}, {FORM_TRIANGLE, {{90, 200, 220}}, 24, 220, 180, -2, -1},
      {FORM_SQUARE, {{200, 60, 160}}, 12, 120, 60, 5, 2}}, 3},
    {10, 200, GROUND_NOISE, GROUND_FLAT, {{100, 130, 170}}, {{190, 150, 120}},
     {{FORM_TRIANGLE, {{230, 230, 60}}, 40, 100, 100, -3, 2}, {FORM_DISC, {{160, 20, 20}}, 14, 280, 220, -6, -1}}, 2},
};

static struct colour mix(struct colour from, struct colour to, int part, int whole)
{
    struct colour mixed;
    for (int c = 0; c < CHANNELS; c++)
        mixed.channel[c] = (uint8_t)(from.channel[c] + (to.channel[c] - from.channel[c]) * part / whole);
    return mixed;
}

static struct colour ground_at(const struct scene *scene, enum ground ground, int x, int y)
{
    switch (ground) {
    case GROUND_GRADIENT:
        return mix(scene->from, scene->to, x + y, WIDTH + HEIGHT);
    case GROUND_STRIPES:
        return x / 10 % 2 ? scene->to : scene->from;
    case GROUND_CHECKS:
        return (x / 24 + y / 24) % 2 ? scene->to : scene->from;
    case GROUND_NOISE: { /* blocks of 4 x 4, the same in every frame */
        uint64_t place = (uint64_t)(y / 4 * WIDTH + x / 4);
        return mix(scene->from, scene->to, (int)(rng_u64(7, (uint64_t)scene->seconds, place) & 255), 255);
    }
    case GROUND_FLAT:
        break;
    }
    return scene->from;
}

/* A point that goes to and fro between the edges. */
static int reflect(int at, int edge)
{
    int period = 2 * edge;
    int phase = ((at % period) + period) % period;
    return phase < edge ? phase : period - phase;
}

static int distance(int a, int b)
{
    return a > b ? a - b : b - a;
}

static int is_inside(const struct shape *shape, int x, int y, int frame)
{
    int dx = distance(x, reflect(shape->x + frame * shape->step_x, WIDTH));
    int from_top = y - reflect(shape->y + frame * shape->step_y, HEIGHT) + shape->radius;
    int dy = distance(from_top, shape->radius);
    switch (shape->form) {
    case FORM_DISC:
        return dx * dx + dy * dy <= shape->radius * shape->radius;
    case FORM_TRIANGLE:
        return from_top >= 0 && from_top <= 2 * shape->radius && 2 * dx <= from_top;
    case FORM_SQUARE:
        break;
    }
    return dx <= shape->radius && dy <= shape->radius;
}

static struct colour colour_at(const struct scene *scene, int x, int y, int frame)
{
    for (int i = scene->n_shapes - 1; i >= 0; i--)
        if (is_inside(&scene->shapes[i], x, y, frame))
            return scene->shapes[i].colour;
    return ground_at(scene, y < scene->horizon ? scene->upper : scene->lower, x, y);
}

static void paint_scene(uint8_t *rgb, int width, int height, int i, void *context)
{
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += CHANNELS)
            memcpy(rgb, colour_at(context, x, y, i).channel, CHANNELS);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: render_clips FOLDER\nwrites demo-1.mp4 to demo-6.mp4 into FOLDER, which must exist\n", stderr);
        return 2;
    }
    for (int i = 0; i < COUNT; i++) {
        struct scene scene = scenes[i];
        struct clip clip = {
            .width = WIDTH, .height = HEIGHT, .fps = FPS, .n_frames = scene.seconds * FPS, .b_frames = 2,
            .paint = paint_scene, .context = &scene,
        };
        char path[4096];
        struct err err;
        int length = snprintf(path, sizeof path, "%s/demo-%d.mp4", argv[1], i + 1);
        if (length < 0 || (size_t)length >= sizeof path) {
            fputs("render_clips: the folder's path is too long\n", stderr);
            return 3;
        }
        if (clip_render(path, &clip, &err) < 0) {
            fprintf(stderr, "render_clips: %s\n", err.text);
            return 3;
        }
    }
    return 0;
}
