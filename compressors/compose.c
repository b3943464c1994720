/* Composition: several methods in one cell, each in its own place of the pipeline. */
#include "compressors/compressor.h"

#include "compressors/match.h"
#include "core/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const enum role roles[] = {ROLE_ALLOCATE, ROLE_TOKENS, ROLE_LAYER, ROLE_DECODE};

enum { ROLES = sizeof roles / sizeof *roles };

static const char *const deeds[ROLES] = {"allot budgets", "choose the tokens", "act between the layers", "act while text is generated"};

unsigned compressor_roles(const struct compressor *compressor, const double *values)
{
    if (compressor->roles)
        return compressor->roles(values);
    return (compressor->allocate ? ROLE_ALLOCATE : 0u) | (compressor->tokens ? ROLE_TOKENS : 0u) | (compressor->layer ? ROLE_LAYER : 0u) |
           (compressor->decode ? ROLE_DECODE : 0u);
}

const struct method *methods_find(const struct method *methods, int n, enum role role)
{
    for (int i = 0; i < n; i++)
        if (compressor_roles(methods[i].compressor, methods[i].values) & role)
            return &methods[i];
    return NULL;
}

enum role methods_spender(const struct method *methods, int n)
{
    if (!methods_find(methods, n, ROLE_ALLOCATE))
        return 0;
    for (int r = 1; r < ROLES; r++) {
        const struct method *method = methods_find(methods, n, roles[r]);
        if (method && method->compressor->flags & (EXACT_BUDGET | SOME_BUDGET))
            return roles[r];
    }
    return 0;
}

/* ---- what makes sense ---------------------------------------------------------------------------------------------------- */

static void drop_none(struct method *methods, int *n)
{
    const struct compressor *none = compressor_find("none");
    for (int i = 0; i < *n;)
        if (*n > 1 && methods[i].compressor == none)
            memmove(&methods[i], &methods[i + 1], (size_t)(--*n - i) * sizeof *methods);
        else
            i++;
}

static int refuse_rivals(const struct method *methods, int n, struct err *err)
{
    for (int r = 0; r < ROLES; r++)
        for (int i = 0, first = -1; i < n; i++) {
            if (!(compressor_roles(methods[i].compressor, methods[i].values) & roles[r]))
                continue;
            if (first >= 0)
                return err_set(err, ERR_CONFIG, "%s and %s both %s; keep one of them", methods[first].compressor->name,
                               methods[i].compressor->name, deeds[r]);
            first = i;
        }
    return 0;
}

static int refuse_unspent(const struct method *methods, int n, struct err *err)
{
    const struct method *allocator = methods_find(methods, n, ROLE_ALLOCATE);
    if (!allocator || methods_spender(methods, n))
        return 0;
    struct text names = {0};
    for (int i = 0; compressor_at(i); i++)
        if (compressor_at(i)->flags & (EXACT_BUDGET | SOME_BUDGET))
            text_printf(&names, "%s%s", names.length ? ", " : "", compressor_at(i)->name);
    int rc = err_set(err, ERR_CONFIG, "%s allots tokens to frames and nothing here spends them; add one of %s", allocator->compressor->name,
                     names.bytes ? names.bytes : "the methods that do");
    text_free(&names);
    return rc;
}

static int refuse_broken_grid(const struct method *methods, int n, struct err *err)
{
    const struct method *tokens = methods_find(methods, n, ROLE_TOKENS), *layer = methods_find(methods, n, ROLE_LAYER);
    if (!tokens || !layer || !(layer->compressor->flags & NEEDS_GRID) || tokens->compressor->flags & KEEPS_GRID)
        return 0;
    return err_set(err, ERR_CONFIG, "%s compares each cell with the same cell of other frames, and %s leaves no full grid; use it without %s",
                   layer->compressor->name, tokens->compressor->name, tokens->compressor->name);
}

static int refuse_target(const struct method *methods, int n, struct err *err)
{
    const struct method *allocator = methods_find(methods, n, ROLE_ALLOCATE);
    for (int i = 0; allocator && i < n; i++) {
        int target = methods[i].compressor->flags & HAS_TARGET ? compressor_option(methods[i].compressor, "target_ratio") : -1;
        if (target >= 0 && !isnan(methods[i].values[target]))
            return err_set(err, ERR_CONFIG, "%s has a target_ratio and %s allots its tokens; leave out the target", methods[i].compressor->name,
                           allocator->compressor->name);
    }
    return 0;
}

static int refuse_two_numbers(const struct method *methods, int n, struct err *err)
{
    const struct method *allocator = methods_find(methods, n, ROLE_ALLOCATE);
    for (int i = 0; i < n; i++) {
        const char *name = methods[i].compressor->name;
        if (!methods[i].match)
            continue;
        if (!(compressor_roles(methods[i].compressor, methods[i].values) & ROLE_TOKENS))
            return err_set(err, ERR_CONFIG, "%s chooses no tokens with these options, so it cannot match another cell; change them", name);
        if (allocator)
            return err_set(err, ERR_CONFIG, "%s allots tokens and %s is to match another cell; leave out one of them",
                           allocator->compressor->name, name);
    }
    return 0;
}

/* A token stage that spends a budget exactly has no numbers of its own. */
static int leave_to_allocator(struct method *methods, int n, struct err *err)
{
    const struct vid_view any = {.T = 1, .raw = {.h = 1, .w = 1}, .pooled = {.h = 1, .w = 1}};
    for (int i = 0; i < n && methods_spender(methods, n) == ROLE_TOKENS; i++) {
        const struct compressor *compressor = methods[i].compressor;
        if (!match_can(compressor) || !(compressor_roles(compressor, methods[i].values) & ROLE_TOKENS))
            continue;
        if (compressor->settings && compressor->settings(methods[i].values, &any))
            return err_set(err, ERR_CONFIG, "%s comes in whole steps with these options, which no budget of a frame can be spent in; change them",
                           compressor->name);
        compressor_unset_amounts(compressor, methods[i].values);
        return compressor->check ? compressor->check(methods[i].values, err) : 0;
    }
    return 0;
}

int methods_resolve(struct method *methods, int *n, struct err *err)
{
    drop_none(methods, n);
    int rc = refuse_rivals(methods, *n, err);
    if (!rc)
        rc = refuse_unspent(methods, *n, err);
    if (!rc)
        rc = refuse_broken_grid(methods, *n, err);
    if (!rc)
        rc = refuse_two_numbers(methods, *n, err);
    if (!rc)
        rc = refuse_target(methods, *n, err);
    return rc ? rc : leave_to_allocator(methods, *n, err);
}

/* ---- what it is called --------------------------------------------------------------------------------------------------- */

typedef const char *namer(const struct method *method, struct arena *arena);

static const char *join(const struct method *methods, int n, namer *name, struct arena *arena)
{
    struct text text = {0};
    for (int i = 0; i < n; i++) {
        const char *part = name(&methods[i], arena);
        text.failed |= !part;
        text_printf(&text, "%s%s", i ? " + " : "", part ? part : "");
    }
    const char *out = text.failed ? NULL : arena_strdup(arena, text.bytes ? text.bytes : "");
    text_free(&text);
    return out;
}

static const char *name_of(const struct method *method, struct arena *arena)
{
    (void)arena;
    return method->compressor->name;
}

static const char *label_of(const struct method *method, struct arena *arena)
{
    const char *label = compressor_label(method->compressor, method->values, arena);
    return label && method->match ? arena_printf(arena, "%s match=(%s)", label, method->match) : label;
}

const char *methods_name(const struct method *methods, int n, struct arena *arena)
{
    return join(methods, n, name_of, arena);
}

const char *methods_label(const struct method *methods, int n, struct arena *arena)
{
    return join(methods, n, label_of, arena);
}

static struct json *params_of_one(const struct method *method)
{
    struct json *object = compressor_params(method->compressor, method->values);
    if (!object || !method->match || json_add(object, "match", json_new_string(method->match)))
        return object;
    json_free(object);
    return NULL;
}

static struct json *params_of(const struct method *methods, int n)
{
    if (n == 1)
        return params_of_one(methods);
    struct json *array = json_new(JSON_ARRAY);
    for (int i = 0; i < n && array; i++) {
        struct json *object = params_of_one(&methods[i]);
        bool named = object && json_add(object, "name", json_new_string(methods[i].compressor->name));
        if (!named)
            json_free(object);
        if (!named || !json_add(array, NULL, object)) {
            json_free(array);
            array = NULL;
        }
    }
    return array;
}

const char *methods_params(const struct method *methods, int n, struct arena *arena)
{
    struct json *params = params_of(methods, n);
    char *text = json_text(params);
    const char *out = text ? arena_strdup(arena, text) : NULL;
    json_free(params);
    free(text);
    return out;
}
