/* Token pictures: frames with what became of their tokens drawn over them, a row for each way of treating them. Through gnuplot, as figures
 * are; <stem>.dat, <stem>.gp and <stem>.rgb are left beside the picture.
 *
 *   as it is             one source, one token
 *   tinted, a number     a token of so many sources, in their mean colour
 *   outlined, a letter   a token whose sources lie apart, in one frame or in several: one letter, one colour, one token; its number where
 *                        it stands
 *   lighter              in a token that stands in another frame: in the same place, or of the same letter
 *   faded, grey          dropped */
#ifndef TOKSWEEP_PLOTS_TOKEN_PICTURE_H
#define TOKSWEEP_PLOTS_TOKEN_PICTURE_H

#include "plots/token_groups.h"

struct token_column {
    const char *caption;
    const uint8_t *rgb; /* [height][width][3] of the picture: the frame */
};

struct token_row {
    const char *label, *note;          /* "dyntok threshold=0.6", and what is said beneath */
    const struct token_groups *groups; /* coloured */
    const int *frame;                  /* [n_columns] which of its frames each column shows; -1: it has no such frame */
};

struct token_picture {
    const char *title, *note;
    const struct token_column *columns;
    size_t n_columns;
    const struct token_row *rows;
    size_t n_rows;
    int width, height;       /* of a frame, in pixels */
};

enum { PICTURE_LEAST_WIDTH = 40, PICTURE_MOST_PIXELS = 1 << 27, PICTURE_MOST_SIDE = 30000 };

/* ERR_CONFIG for a picture with n_rows rows that is larger than that: of `picture`, n_columns, width and height count. */
int token_picture_check(const struct token_picture *picture, size_t n_rows, struct err *err);

/* Draws to `out`, whose ending picks the format: .svg, .png, .pdf. ERR_CONFIG for another ending or a picture larger than the above,
 * ERR_IO, ERR_MEMORY. */
int token_picture_draw(const struct token_picture *picture, const char *out, struct err *err);

#endif
