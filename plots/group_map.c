/* Token groups as text. Most source tokens are in the group of a neighbour, so that most marks are one character. */
#include "plots/group_map.h"

#include <stdlib.h>

/* The mark of a neighbour that source token i shares its owner with; 0 if there is none. */
static char neighbour(const struct token_groups *groups, size_t i)
{
    size_t w = (size_t)groups->w, frame = (size_t)groups->h * w;
    const uint32_t *owner = groups->owner;
    if (i % w && owner[i - 1] == owner[i])
        return 'l';
    if (i % frame >= w && owner[i - w] == owner[i])
        return 'u';
    return i >= frame && owner[i - frame] == owner[i] ? 'b' : 0;
}

int group_map(struct text *out, const struct token_groups *groups, struct err *err)
{
    size_t n = (size_t)groups->T * (size_t)groups->h * (size_t)groups->w;
    uint32_t *number = malloc((groups->n + 1) * sizeof *number), next = 0;
    if (!number)
        return err_no_memory(err, "a map of token groups");
    for (size_t g = 0; g < groups->n; g++)
        number[g] = OWNER_NONE;
    for (size_t i = 0; i < n; i++) {
        uint32_t owner = groups->owner[i];
        char mark = owner == OWNER_NONE ? '.' : owner == OWNER_ALL ? '*' : number[owner] == OWNER_NONE ? 'n' : neighbour(groups, i);
        if (mark == 'n')
            number[owner] = next++;
        if (mark)
            text_add(out, &mark, 1);
        else
            text_printf(out, "=%u;", number[owner]);
    }
    free(number);
    return out->failed ? err_no_memory(err, "a map of token groups") : 0;
}
