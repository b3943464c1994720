/* The tiny world, v1: videos that a seed describes, what each of their frames looks like, and questions whose answers the description
 * knows. Integer arithmetic only, no memory, no files: the same bytes on every machine, and any frame by itself.
 *
 * A video shows, over one to three backgrounds in turn, on a picture of 112 x 112 pixels:
 *
 *   cast      three sprites that stay where they are, of three shapes and three colours
 *   crowd     one, two, four or eight small sprites of a fourth shape and colour, side by side in a row or scattered, a patch for each
 *   actor     a sprite of a fifth shape that moves, grows or shrinks, and turns to another colour, during all or half of the video
 *   sign      two digits on a plate of two patches, during half of the video
 *   border    three edges of the picture flash once, for 1/32 to 1/2 of the video
 *   bar       the bottom edge lights up three times, in three colours, once longer than else
 *
 * Nothing of it overlaps. Everything fades towards the background by a contrast of its own, and sensor noise lies over the picture.
 *
 * The numbers drawn here are the benchmark: a change of any of them is another version, and its digests are in tests/unit/world. */
#ifndef TOKSWEEP_WORLD_WORLD_H
#define TOKSWEEP_WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_NAME "tinyworld-v1"

enum {
    WORLD_SIDE = 112,       /* pixels of a picture's edge */
    WORLD_PATCH = 8,        /* pixels of a patch's edge: labels are per patch */
    WORLD_GRID = WORLD_SIDE / WORLD_PATCH,
    WORLD_FPS = 2,
    WORLD_FRAME_BYTES = WORLD_SIDE * WORLD_SIDE * 3,
    WORLD_PATCHES = WORLD_GRID * WORLD_GRID,
    WORLD_CAST = 3,
    WORLD_ASIDE = 0,        /* the one of the cast that is clearly nearer to one edge than to others */
    WORLD_MOST_CROWD = 8,
    WORLD_MOST_BACKGROUNDS = 3,
    WORLD_EVENTS = 3,       /* of the bar */
    WORLD_QUESTIONS = 8,    /* of a video */
    WORLD_OPTIONS = 4,
};

enum world_shape { SHAPE_DISC, SHAPE_SQUARE, SHAPE_TRIANGLE, SHAPE_STAR, SHAPE_CROSS, SHAPE_RING, N_SHAPES };
enum world_colour { RED, GREEN, BLUE, YELLOW, ORANGE, PURPLE, WHITE, CYAN, N_COLOURS };
enum world_action { MOVES_LEFT, MOVES_RIGHT, MOVES_UP, MOVES_DOWN, GROWS, SHRINKS, N_ACTIONS };
enum world_family { PLAIN, GRADIENT, STRIPES, MOSAIC, N_FAMILIES };

/* The questions' types, in the words of Video-MME's task_type: its names, in this order. */
enum world_type {
    ATTRIBUTE_PERCEPTION, /* colour of a shape */
    OBJECT_RECOGNITION,   /* shape of a colour */
    OCR_PROBLEMS,         /* the number on the sign */
    SPATIAL_PERCEPTION,   /* the edge that a shape is nearest */
    COUNTING_PROBLEM,     /* how many are in the crowd */
    TEMPORAL_PERCEPTION,  /* colour of the border's flash */
    TEMPORAL_REASONING,   /* the bar's colour that lasts longest */
    ACTION_RECOGNITION,   /* the colour that the actor turns */
    INFORMATION_SYNOPSIS, /* the background that lasts longest */
    N_TYPES
};
extern const char *const world_type_names[N_TYPES], *const world_shape_names[N_SHAPES], *const world_colour_names[N_COLOURS],
    *const world_family_names[N_FAMILIES];

struct world_span {  /* frames from <= i < until */
    int from, until;
};

struct world_sprite {
    int shape, colour;
    int x, y, radius;       /* centre and radius in pixels; it lies within x - radius .. x + radius */
    int contrast;           /* 1..255: share of its colour, the rest is background */
};

struct world_background {
    int family;
    int tone[2][3];         /* RGB at both ends of a gradient; of even and odd stripes and stones; plain has the first */
    bool upright;           /* stripes stand, a gradient runs from left to right */
    int period;             /* pixels of a stripe */
    int until;              /* first frame that no longer has it */
};

struct world_event {
    struct world_span span;
    int colour;
};

struct world_scene {
    uint64_t seed;
    int n_frames;
    int noise;              /* most levels that a pixel is off by */
    int flash_contrast;     /* of border and bar */
    struct world_background backgrounds[WORLD_MOST_BACKGROUNDS];
    int n_backgrounds;
    struct world_sprite cast[WORLD_CAST];
    struct world_sprite crowd[WORLD_MOST_CROWD];
    int n_crowd;
    struct world_sprite actor; /* at the first frame of its span */
    struct world_span actor_span;
    int turned, turns;      /* its colour from frame `turns` on */
    int action, travel;     /* travel: pixels to the last frame of the span, of way or of radius */
    struct {
        int x, y;           /* left upper corner, a patch's */
        int digits[2];
        int contrast;       /* of the plate and of the digits on it */
        bool dark;          /* light digits on a dark plate */
        struct world_span span;
    } sign;
    struct world_event border, bar[WORLD_EVENTS]; /* the bar's in time order */
};

/* The scene of a seed, over n_frames >= 32. */
void world_scene_draw(struct world_scene *out, uint64_t seed, int n_frames);

/* The actor at frame i; false while it is not there. */
bool world_actor_at(const struct world_scene *scene, int i, struct world_sprite *out);

/* What most of a patch's marked pixels belong to, for training a vision tower. 0 stands for none of it. */
struct world_label {
    uint8_t shape;          /* 1 + world_shape; 7 a sign, 8 the border, 9 the bar */
    uint8_t colour;         /* 1 + world_colour */
    uint8_t digit;          /* 1 + the digit */
    uint8_t number;         /* of the crowd: 1, 2, 3 or 4 where there are 1, 2, 4 or 8 of them */
    uint8_t family;         /* world_family of the background behind it */
};

/* Frame i as RGB24 [112][112][3], and the labels [14][14] of its patches unless NULL. */
void world_frame_render(const struct world_scene *scene, int i, uint8_t *rgb, struct world_label *labels);

struct world_question {
    int type;               /* world_type */
    int answer;             /* index of the right option */
    char text[64];
    char options[WORLD_OPTIONS][32]; /* without letters */
};

/* Eight questions of eight different types about a scene. `number` is that of the video among its like: over four successive
 * numbers, each letter is right once for each type (where none of the four leaves the type out). */
void world_questions_ask(const struct world_scene *scene, uint64_t number, struct world_question out[WORLD_QUESTIONS]);

/* ---- the benchmark -------------------------------------------------------------------------------------------------------- */

struct world_tier {
    const char *name;
    int n_videos;           /* the first so many; tiers lie within each other */
};
const struct world_tier *world_tier_find(const char *name); /* "smoke", "quick", "default", "full"; NULL if there is none */
const struct world_tier *world_tier_at(int i);              /* NULL past the end */

/* Video number v of the benchmark: short, medium and long ones in turn. */
void world_video_draw(struct world_scene *out, int v);

#endif
