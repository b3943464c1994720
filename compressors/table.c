/* The table of compressors, and what all of them share: options. */
#include "compressors/methods.h"

#include "compressors/match.h"
#include "core/config.h"
#include "core/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct compressor *const compressors[] = { /* in the order they are listed */
    &compressor_none, &compressor_dyntok, &compressor_dytok, &compressor_vqtoken, &compressor_pool, &compressor_uniform,
    &compressor_random, &compressor_dynamic_vlm, &compressor_slowfast, &compressor_tome, &compressor_visionzip,
    &compressor_prumerge, &compressor_divprune, &compressor_vidcom2, &compressor_fastvid, &compressor_holitom,
    &compressor_prunevid, &compressor_scissor, &compressor_sttm, &compressor_pact, &compressor_flashvid, &compressor_fastv,
    &compressor_pyramiddrop, &compressor_sparsevlm, &compressor_framefusion, &compressor_dycoke,
};

enum { N_COMPRESSORS = sizeof compressors / sizeof *compressors };

/* Plugins come behind our own. */
static struct added { const struct compressor *compressor; char digest[DIGEST_HEX]; } added[16];
static int n_added;

int compressor_add(const struct compressor *compressor, const char *digest, struct err *err)
{
    enum { MOST_ADDED = sizeof added / sizeof *added };
    if (n_added == MOST_ADDED)
        return err_set(err, ERR_CONFIG, "more than %d plugins; load only those that the sweep uses", MOST_ADDED);
    added[n_added].compressor = compressor;
    snprintf(added[n_added++].digest, DIGEST_HEX, "%s", digest);
    return 0;
}

const struct compressor *compressor_at(int i)
{
    return i < 0 || i >= N_COMPRESSORS + n_added ? NULL : i < N_COMPRESSORS ? compressors[i] : added[i - N_COMPRESSORS].compressor;
}

const struct compressor *compressor_find(const char *name)
{
    const struct compressor *compressor;
    for (int i = 0; (compressor = compressor_at(i)); i++)
        if (!strcmp(compressor->name, name))
            return compressor;
    return NULL;
}

/* Of the plugin it came from; NULL if it is ours. */
static const char *plugin_digest(const struct compressor *compressor)
{
    for (int i = 0; i < n_added; i++)
        if (added[i].compressor == compressor)
            return added[i].digest;
    return NULL;
}

int compressor_option(const struct compressor *compressor, const char *name)
{
    for (int i = 0; i < compressor->n_options; i++)
        if (!strcmp(compressor->options[i].name, name))
            return i;
    return -1;
}

static int unknown_option(const struct compressor *compressor, const char *name, struct err *err)
{
    const char *known[COMPRESSOR_MOST_OPTIONS + 1] = {0};
    for (int i = 0; i < compressor->n_options; i++)
        known[i] = compressor->options[i].name;
    const char *near = nearest_word(name, known);
    if (near)
        return err_set(err, ERR_CONFIG, "compressor %s has no option '%s'; did you mean '%s'?", compressor->name, name, near);
    return err_set(err, ERR_CONFIG, "compressor %s has no option '%s'; see 'toksweep list compressors'", compressor->name, name);
}

static int bad_choice(const struct compressor *compressor, const struct option *option, struct err *err)
{
    struct text words = {0};
    for (const char *const *choice = option->choices; *choice; choice++)
        text_printf(&words, "%s%s", choice == option->choices ? "" : ", ", *choice);
    int rc = err_set(err, ERR_CONFIG, "compressor %s: option '%s' should be one of %s", compressor->name, option->name,
                     words.bytes ? words.bytes : "its choices");
    text_free(&words);
    return rc;
}

static int resolve_value(const struct compressor *compressor, const struct option *option, const struct json *json, double *out,
                         struct err *err)
{
    switch (option->type) {
    case OPTION_FLAG:
        if (json_type(json) != JSON_BOOL)
            return err_set(err, ERR_CONFIG, "compressor %s: option '%s' should be true or false, it is %s", compressor->name, option->name,
                           json_type_name(json));
        *out = json_bool(json);
        return 0;
    case OPTION_CHOICE:
        for (int i = 0; option->choices[i]; i++)
            if (json_type(json) == JSON_STRING && !strcmp(json_string(json), option->choices[i])) {
                *out = i;
                return 0;
            }
        return bad_choice(compressor, option, err);
    case OPTION_REAL:
    case OPTION_INT:
        break;
    }
    double value = json_number(json);
    bool number = json_type(json) == JSON_NUMBER && (option->type == OPTION_REAL || value == floor(value));
    if (!number || value < option->least || value > option->most) {
        char given[32];
        snprintf(given, sizeof given, "%g", value);
        return err_set(err, ERR_CONFIG, "compressor %s: option '%s' should be a %s from %g to %g, it is %s", compressor->name, option->name,
                       option->type == OPTION_INT ? "whole number" : "number", option->least, option->most,
                       json_type(json) == JSON_NUMBER ? given : json_type_name(json));
    }
    *out = value;
    return 0;
}

/* Whether an option says how much is kept. */
static bool says_how_much(const struct compressor *compressor, int option)
{
    bool says = option == 0 || (compressor->flags & HAS_TARGET && option == compressor_option(compressor, "target_ratio"));
    for (const char *const *name = compressor->instead; name && *name; name++)
        says |= option == compressor_option(compressor, *name);
    return says;
}

void compressor_unset_amounts(const struct compressor *compressor, double *values)
{
    for (int i = 0; i < compressor->n_options; i++)
        if (says_how_much(compressor, i))
            values[i] = NAN;
}

/* Leaves it to another cell how much is kept. */
static int leave_to_match(const struct compressor *compressor, const struct json *object, double *values, struct err *err)
{
    if (!match_can(compressor))
        return err_set(err, ERR_CONFIG, "compressor %s cannot be told how many tokens to leave, so it cannot match another cell; "
                       "'toksweep list compressors' marks those that can", compressor->name);
    for (int i = 0; i < compressor->n_options; i++)
        if (says_how_much(compressor, i) && json_get(object, compressor->options[i].name))
            return err_set(err, ERR_CONFIG, "compressor %s: 'match' and '%s' both say how much is kept; leave one out", compressor->name,
                           compressor->options[i].name);
    compressor_unset_amounts(compressor, values);
    return 0;
}

int compressor_resolve(const struct compressor *compressor, const struct json *object, const char *ignore, double *values, struct err *err)
{
    for (int i = 0; i < compressor->n_options; i++)
        values[i] = compressor->options[i].otherwise;
    for (const struct json *member = json_first(object); member; member = json_next(member)) {
        if ((ignore && !strcmp(json_key(member), ignore)) || !strcmp(json_key(member), "match"))
            continue;
        int i = compressor_option(compressor, json_key(member));
        if (i < 0)
            return unknown_option(compressor, json_key(member), err);
        int rc = resolve_value(compressor, &compressor->options[i], member, &values[i], err);
        if (rc)
            return rc;
    }
    int rc = json_get(object, "match") ? leave_to_match(compressor, object, values, err) : 0;
    return rc || !compressor->check ? rc : compressor->check(values, err);
}

static struct json *value_json(const struct option *option, double value)
{
    return option->type == OPTION_CHOICE ? json_new_string(option->choices[(int)value])
           : option->type == OPTION_FLAG ? json_new_bool(value != 0)
                                         : json_new_number(value);
}

struct json *compressor_params(const struct compressor *compressor, const double *values)
{
    struct json *object = json_new(JSON_OBJECT);
    const char *digest = plugin_digest(compressor);
    bool ok = object && (!digest || json_add(object, "plugin", json_new_string(digest)));
    for (int i = 0; i < compressor->n_options && ok; i++)
        if (!isnan(values[i]))
            ok = json_add(object, compressor->options[i].name, value_json(&compressor->options[i], values[i]));
    if (ok)
        return object;
    json_free(object);
    return NULL;
}

/* The first option is the one a sweep is about, unless another takes its place. */
static bool first_is_void(const struct compressor *compressor, const double *values)
{
    for (const char *const *name = compressor->instead; name && *name; name++)
        if (!isnan(values[compressor_option(compressor, *name)]))
            return true;
    int target = compressor->flags & HAS_TARGET ? compressor_option(compressor, "target_ratio") : -1;
    return target >= 0 && !isnan(values[target]);
}

const char *compressor_label(const struct compressor *compressor, const double *values, struct arena *arena)
{
    struct text label = {0};
    text_put(&label, compressor->name);
    bool first = !first_is_void(compressor, values);
    for (int i = 0; i < compressor->n_options; i++) {
        const struct option *option = &compressor->options[i];
        if (isnan(values[i]) || (i == 0 ? !first : values[i] == option->otherwise))
            continue;
        if (option->type == OPTION_CHOICE)
            text_printf(&label, " %s=%s", option->name, option->choices[(int)values[i]]);
        else if (option->type == OPTION_FLAG)
            text_printf(&label, " %s=%s", option->name, values[i] != 0 ? "true" : "false");
        else
            text_printf(&label, " %s=%g", option->name, values[i]);
    }
    const char *out = label.failed ? NULL : arena_strdup(arena, label.bytes);
    text_free(&label);
    return out;
}
