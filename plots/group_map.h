/* Token groups as text, to be kept in a store and drawn by a page: one mark for each source token, frame by frame, row by row.
 *
 *   n      a group that begins here; groups are numbered in this order, from 0
 *   l u b  in the group of its left neighbour, its upper one, the same place in the frame before
 *   =N;    in group N
 *   .      dropped
 *   *      in tokens that are made of all tokens of a frame, or of the video */
#ifndef TOKSWEEP_PLOTS_GROUP_MAP_H
#define TOKSWEEP_PLOTS_GROUP_MAP_H

#include "core/text.h"
#include "plots/token_groups.h"

/* Appends the marks. ERR_MEMORY. */
int group_map(struct text *out, const struct token_groups *groups, struct err *err);

#endif
