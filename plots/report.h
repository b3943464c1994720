/* The HTML report: a store as one file that any browser opens without a network or a server.
 *
 * The page is plots/report/: its script finds the store's contents as JSON in the file, in columns. What comes from the store is never
 * markup: it is escaped JSON here and text nodes there, and a Content-Security-Policy lets no other script run. */
#ifndef TOKSWEEP_PLOTS_REPORT_H
#define TOKSWEEP_PLOTS_REPORT_H

#include "core/err.h"
#include "core/text.h"
#include "results/store.h"

/* Frames of a video as pictures: those with the indices [n], ascending; with n 0 some that are spread over it. Appends elements to a JSON
 * array, "[index, seconds, \"base64 of a JPEG file\"]" with commas between. Where it cannot (the video is gone) it fails, and the page goes
 * without. */
typedef int frame_source(void *context, const struct video_ref *video, const uint32_t *index, size_t n, struct text *out, struct err *err);

struct report_options {
    const char *out;     /* path of the page */
    const char *where;   /* restricts the cells, as in store_each_cell; NULL for all */
    const char *title;   /* NULL: made from what is shown */
    const char *store;   /* what the page calls the store: its path */
    const char *program; /* who wrote it: "toksweep 0.1.0" */
    frame_source *frames; /* NULL: the page has no frames and no token groups */
    void *frames_context;
    size_t most_bytes;   /* of frames and groups together; videos on which cells disagree most go first */
};

struct report_counts { size_t cells, answers, bytes, videos, videos_left; }; /* videos: with frames; left: without */

/* Writes the page, in the place of one that is there. ERR_CONFIG when no cell is chosen, ERR_IO, ERR_MEMORY. */
int report_write(struct store *store, const struct report_options *options, struct report_counts *out, struct err *err);

#endif
