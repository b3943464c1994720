/* The tiny world (world/): Video-MME's rows and words about rendered videos. Its files are made by who asks for them first, below a cache;
 * a manifest that is given, or found in --data, is read as it is. */
#include "datasets/manifest_build.h"

static const char *const files[] = {"*.json", NULL};

#define TINYWORLD(suffix, its_tier, its_control, samples, videos, says) \
    const struct benchmark benchmark_tinyworld##suffix = { \
        .name = "tinyworld" #suffix, \
        .summary = says, \
        .published_samples = samples, \
        .published_videos = videos, \
        .max_option_letters = 4, \
        .tier = its_tier, \
        .control = its_control, \
        .files = files, \
        .load = videomme_load, \
        .prompt = videomme_prompt, \
    }

TINYWORLD(, "default", "", 2000, 250, "the tiny world: 2,000 questions on 250 videos of 16 to 192 seconds, rendered on first use");
TINYWORLD(_smoke, "smoke", "", 160, 20, "its first 20 videos");
TINYWORLD(_quick, "quick", "", 480, 60, "its first 60 videos");
TINYWORLD(_full, "full", "", 8000, 1000, "a thousand videos of it");
TINYWORLD(_shuffled, "default", "shuffled", 2000, 250, "a control: its questions, each about another video");
TINYWORLD(_blank, "default", "blank", 2000, 1, "a control: its questions about a grey picture");
