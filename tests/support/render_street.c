/* render_street FILE.mkv: eight frames of a street, for the pictures of docs/compressors.md: a calm sky, things that stay, textures, and a
 * car that passes. Flat colours, lossless, integers only, so that the pictures are small and the same everywhere. */
#include "tests/support/clip.h"

#include <stdio.h>
#include <string.h>

enum { WIDTH = 320, HEIGHT = 240, FRAMES = 8, FPS = 2 };
enum { PAVEMENT = 150, ROAD = 162, LINE = 206 }; /* first rows */

struct colour { uint8_t r, g, b; };

static const struct colour sky = {158, 205, 240}, sun = {255, 214, 90}, cloud = {250, 250, 250}, hill = {124, 174, 104}, wall = {228, 198, 152},
                           roof = {160, 72, 56}, window = {84, 112, 148}, door = {110, 70, 50}, leaf = {70, 120, 62}, shade = {40, 84, 46},
                           stone = {204, 203, 198}, tar = {92, 94, 100}, paint = {240, 240, 232}, body = {206, 44, 52}, glass = {58, 78, 108},
                           tyre = {28, 28, 32};

static bool in_disc(int x, int y, int cx, int cy, int r)
{
    return (x - cx) * (x - cx) + (y - cy) * (y - cy) <= r * r;
}

static bool in_box(int x, int y, int x0, int y0, int x1, int y1)
{
    return x >= x0 && x < x1 && y >= y0 && y < y1;
}

static const struct colour *car_at(int x, int y, int front)
{
    if (in_disc(x, y, front - 16, 200, 9) || in_disc(x, y, front - 58, 200, 9))
        return &tyre;
    if (in_box(x, y, front - 56, 164, front - 22, 178))
        return (front - x) % 20 < 3 ? &body : &glass;
    return in_box(x, y, front - 74, 178, front, 200) ? &body : NULL;
}

static const struct colour *house_at(int x, int y)
{
    if (y >= 46 && y < 84 && (x > 66 ? x - 66 : 66 - x) * 38 <= (y - 46) * 50)
        return &roof;
    if (in_box(x, y, 40, 98, 56, 116) || in_box(x, y, 80, 98, 96, 116))
        return &window;
    if (in_box(x, y, 60, 120, 74, 150))
        return &door;
    return in_box(x, y, 28, 84, 106, PAVEMENT) ? &wall : NULL;
}

static const struct colour *land_at(int x, int y)
{
    if (in_box(x, y, 148, 124, 310, PAVEMENT)) /* a hedge */
        return (x / 5 + y / 5) % 2 ? &leaf : &shade;
    if (y < PAVEMENT)
        return in_disc(x, y, 220, 250, 150) ? &hill : NULL;
    if (y < ROAD)
        return &stone;
    return y >= LINE && y < LINE + 6 && x % 44 < 26 ? &paint : &tar;
}

static const struct colour *colour_at(int x, int y, int i)
{
    int drift = 150 + 7 * i;
    const struct colour *there = car_at(x, y, 30 + 52 * i);
    there = there ? there : house_at(x, y);
    there = there ? there : land_at(x, y);
    if (there)
        return there;
    if (in_disc(x, y, drift, 52, 14) || in_disc(x, y, drift + 18, 46, 17) || in_disc(x, y, drift + 38, 53, 13))
        return &cloud;
    return in_disc(x, y, 272, 40, 22) ? &sun : &sky;
}

static void paint_street(uint8_t *rgb, int width, int height, int i, void *context)
{
    (void)context;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, rgb += 3)
            memcpy(rgb, colour_at(x, y, i), 3);
}

int main(int argc, char **argv)
{
    struct clip clip = {.width = WIDTH, .height = HEIGHT, .fps = FPS, .n_frames = FRAMES, .codec = CLIP_FFV1, .paint = paint_street};
    struct err err;
    if (argc != 2) {
        fputs("usage: render_street FILE.mkv\n", stderr);
        return 2;
    }
    if (clip_render(argv[1], &clip, &err) < 0) {
        fprintf(stderr, "render_street: %s\n", err.text);
        return 3;
    }
    return 0;
}
