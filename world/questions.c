/* The tiny world: from a scene to questions. Wrong options are drawn so that no option is likelier than another to who does not see. */
#include "world/world.h"

#include "core/rng.h"

#include <stdio.h>
#include <string.h>

struct asking {
    const struct world_scene *scene;
    uint64_t number, stream, next;
    struct world_question *out;
};

static int below(struct asking *asking, int n)
{
    return (int)((rng_u64(asking->scene->seed, asking->stream, asking->next++) >> 32) * (uint64_t)n >> 32);
}

/* A permutation of n <= 8 things: drawn with `first` in front when it is not negative. */
static void shuffle(struct asking *asking, int *values, int n, int first)
{
    for (int i = 0; i < n; i++)
        values[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = below(asking, i + 1), kept = values[i];
        values[i] = values[j];
        values[j] = kept;
    }
    for (int i = 0; first >= 0 && i < n; i++)
        if (values[i] == first) {
            values[i] = values[0];
            values[0] = first;
        }
}

/* The letter of a video's answer: four successive videos have all four. */
static int letter_of(const struct asking *asking)
{
    int letters[WORLD_OPTIONS] = {0, 1, 2, 3};
    uint64_t bits = rng_u64(asking->number / WORLD_OPTIONS, rng_stream(WORLD_NAME " letter"), (uint64_t)asking->out->type);
    for (int i = WORLD_OPTIONS - 1; i > 0; i--, bits >>= 8) {
        int j = (int)((bits & 255) * (uint64_t)(i + 1) >> 8), kept = letters[i];
        letters[i] = letters[j];
        letters[j] = kept;
    }
    return letters[asking->number % WORLD_OPTIONS];
}

/* Puts the right option, texts[0], under its letter and the others in their order round it. */
static void put_options(struct asking *asking, char texts[WORLD_OPTIONS][32])
{
    struct world_question *out = asking->out;
    out->answer = letter_of(asking);
    for (int i = 0; i < WORLD_OPTIONS; i++) {
        int from = i == out->answer ? 0 : i < out->answer ? i + 1 : i;
        memcpy(out->options[i], texts[from], sizeof texts[from]);
    }
}

/* The right one of n names and three others at random. */
static void put_names(struct asking *asking, const char *const *names, int n, int right)
{
    int order[N_COLOURS];
    char texts[WORLD_OPTIONS][32];
    shuffle(asking, order, n, right);
    for (int i = 0; i < WORLD_OPTIONS; i++)
        snprintf(texts[i], sizeof texts[i], "%s", names[order[i]]);
    put_options(asking, texts);
}

/* The four of `present`. Where all of them are in the picture, seeing one of them does not help. */
static void put_present(struct asking *asking, const char *const *names, const int present[WORLD_OPTIONS], int right)
{
    int order[WORLD_OPTIONS];
    char texts[WORLD_OPTIONS][32];
    shuffle(asking, order, WORLD_OPTIONS, right);
    for (int i = 0; i < WORLD_OPTIONS; i++)
        snprintf(texts[i], sizeof texts[i], "%s", names[present[order[i]]]);
    put_options(asking, texts);
}

/* ---- types ---------------------------------------------------------------------------------------------------------------- */

static void ask_attribute(struct asking *asking)
{
    const struct world_sprite *cast = asking->scene->cast;
    int present[WORLD_OPTIONS] = {cast[0].colour, cast[1].colour, cast[2].colour, asking->scene->crowd[0].colour};
    int who = below(asking, WORLD_CAST);
    snprintf(asking->out->text, sizeof asking->out->text, "What color is the %s?", world_shape_names[cast[who].shape]);
    put_present(asking, world_colour_names, present, who);
}

static void ask_object(struct asking *asking)
{
    const struct world_sprite *cast = asking->scene->cast;
    int present[WORLD_OPTIONS] = {cast[0].shape, cast[1].shape, cast[2].shape, asking->scene->crowd[0].shape};
    int who = below(asking, WORLD_CAST);
    snprintf(asking->out->text, sizeof asking->out->text, "Which shape is %s?", world_colour_names[cast[who].colour]);
    put_present(asking, world_shape_names, present, who);
}

/* Both digits right, either one, or neither: each digit of the four numbers stands in two of them. */
static void ask_sign(struct asking *asking)
{
    const int *digits = asking->scene->sign.digits;
    int tens = (digits[0] + 1 + below(asking, 9)) % 10, ones = (digits[1] + 1 + below(asking, 9)) % 10;
    int numbers[WORLD_OPTIONS] = {digits[0] * 10 + digits[1], tens * 10 + digits[1], digits[0] * 10 + ones, tens * 10 + ones};
    int order[WORLD_OPTIONS];
    char texts[WORLD_OPTIONS][32];
    snprintf(asking->out->text, sizeof asking->out->text, "Which number is on the sign?");
    shuffle(asking, order, WORLD_OPTIONS, 0);
    for (int i = 0; i < WORLD_OPTIONS; i++)
        snprintf(texts[i], sizeof texts[i], "%02d", numbers[order[i]]);
    put_options(asking, texts);
}

static void ask_edge(struct asking *asking)
{
    static const char *const names[] = {"left", "right", "top", "bottom"};
    const struct world_sprite *one = &asking->scene->cast[WORLD_ASIDE];
    int dx = 2 * one->x - WORLD_SIDE, dy = 2 * one->y - WORLD_SIDE;
    snprintf(asking->out->text, sizeof asking->out->text, "Which edge is the %s nearest?", world_shape_names[one->shape]);
    put_names(asking, names, WORLD_OPTIONS, dx * dx > dy * dy ? dx > 0 : 2 + (dy > 0));
}

static void ask_count(struct asking *asking)
{
    static const char *const names[] = {"1", "2", "4", "8"};
    const struct world_sprite *one = &asking->scene->crowd[0];
    int right = 0;
    while (1 << right < asking->scene->n_crowd)
        right++;
    snprintf(asking->out->text, sizeof asking->out->text, "How many %s shapes are there?", world_colour_names[one->colour]);
    put_names(asking, names, WORLD_OPTIONS, right);
}

static void ask_flash(struct asking *asking)
{
    snprintf(asking->out->text, sizeof asking->out->text, "Which color did the border flash?");
    put_names(asking, world_colour_names, N_COLOURS, asking->scene->border.colour);
}

static int duration(const struct world_span *span)
{
    return span->until - span->from;
}

/* Its three colours and one that it never has: to have seen all three is not enough. */
static void ask_longest(struct asking *asking)
{
    const struct world_event *bar = asking->scene->bar;
    int present[WORLD_OPTIONS], longest = 0;
    for (int i = 0; i < WORLD_EVENTS; i++) {
        present[i] = bar[i].colour;
        longest = duration(&bar[i].span) > duration(&bar[longest].span) ? i : longest;
    }
    do
        present[WORLD_EVENTS] = below(asking, N_COLOURS);
    while (present[3] == present[0] || present[3] == present[1] || present[3] == present[2]);
    snprintf(asking->out->text, sizeof asking->out->text, "Which color lit the bar longest?");
    put_present(asking, world_colour_names, present, longest);
}

/* Never offers the colour that it has at first. */
static void ask_turn(struct asking *asking)
{
    const struct world_scene *scene = asking->scene;
    const char *names[N_COLOURS];
    int n = 0, right = 0;
    for (int c = 0; c < N_COLOURS; c++) {
        right = c == scene->turned ? n : right;
        if (c != scene->actor.colour)
            names[n++] = world_colour_names[c];
    }
    snprintf(asking->out->text, sizeof asking->out->text, "What color does the %s turn?", world_shape_names[scene->actor.shape]);
    put_names(asking, names, n, right);
}

static void ask_background(struct asking *asking)
{
    const struct world_scene *scene = asking->scene;
    int longest = 0, most = 0;
    for (int i = 0, from = 0; i < scene->n_backgrounds; from = scene->backgrounds[i++].until)
        if (scene->backgrounds[i].until - from > most) {
            most = scene->backgrounds[i].until - from;
            longest = scene->backgrounds[i].family;
        }
    snprintf(asking->out->text, sizeof asking->out->text, "Which background lasted longest?");
    put_names(asking, world_family_names, N_FAMILIES, longest);
}

static void (*const types[N_TYPES])(struct asking *) = {
    [ATTRIBUTE_PERCEPTION] = ask_attribute, [OBJECT_RECOGNITION] = ask_object, [OCR_PROBLEMS] = ask_sign,
    [SPATIAL_PERCEPTION] = ask_edge,        [COUNTING_PROBLEM] = ask_count,    [TEMPORAL_PERCEPTION] = ask_flash,
    [TEMPORAL_REASONING] = ask_longest,     [ACTION_RECOGNITION] = ask_turn,   [INFORMATION_SYNOPSIS] = ask_background,
};

void world_questions_ask(const struct world_scene *scene, uint64_t number, struct world_question out[WORLD_QUESTIONS])
{
    struct asking asking = {scene, number, rng_stream(WORLD_NAME " question"), 0, out};
    int left_out = below(&asking, N_TYPES);
    for (int type = 0; type < N_TYPES; type++) {
        if (type == left_out)
            continue;
        *asking.out = (struct world_question){.type = type};
        types[type](&asking);
        asking.out++;
    }
}
