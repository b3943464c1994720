/* Thumbnails: frames of a video as small JPEG pictures, for the report. */
#ifndef TOKSWEEP_HARNESS_THUMBNAILS_H
#define TOKSWEEP_HARNESS_THUMBNAILS_H

#include "plots/report.h"

/* A report's frame_source: decodes and resizes as a run does, to squares as models see them. Needs no context. */
frame_source thumbnails;

#endif
