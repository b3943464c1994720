/* NExT-QA: the authors' csv, their map of videos, the Hub's form, groups, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_fixture.h"

#define HEADER "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
#define NAME "nextqa_mc_test"

static void test_csv(void **state)
{
    (void)state;
    put("nextqa/test.csv", HEADER "2574374895,719,320,240, what did the baby do ,2,8,TN,clap proudly,the lady sitting "
        "down,\xe3\x80\x80lay on floor ,none,crawl\n"
                                  "2574374895,719,320,240,\"why, then\",0,1,TP,a,b,c,d,e\r\n"
                                  "3083302557,1,1,1,how many,4,0,DC,1,2,3,4,5\n");
    struct manifest manifest = load_ok(NAME, at("nextqa/test.csv"), NULL);
    assert_int_equal(manifest.n_samples, 3);
    assert_int_equal(manifest.n_videos, 2);
    const struct sample *first = &manifest.samples[0];
    assert_string_equal(first->id, "2574374895_8");
    assert_string_equal(first->question, "what did the baby do");
    assert_string_equal(first->options[2], "lay on floor");
    assert_string_equal(first->options[3], "none");
    assert_int_equal(first->answer, 2);
    assert_string_equal(first->task_type, "TN");
    assert_string_equal(first->domain, "temporal");
    assert_string_equal(first->sub_category, "before and after");
    assert_string_equal(manifest.samples[1].question, "why, then");
    assert_string_equal(manifest.samples[1].sub_category, "before and after");
    assert_string_equal(manifest.samples[2].domain, "descriptive");
    assert_string_equal(manifest.videos[0].path, at("nextqa/NExTVideo/2574374895.mp4"));
    assert_true(manifest.videos[0].missing);
    struct arena arena = {0};
    assert_string_equal(prompt_of(NAME, "lmms-0.3.4", PROMPT_LLAVA_VID, first, &arena).user,
                        "what did the baby do\nA. clap proudly\nB. the lady sitting down\nC. lay on floor\nD. none\nE. crawl");
    arena_free(&arena);
    manifest_free(&manifest);
}

/* The original archive has videos in folders, which a file beside the manifest names. */
static void test_map(void **state)
{
    (void)state;
    put("test.csv", HEADER "11,1,1,1,q,0,0,CW,a,b,c,d,e\n12,1,1,1,q,0,0,CW,a,b,c,d,e\n13,1,1,1,q,0,0,CW,a,b,c,d,e\n"
        "14,1,1,1,q,0,0,CW,a,b,c,d,e\n");
    put("map_vid_vidorID.json", "{\"11\": \"0101/11\", \"12\": \"0102/12\", \"13\": \"0103/13\"}");
    put("NExTVideo/0101/11.mp4", "");
    put("NExTVideo/12.MP4", ""); /* as lmms-eval has it */
    struct manifest manifest = load_ok(NAME, at("test.csv"), NULL);
    assert_string_equal(manifest.videos[0].path, at("NExTVideo/0101/11.mp4"));
    assert_string_equal(manifest.videos[1].path, at("NExTVideo/12.MP4"));
    assert_string_equal(manifest.videos[2].path, at("NExTVideo/13.mp4"));
    assert_true(manifest.videos[2].missing && manifest.videos[3].missing && !manifest.videos[0].missing);
    manifest_free(&manifest);
    put("map_vid_vidorID.json", "{\"13\": \"../../etc/13\"}");
    load_refused(NAME, at("test.csv"), ERR_DATA, "line 4: '../../etc/13.mp4' cannot be the name of a video");
    put("map_vid_vidorID.json", "[1]");
    load_refused(NAME, at("test.csv"), ERR_DATA, "map_vid_vidorID.json' is a list; expected an object of videos and their places");
}

/* The Hub has numbers where csv has texts; both may come as JSON. */
static void test_numbers(void **state)
{
    (void)state;
    put("m.json", "[{\"video\":2574374895,\"question\":\"q\",\"answer\":3,\"qid\":\"7\",\"type\":\"CH\","
                  "\"a0\":\"a\",\"a1\":\"b\",\"a2\":\"c\",\"a3\":\"d\",\"a4\":\"e\"}]");
    struct manifest manifest = load_ok("nextqa_mc_val", at("m.json"), NULL);
    assert_string_equal(manifest.samples[0].id, "2574374895_7");
    assert_int_equal(manifest.samples[0].answer, 3);
    manifest_free(&manifest);
    manifest = load_ok(NAME, FIXTURES_DIR "/lmms/manifests/nextqa_mc_test.parquet", NULL);
    assert_true(manifest.n_samples > 0);
    manifest_free(&manifest);
}

static void refuse(const char *row, const char *part)
{
    char text[1000];
    snprintf(text, sizeof text, HEADER "%s\n", row);
    put("test.csv", text);
    load_refused(NAME, at("test.csv"), ERR_DATA, part);
}

static void test_refusals(void **state)
{
    (void)state;
    refuse("1,1,1,1,q,5,0,CW,a,b,c,d,e", "row 0 ('1_0') cannot be asked: field 'answer' is 5; expected 0 to 4");
    refuse("1,1,1,1,q,0.5,0,CW,a,b,c,d,e", "field 'answer' is 0.5; expected 0 to 4");
    refuse("1,1,1,1,q,two,0,CW,a,b,c,d,e", "test.csv', line 2: field 'answer' is 'two'; expected a number");
    refuse("1,1,1,1,q,nan,0,CW,a,b,c,d,e", "field 'answer' is 'nan'; expected a number");
    refuse("../1,1,1,1,q,0,0,CW,a,b,c,d,e", "line 2: '../1.mp4' cannot be the name of a video");
    refuse("1,1,1,1,q,0,0,CW,a,b,c,d", "line 2: 12 fields; the first line has 13");
    put("test.csv", "video,question\n1,q\n");
    load_refused(NAME, at("test.csv"), ERR_DATA, "test.csv': no column 'qid'; it has video, question");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_csv, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_map, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_numbers, sandbox_make, sandbox_remove),
        cmocka_unit_test_setup_teardown(test_refusals, sandbox_make, sandbox_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
