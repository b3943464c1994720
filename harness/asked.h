/* Asked: what a model was asked, made again from a manifest alone. */
#ifndef TOKSWEEP_HARNESS_ASKED_H
#define TOKSWEEP_HARNESS_ASKED_H

#include "datasets/manifest.h"

/* Adapters' words by the name that cells have: "default", "llava_vid"; NULL past the end. */
const char *asked_form_name(int form);

/* The prompt of a sample in one form (an asked_form_name's number), in `arena`. NULL where there is no such form, and where it depends on
 * files that are not part of the manifest: the header of a video, subtitles between frames. ERR_DATA, ERR_MEMORY. */
int asked_prompt(const char **out, const struct benchmark *benchmark, const struct protocol *protocol, int form,
                 const struct manifest *manifest, size_t sample, struct arena *arena, struct err *err);

#endif
