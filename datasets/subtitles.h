/* Subtitles: files to entries, and what prompts say of them. Internal to datasets/. */
#ifndef TOKSWEEP_DATASETS_SUBTITLES_H
#define TOKSWEEP_DATASETS_SUBTITLES_H

#include "core/arena.h"
#include "core/digest.h"
#include "core/err.h"
#include "core/sample.h"
#include "datasets/manifest_build.h"

struct subtitle_shelf { /* files that several samples ask for, each read once; zero-initialise */
    struct names by_key;
    struct subtitles **read; /* [by_key.n], in the manifest's arena */
    size_t capacity;
    struct digest *digest;   /* running hash that keys and the files' bytes go into */
};

/* Puts the subtitles of a sample on it, from the shelf or from `path`. What cannot be read is a flaw of the sample, a missing file is
 * none. Texts are not copied. ERR_MEMORY only.
 *
 * srt, as lmms-eval reads it: sections divided by empty lines, of which the second line says the times and the rest, joined by blanks,
 * the text; shorter sections are no entries. Of entries at equal times the first gives its place and the last its text.
 *
 * json: a list of {"timestamp": [start, end], "text"} or {"start", "end", "line"}, the latter as "h:m:s". Times in the file count from
 * `from_s` of it; an end that is no fractional number is the end of the video. */
int subtitles_attach_srt(struct subtitle_shelf *shelf, struct build *build, const char *path, struct sample *sample, struct err *err);
int subtitles_attach_json(struct subtitle_shelf *shelf, struct build *build, const char *path, double from_s, double video_s,
                          struct sample *sample, struct err *err);
void subtitle_shelf_free(struct subtitle_shelf *shelf); /* not its digest, nor what samples have */

enum subtitle_order {
    SUBTITLES_BY_TIME,
    SUBTITLES_BY_SET, /* as a Python set of their numbers lists them: upstream's */
};

/* The texts shown with frames that are spread evenly over a video of so many: of an entry, what stands in its first white font (a tag
 * of downloaded subtitles), and joined by LF. By set, entries without that tag are left out; by time, their whole text is taken.
 * In `arena`; NULL when memory is out. */
char *subtitles_list(const struct subtitles *subtitles, double fps, int64_t n_frames, int n_shown, enum subtitle_order order,
                     struct arena *arena);

/* "<image>" for each of at most `n_shown` frames, and between them the texts said while one is shown; joined by LF. As above. */
char *subtitles_interleave(const struct subtitles *subtitles, int n_shown, struct arena *arena);

#endif
