/* The tiny world: the same bytes everywhere, and answers that somebody who knows the scene would give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/digest.h"
#include "core/json.h"
#include "world/manifest.h"
#include "world/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCENES = 600 };

/* ---- bytes ---------------------------------------------------------------------------------------------------------------- */

/* These are tinyworld-v1. Whatever changes one of them makes another world, which needs another name. */
static void test_frames_are_the_same_everywhere(void **state)
{
    static const struct { int video, frame; const char *digest; } known[] = {
        {0, 0, "4306ab7115417c9abc6d3a2ab2d16e0088130f362fd73d09d950849286759277"},
        {7, 100, "f6712b186214960d78f1f5a0454cb18c8fa77d5bd1c32f38d96b4dc7735effad"},
        {998, 383, "7a2bcda55e7005bbfea69d593c1f734674d2c406b9b433c09971887b18f18ffe"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        static uint8_t rgb[WORLD_FRAME_BYTES];
        struct world_scene scene;
        char hex[DIGEST_HEX];
        world_video_draw(&scene, known[i].video);
        world_frame_render(&scene, known[i].frame, rgb, NULL);
        digest_of(rgb, sizeof rgb, hex);
        assert_string_equal(hex, known[i].digest);
    }
}

static void assert_manifest(const char *tier, enum world_control control, const char *digest)
{
    struct text text = {0};
    struct err err = {0};
    char hex[DIGEST_HEX];
    assert_int_equal(world_manifest_write(&text, world_tier_find(tier)->n_videos, control, &err), 0);
    digest_of(text.bytes, text.length, hex);
    assert_string_equal(hex, digest);
    text_free(&text);
}

static void test_manifests_are_the_same_everywhere(void **state)
{
    (void)state;
    assert_manifest("smoke", CONTROL_NONE, "375495261fde61b862d3d094251cb06895f950ea4fef8340d268f7a0e87ac659");
    assert_manifest("full", CONTROL_NONE, "7078e229278ae2ae2ca438aa44ed34c7a2d3fa6ea6439c02c285a758fa318986");
    assert_manifest("smoke", CONTROL_SHUFFLED, "e76313698aa81c1fad35c6c0aa7aecea1326c2bcba9024a53c218f110ea793f7");
}

static void test_a_frame_depends_on_no_other(void **state)
{
    static uint8_t first[WORLD_FRAME_BYTES], again[WORLD_FRAME_BYTES];
    static struct world_label labels[WORLD_PATCHES];
    struct world_scene scene;
    (void)state;
    world_video_draw(&scene, 5);
    world_frame_render(&scene, 200, first, labels);
    for (int i = 0; i < 3; i++)
        world_frame_render(&scene, i, again, labels);
    world_frame_render(&scene, 200, again, NULL);
    assert_memory_equal(first, again, sizeof first);
}

/* ---- scenes --------------------------------------------------------------------------------------------------------------- */

static struct world_scene scene_at(int k)
{
    struct world_scene scene;
    world_scene_draw(&scene, (uint64_t)k, 32 << k % 3);
    return scene;
}

static int distance(int a, int b)
{
    return a > b ? a - b : b - a;
}

static void assert_apart(const struct world_sprite *a, const struct world_sprite *b)
{
    int reach = a->radius + b->radius;
    assert_true(distance(a->x, b->x) > reach || distance(a->y, b->y) > reach);
}

static void assert_inside(const struct world_sprite *sprite)
{
    int least = WORLD_PATCH + sprite->radius, most = WORLD_SIDE - 1 - WORLD_PATCH - sprite->radius;
    assert_in_range(sprite->x, least, most);
    assert_in_range(sprite->y, least, most);
}

/* Everybody at frame i. */
static int everybody(const struct world_scene *scene, int i, struct world_sprite *out)
{
    int n = 0;
    for (int k = 0; k < WORLD_CAST; k++)
        out[n++] = scene->cast[k];
    for (int k = 0; k < scene->n_crowd; k++)
        out[n++] = scene->crowd[k];
    return n + world_actor_at(scene, i, &out[n]);
}

static void test_nothing_overlaps(void **state)
{
    (void)state;
    for (int k = 0; k < SCENES; k++) {
        struct world_scene scene = scene_at(k);
        for (int i = 0; i < scene.n_frames; i += 5) {
            struct world_sprite all[WORLD_CAST + WORLD_MOST_CROWD + 1];
            int n = everybody(&scene, i, all);
            for (int a = 0; a < n; a++) {
                assert_inside(&all[a]);
                for (int b = 0; b < a; b++)
                    assert_apart(&all[a], &all[b]);
            }
        }
    }
}

static int span_length(const struct world_span *span)
{
    return span->until - span->from;
}

static void test_events_last_as_long_as_they_say(void **state)
{
    (void)state;
    for (int k = 0; k < SCENES; k++) {
        struct world_scene scene = scene_at(k);
        assert_true(span_length(&scene.border.span) >= 1 && scene.border.span.until <= scene.n_frames);
        assert_true(span_length(&scene.actor_span) >= scene.n_frames / 4 && scene.actor_span.until <= scene.n_frames);
        assert_int_equal(span_length(&scene.sign.span), scene.n_frames / 2);
        for (int i = 0; i < WORLD_EVENTS; i++)
            assert_true(span_length(&scene.bar[i].span) >= 2 && (!i || scene.bar[i].span.from >= scene.bar[i - 1].span.until));
        assert_int_equal(scene.backgrounds[scene.n_backgrounds - 1].until, scene.n_frames);
    }
}

/* A patch is labelled with a colour only while something of this colour is there, and what is large enough has its label somewhere. */
static void test_labels_tell_what_is_there(void **state)
{
    static uint8_t rgb[WORLD_FRAME_BYTES];
    (void)state;
    for (int k = 0; k < SCENES; k += 7) {
        struct world_scene scene = scene_at(k);
        struct world_label labels[WORLD_PATCHES];
        struct world_sprite all[WORLD_CAST + WORLD_MOST_CROWD + 1];
        int frame = scene.sign.span.from, n = everybody(&scene, frame, all), counts[N_SHAPES + 4] = {0}, digits[11] = {0};
        world_frame_render(&scene, frame, rgb, labels);
        for (int p = 0; p < WORLD_PATCHES; p++) {
            counts[labels[p].shape]++;
            digits[labels[p].digit]++;
            for (int a = 0; a < n && labels[p].shape; a++)
                assert_true(labels[p].shape != 1 + all[a].shape || labels[p].colour == 1 + all[a].colour);
            assert_int_equal(labels[p].number > 0, labels[p].shape == 1 + scene.crowd[0].shape);
            assert_int_equal(labels[p].number ? 1 << labels[p].number : 2 * scene.n_crowd, 2 * scene.n_crowd);
        }
        for (int a = 0; a < WORLD_CAST; a++)
            assert_true(counts[1 + scene.cast[a].shape]);
        for (int d = 0; d < 2; d++)
            assert_true(digits[1 + scene.sign.digits[d]]);
    }
}

/* ---- questions ------------------------------------------------------------------------------------------------------------ */

static int find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return i;
    fail_msg("no '%s'", name);
    return -1;
}

/* Who the question is about, by shape or by colour. */
static const struct world_sprite *who(const struct world_sprite *all, int n, int shape, int colour)
{
    for (int i = 0; i < n; i++)
        if (all[i].shape == shape || all[i].colour == colour)
            return &all[i];
    fail_msg("nobody of shape %d, colour %d", shape, colour);
    return NULL;
}

static void solve_edge(const struct world_scene *scene, const char *text, char *out)
{
    char shape[16];
    assert_int_equal(sscanf(text, "Which edge is the %15[a-z] nearest?", shape), 1);
    const struct world_sprite *one = who(scene->cast, WORLD_CAST, find(world_shape_names, N_SHAPES, shape), -1);
    static const char *const names[] = {"left", "right", "top", "bottom"};
    int to[] = {one->x, WORLD_SIDE - one->x, one->y, WORLD_SIDE - one->y}, nearest = 0;
    for (int i = 1; i < 4; i++)
        nearest = to[i] < to[nearest] ? i : nearest;
    for (int i = 0; i < 4; i++)
        assert_true(i == nearest || to[i] > to[nearest] + WORLD_PATCH);
    sprintf(out, "%s", names[nearest]);
}

static void solve_longest(const struct world_scene *scene, char *out)
{
    int longest = 0, length[WORLD_EVENTS];
    for (int i = 0; i < WORLD_EVENTS; i++) {
        length[i] = span_length(&scene->bar[i].span);
        longest = length[i] > length[longest] ? i : longest;
    }
    for (int i = 0; i < WORLD_EVENTS; i++)
        assert_true(i == longest || 3 * length[i] < length[longest]);
    sprintf(out, "%s", world_colour_names[scene->bar[longest].colour]);
}

/* Read off who is there, not off the scene's word for it. */
static void solve_turn(const struct world_scene *scene, const char *text, char *out)
{
    char shape[16];
    struct world_sprite first, last;
    assert_int_equal(sscanf(text, "What color does the %15[a-z] turn?", shape), 1);
    assert_int_equal(find(world_shape_names, N_SHAPES, shape), scene->actor.shape);
    assert_true(world_actor_at(scene, scene->actor_span.from, &first) && world_actor_at(scene, scene->actor_span.until - 1, &last));
    assert_int_not_equal(first.colour, last.colour);
    sprintf(out, "%s", world_colour_names[last.colour]);
}

/* Counts frames. */
static void solve_background(const struct world_scene *scene, char *out)
{
    int frames[N_FAMILIES] = {0}, best = 0;
    for (int i = 0, b = 0; i < scene->n_frames; i++) {
        b += i == scene->backgrounds[b].until;
        frames[scene->backgrounds[b].family]++;
    }
    for (int f = 1; f < N_FAMILIES; f++)
        best = frames[f] > frames[best] ? f : best;
    assert_true(2 * frames[best] > scene->n_frames);
    sprintf(out, "%s", world_family_names[best]);
}

static void solve(const struct world_scene *scene, const struct world_question *question, char *out)
{
    char word[16];
    switch (question->type) {
    case ATTRIBUTE_PERCEPTION:
        assert_int_equal(sscanf(question->text, "What color is the %15[a-z]?", word), 1);
        sprintf(out, "%s", world_colour_names[who(scene->cast, WORLD_CAST, find(world_shape_names, N_SHAPES, word), -1)->colour]);
        break;
    case OBJECT_RECOGNITION:
        assert_int_equal(sscanf(question->text, "Which shape is %15[a-z]?", word), 1);
        sprintf(out, "%s", world_shape_names[who(scene->cast, WORLD_CAST, -1, find(world_colour_names, N_COLOURS, word))->shape]);
        break;
    case OCR_PROBLEMS: sprintf(out, "%d%d", scene->sign.digits[0], scene->sign.digits[1]); break;
    case SPATIAL_PERCEPTION: solve_edge(scene, question->text, out); break;
    case COUNTING_PROBLEM:
        assert_int_equal(sscanf(question->text, "How many %15[a-z] shapes are there?", word), 1);
        assert_int_equal(find(world_colour_names, N_COLOURS, word), scene->crowd[0].colour);
        sprintf(out, "%d", scene->n_crowd);
        break;
    case TEMPORAL_PERCEPTION: sprintf(out, "%s", world_colour_names[scene->border.colour]); break;
    case TEMPORAL_REASONING: solve_longest(scene, out); break;
    case ACTION_RECOGNITION: solve_turn(scene, question->text, out); break;
    default: solve_background(scene, out); break;
    }
}

static void test_who_knows_the_scene_agrees(void **state)
{
    int asked[N_TYPES] = {0};
    (void)state;
    for (int k = 0; k < SCENES; k++) {
        struct world_scene scene = scene_at(k);
        struct world_question questions[WORLD_QUESTIONS];
        world_questions_ask(&scene, (uint64_t)k, questions);
        for (int q = 0; q < WORLD_QUESTIONS; q++) {
            char right[64];
            solve(&scene, &questions[q], right);
            for (int o = 0; o < WORLD_OPTIONS; o++)
                assert_int_equal(!strcmp(questions[q].options[o], right), o == questions[q].answer);
            for (int o = 1; o < WORLD_OPTIONS; o++)
                for (int other = 0; other < o; other++)
                    assert_string_not_equal(questions[q].options[o], questions[q].options[other]);
            assert_true(!q || questions[q].type > questions[q - 1].type);
            asked[questions[q].type]++;
        }
    }
    for (int type = 0; type < N_TYPES; type++)
        assert_in_range(asked[type], SCENES * 8 / 9 - 40, SCENES * 8 / 9 + 40);
}

/* Over the full tier no letter, and nothing that the words give away, is right clearly more often than one time in four. */
static void test_letters_are_balanced(void **state)
{
    int right[N_TYPES][WORLD_OPTIONS] = {0}, asked[N_TYPES] = {0}, n = world_tier_find("full")->n_videos;
    (void)state;
    for (int v = 0; v < n; v++) {
        struct world_scene scene;
        struct world_question questions[WORLD_QUESTIONS];
        world_video_draw(&scene, v);
        world_questions_ask(&scene, (uint64_t)v, questions);
        for (int q = 0; q < WORLD_QUESTIONS; q++) {
            asked[questions[q].type]++;
            right[questions[q].type][questions[q].answer]++;
        }
    }
    for (int type = 0; type < N_TYPES; type++)
        for (int letter = 0; letter < WORLD_OPTIONS; letter++)
            assert_in_range(1000 * right[type][letter] / asked[type], 230, 270);
}

/* How often an option is the right one where it is offered: who has learnt nothing but that gains nothing. */
static void assert_fair(int type, const char *text)
{
    int offered = 0, right = 0;
    for (int v = 0; v < 6000; v++) {
        struct world_scene scene;
        struct world_question questions[WORLD_QUESTIONS];
        world_scene_draw(&scene, (uint64_t)v << 20, 32);
        world_questions_ask(&scene, (uint64_t)v, questions);
        for (int q = 0; q < WORLD_QUESTIONS; q++)
            for (int o = 0; questions[q].type == type && o < WORLD_OPTIONS; o++)
                if (!strcmp(questions[q].options[o], text)) {
                    offered++;
                    right += o == questions[q].answer;
                }
    }
    assert_in_range(1000 * right / offered, 210, 290);
}

static void test_words_give_nothing_away(void **state)
{
    (void)state;
    assert_fair(COUNTING_PROBLEM, "1");
    assert_fair(COUNTING_PROBLEM, "8");
    assert_fair(ACTION_RECOGNITION, "green");
    assert_fair(SPATIAL_PERCEPTION, "left");
    assert_fair(TEMPORAL_REASONING, "red");
    assert_fair(INFORMATION_SYNOPSIS, "mosaic");
    assert_fair(TEMPORAL_PERCEPTION, "cyan");
}

/* ---- manifests ------------------------------------------------------------------------------------------------------------ */

static const char *string_at(const struct json *row, const char *key)
{
    return json_string(json_get(row, key));
}

static struct json *manifest(enum world_control control)
{
    struct text text = {0};
    struct err err = {0};
    struct json *json;
    assert_int_equal(world_manifest_write(&text, 20, control, &err), 0);
    assert_int_equal(json_parse(&json, text.bytes, text.length, "manifest", &err), 0);
    text_free(&text);
    return json;
}

static void test_controls_ask_the_same_about_other_videos(void **state)
{
    struct json *all[N_CONTROLS];
    const struct json *row[N_CONTROLS];
    (void)state;
    for (int c = 0; c < N_CONTROLS; c++) {
        all[c] = manifest((enum world_control)c);
        assert_int_equal(json_count(all[c]), 160);
        row[c] = json_first(all[c]);
    }
    for (; row[0]; row[0] = json_next(row[0]), row[1] = json_next(row[1]), row[2] = json_next(row[2])) {
        int v, other;
        assert_int_equal(sscanf(string_at(row[0], "videoID"), "tw%d", &v), 1);
        assert_int_equal(sscanf(string_at(row[CONTROL_SHUFFLED], "videoID"), "tw%d", &other), 1);
        assert_true(other != v && other % 3 == v % 3 && other < 20);
        assert_string_equal(string_at(row[CONTROL_BLANK], "videoID"), "blank");
        for (int c = 1; c < N_CONTROLS; c++) {
            assert_string_equal(string_at(row[c], "question"), string_at(row[0], "question"));
            assert_string_equal(string_at(row[c], "answer"), string_at(row[0], "answer"));
        }
    }
    for (int c = 0; c < N_CONTROLS; c++)
        json_free(all[c]);
}

static void test_tiers_have_names(void **state)
{
    (void)state;
    assert_int_equal(world_tier_find("default")->n_videos, 250);
    assert_null(world_tier_find("defaul"));
    assert_null(world_tier_find("defaults"));
    assert_null(world_tier_at(4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_the_same_everywhere),  cmocka_unit_test(test_manifests_are_the_same_everywhere),
        cmocka_unit_test(test_a_frame_depends_on_no_other),     cmocka_unit_test(test_nothing_overlaps),
        cmocka_unit_test(test_events_last_as_long_as_they_say), cmocka_unit_test(test_labels_tell_what_is_there),
        cmocka_unit_test(test_who_knows_the_scene_agrees),      cmocka_unit_test(test_letters_are_balanced),
        cmocka_unit_test(test_words_give_nothing_away),         cmocka_unit_test(test_controls_ask_the_same_about_other_videos),
        cmocka_unit_test(test_tiers_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
