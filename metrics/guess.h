/* The letters that lmms-eval draws where it finds none in a reply: random.choice() of Python after random.seed(), so MT19937
 * (Matsumoto and Nishimura, 1998) seeded by an array of one word, and rejection of what is too large. Only the numbers
 * that are compared with lmms-eval's own use it: what it draws depends on all that were drawn before. */
#ifndef TOKSWEEP_METRICS_GUESS_H
#define TOKSWEEP_METRICS_GUESS_H

#include <stdint.h>

enum { GUESSER_WORDS = 624 };

struct guesser {
    uint32_t state[GUESSER_WORDS];
    int at; /* of the next word in `state` */
};

void guesser_seed(struct guesser *guesser, uint32_t seed); /* lmms-eval's seed is 0 */

/* random.choice(range(n)), n >= 1. */
int guesser_choose(struct guesser *guesser, int n);

#endif
