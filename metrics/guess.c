/* Guesses: MT19937 as CPython has it. */
#include "metrics/guess.h"

enum { MIDDLE = 397 };

static void state_start(uint32_t *state)
{
    state[0] = 19650218;
    for (uint32_t i = 1; i < GUESSER_WORDS; i++)
        state[i] = 1812433253u * (state[i - 1] ^ (state[i - 1] >> 30)) + i;
}

/* init_by_array() with a key of one word. */
void guesser_seed(struct guesser *guesser, uint32_t seed)
{
    uint32_t *state = guesser->state, i = 1;
    state_start(state);
    for (int k = 0; k < GUESSER_WORDS; k++) {
        state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1664525u)) + seed;
        if (++i == GUESSER_WORDS) {
            state[0] = state[GUESSER_WORDS - 1];
            i = 1;
        }
    }
    for (int k = 0; k < GUESSER_WORDS - 1; k++) {
        state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1566083941u)) - i;
        if (++i == GUESSER_WORDS) {
            state[0] = state[GUESSER_WORDS - 1];
            i = 1;
        }
    }
    state[0] = 0x80000000u;
    guesser->at = GUESSER_WORDS;
}

static void state_renew(uint32_t *state)
{
    for (int i = 0; i < GUESSER_WORDS; i++) {
        uint32_t word = (state[i] & 0x80000000u) | (state[(i + 1) % GUESSER_WORDS] & 0x7fffffffu);
        state[i] = state[(i + MIDDLE) % GUESSER_WORDS] ^ (word >> 1) ^ (word & 1 ? 0x9908b0dfu : 0);
    }
}

static uint32_t word_next(struct guesser *guesser)
{
    if (guesser->at == GUESSER_WORDS) {
        state_renew(guesser->state);
        guesser->at = 0;
    }
    uint32_t word = guesser->state[guesser->at++];
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c5680u;
    word ^= word << 15 & 0xefc60000u;
    return word ^ word >> 18;
}

int guesser_choose(struct guesser *guesser, int n)
{
    int bits = 0;
    while (n >> bits)
        bits++;
    uint32_t drawn;
    do
        drawn = word_next(guesser) >> (32 - bits);
    while (drawn >= (uint32_t)n);
    return (int)drawn;
}
