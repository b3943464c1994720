/* Profiles: the table. */
#include "core/profile.h"

#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof *(table)))

/* Names are lmms-eval's names of its tasks. What differs between the releases is read off their task files.
 * Generation ends at 1,024 ids where a task sets no limit: the adapters' own. */
enum { UNLIMITED = 1024, MLVU_DEV_TYPES = 7, MLVU_TEST_TYPES = 9 };

#define LIKE_VIDEOMME(...) \
    {"videomme", __VA_ARGS__}, {"videomme_w_subtitle", __VA_ARGS__}, {"tinyworld", __VA_ARGS__}, {"tinyworld_smoke", __VA_ARGS__}, \
    {"tinyworld_quick", __VA_ARGS__}, {"tinyworld_full", __VA_ARGS__}, {"tinyworld_shuffled", __VA_ARGS__}, {"tinyworld_blank", __VA_ARGS__}
#define VIDEOMME(words, extract) LIKE_VIDEOMME(words, extract, .letters = 4, .max_new_tokens = 16)
#define MVBENCH(words) {"mvbench", words, EXTRACT_MVBENCH, .letters = 5, .drop_empty = true, .macro = true, .max_new_tokens = 16}
#define LONGVIDEOBENCH(extract, n_letters) \
    {"longvideobench_val_v", WORDING_LMMS, extract, .letters = n_letters, .guesses = true, .max_new_tokens = 32}, \
    {"longvideobench_val_i", WORDING_LMMS, extract, .letters = n_letters, .guesses = true, .max_new_tokens = 32}
#define UNCHANGED \
    {"nextqa_mc_test", WORDING_LMMS, EXTRACT_MMMU, .guesses = true, .max_new_tokens = UNLIMITED}, \
    {"nextqa_mc_val", WORDING_LMMS, EXTRACT_MMMU, .guesses = true, .max_new_tokens = UNLIMITED}, \
    {"perceptiontest_val_mc", WORDING_LMMS, EXTRACT_STANDALONE, .letters = 4, .max_new_tokens = UNLIMITED}

static const struct protocol lmms_0_2_3[] = {
    VIDEOMME(WORDING_EARLY, EXTRACT_LEGACY),
    {"mlvu_dev", WORDING_EARLY, EXTRACT_PARENTHESIS, .letters = 26, .max_new_tokens = 16},
    MVBENCH(WORDING_EARLY),
    LONGVIDEOBENCH(EXTRACT_MMMU, 0),
    UNCHANGED,
};

static const struct protocol lmms_0_3_0[] = {
    VIDEOMME(WORDING_LMMS, EXTRACT_LEGACY),
    {"mlvu_dev", WORDING_EARLY, EXTRACT_LEGACY, .letters = 4, .max_new_tokens = 16},
    MVBENCH(WORDING_LMMS),
    LONGVIDEOBENCH(EXTRACT_LONGVIDEOBENCH, 5),
    UNCHANGED,
};

/* mlvu_test is not there: that release fails on its first question. */
static const struct protocol lmms_0_3_4[] = {
    VIDEOMME(WORDING_LMMS, EXTRACT_LEGACY),
    {"mlvu_dev", WORDING_LMMS, EXTRACT_PARENTHESIS, .letters = 26, .macro = true, .macro_types = MLVU_DEV_TYPES, .max_new_tokens = 16},
    MVBENCH(WORDING_LMMS),
    LONGVIDEOBENCH(EXTRACT_LONGVIDEOBENCH, 5),
    UNCHANGED,
};

/* mlvu_test has six options of which only A to D are looked for, and no instruction in its prompt. */
static const struct protocol lmms_head[] = {
    VIDEOMME(WORDING_LMMS, EXTRACT_MCQ),
    {"mlvu_dev", WORDING_LMMS, EXTRACT_MCQ, .letters = 4, .macro = true, .macro_types = MLVU_DEV_TYPES, .max_new_tokens = 16},
    {"mlvu_test", WORDING_LMMS, EXTRACT_MCQ, .letters = 4, .macro = true, .macro_types = MLVU_TEST_TYPES, .max_new_tokens = 16},
    MVBENCH(WORDING_LMMS),
    LONGVIDEOBENCH(EXTRACT_LONGVIDEOBENCH, 5),
    UNCHANGED,
};

/* NExT-QA and Perception Test have scripts that score letters, and none that asks for them. Limits are the scripts' own or none. */
static const struct protocol official[] = {
    LIKE_VIDEOMME(WORDING_OFFICIAL, EXTRACT_LEGACY, .letters = 4, .drop_unread = true, .max_new_tokens = UNLIMITED),
    {"mlvu_dev", WORDING_OFFICIAL, EXTRACT_PARENTHESIS, .letters = 26, .macro = true, .max_new_tokens = UNLIMITED},
    {"mlvu_test", WORDING_OFFICIAL, EXTRACT_PARENTHESIS, .letters = 26, .macro = true, .max_new_tokens = UNLIMITED},
    {"mvbench", WORDING_OFFICIAL, EXTRACT_FIRST_WORD, .max_new_tokens = 100},
    {"longvideobench_val_v", WORDING_OFFICIAL, EXTRACT_LONGVIDEOBENCH, .letters = 5, .guesses = true, .max_new_tokens = UNLIMITED},
    {"longvideobench_val_i", WORDING_OFFICIAL, EXTRACT_LONGVIDEOBENCH, .letters = 5, .guesses = true, .max_new_tokens = UNLIMITED},
};

static const struct protocol own[] = {
    LIKE_VIDEOMME(WORDING_OWN, EXTRACT_MCQ, .max_new_tokens = 16),
    {"mlvu_dev", WORDING_OWN, EXTRACT_MCQ, .macro = true, .max_new_tokens = 16},
    {"mlvu_test", WORDING_OWN, EXTRACT_MCQ, .macro = true, .max_new_tokens = 16},
    {"mvbench", WORDING_OWN, EXTRACT_MCQ, .macro = true, .max_new_tokens = 16},
    {"longvideobench_val_v", WORDING_OWN, EXTRACT_MCQ, .max_new_tokens = 32},
    {"longvideobench_val_i", WORDING_OWN, EXTRACT_MCQ, .max_new_tokens = 32},
    {"nextqa_mc_test", WORDING_OWN, EXTRACT_MCQ, .max_new_tokens = UNLIMITED},
    {"nextqa_mc_val", WORDING_OWN, EXTRACT_MCQ, .max_new_tokens = UNLIMITED},
    {"perceptiontest_val_mc", WORDING_OWN, EXTRACT_MCQ, .max_new_tokens = UNLIMITED},
};

static const struct profile profiles[] = {
    {"toksweep", "lmms-eval's prompts, faults corrected: clip bounds honoured, empty replies counted, nothing drawn, all options in reach",
     .clip_bounds = true, .drops_reasoning = true, own, COUNT(own)},
    {"lmms-0.3.4", "lmms-eval 0.3.4 (May 2025), the release next to the DynTok paper", false, false, lmms_0_3_4, COUNT(lmms_0_3_4)},
    {"lmms-0.3.0", "lmms-eval 0.3.0 (November 2024), of LLaVA-Video's time: MLVU's score is micro", false, false, lmms_0_3_0,
     COUNT(lmms_0_3_0)},
    {"lmms-0.2.3", "lmms-eval 0.2.3 (September 2024), of LLaVA-OneVision's time: options as a Python list", false, false, lmms_0_2_3,
     COUNT(lmms_0_2_3)},
    {"lmms-head", "lmms-eval as of August 2026 (75571cf)", .drops_reasoning = true, lmms_head, COUNT(lmms_head)},
    {"official", "the benchmarks' own scripts: clip bounds honoured, replies without a letter not counted in Video-MME",
     .clip_bounds = true, .protocols = official, .n_protocols = COUNT(official)},
};

const struct profile *profile_at(int i)
{
    return i >= 0 && i < COUNT(profiles) ? &profiles[i] : NULL;
}

const struct profile *profile_find(const char *name)
{
    for (int i = 0; i < COUNT(profiles); i++)
        if (!strcmp(profiles[i].name, name))
            return &profiles[i];
    return NULL;
}

const struct protocol *profile_protocol(const struct profile *profile, const char *benchmark)
{
    for (int i = 0; i < profile->n_protocols; i++)
        if (!strcmp(profile->protocols[i].benchmark, benchmark))
            return &profile->protocols[i];
    return NULL;
}

static const char *const rule_names[] = {"uniform", "1fps", "centre"};

const char *frame_rule_name(enum frame_rule rule)
{
    return rule_names[rule];
}

int frame_rule_find(const char *name)
{
    for (int i = 0; i < COUNT(rule_names); i++)
        if (!strcmp(rule_names[i], name))
            return i;
    return -1;
}
