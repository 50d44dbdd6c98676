/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/owner.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct owner_word *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

void owner_words_sort(struct owner_words *words)
{
    if (words->count > 1) {
        qsort(words->item, words->count, sizeof(*words->item), compare);
    }
}

static bool has(const struct owner_words *words, uint32_t hash, struct str text)
{
    size_t low = 0, high = words->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (words->item[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < words->count && words->item[low].hash == hash; low++) {
        if (str_eq(words->item[low].text, text)) {
            return true;
        }
    }
    return false;
}

static bool seg_in(const struct path_seg *seg, const struct owner_words *words)
{
    return has(words, seg->hash, seg->text);
}

/*
 * A type cast or a bound function, "microsoft.graph.user" (OData 4.01 URL conventions, 4.11): its
 * last part. Empty when it is none: the key "graph.smith@contoso.com" looks like one up to the @.
 */
static struct str cast_of(struct str text)
{
    const size_t head = str_starts(text, STR("microsoft.graph.")) ? 16
                        : str_starts(text, STR("graph."))         ? 6
                                                                  : text.len;
    struct str type = str_skip(text, head);
    for (size_t i = 0; i < type.len; i++) {
        char c = type.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_')) {
            return STR_NONE;
        }
    }
    ptrdiff_t dot;
    while ((dot = str_index(type, '.')) >= 0) {
        type = str_skip(type, (size_t)dot + 1);
    }
    return type;
}

/* Behind the property: nothing, one key, $value, with casts anywhere. */
static bool ends_there(const struct path *p, size_t at)
{
    size_t keys = 0;
    for (; at < p->count; at++) {
        const struct path_seg *seg = &p->seg[at];
        bool value = str_eq(seg->text, STR("$value"));
        if (seg->odd) {
            return false;
        }
        if (value && !seg->key) {
            return at + 1 == p->count;
        }
        if (cast_of(seg->text).len == 0 && ++keys > 1) {
            return false;
        }
    }
    return true;
}

/*
 * Behind a name that may be a collection, but is not known as one: in the plural, or listed. Such a
 * name is taken both ways, as "people" is a collection below a user and not below admin.
 */
static bool may_be_many(const struct owner *o, const struct path_seg *seg)
{
    struct str t = seg->text;
    return seg_in(seg, &o->many) || (t.len > 2 && t.ptr[t.len - 1] == 's' && t.ptr[0] != '$' &&
                                     str_index(t, '.') < 0 && str_index(t, '@') < 0);
}

/* What the segments so far may name; a path can be in several of these at once. */
enum at {
    AT_UNKNOWN = 1,
    AT_PERSON = 2,
    AT_OTHER = 4, /* something with a photo of its own */
    AT_ONE = AT_UNKNOWN | AT_PERSON | AT_OTHER,
    OF_UNKNOWN = 8, /* the collection of those: a key is next */
    OF_PERSON = 16,
    OF_OTHER = 32,
    KEY_BITS = 3, /* from a collection to its element */
};

static unsigned behind_cast(const struct owner *o, unsigned at, struct str cast)
{
    uint32_t hash = path_hash(cast);
    unsigned to = has(&o->other, hash, cast)    ? AT_OTHER
                  : has(&o->person, hash, cast) ? AT_PERSON
                                                : 0;
    if (to == 0) {
        return at;
    }
    return ((at & AT_ONE) != 0 ? to : 0) | ((at & ~(unsigned)AT_ONE) != 0 ? to << KEY_BITS : 0);
}

static unsigned behind_name(const struct owner *o, const struct path_seg *seg)
{
    if (seg_in(seg, &o->people)) {
        return OF_PERSON;
    }
    if (seg_in(seg, &o->others)) {
        return OF_OTHER;
    }
    if (seg_in(seg, &o->person)) {
        return AT_PERSON;
    }
    if (seg_in(seg, &o->other)) {
        return AT_OTHER;
    }
    return may_be_many(o, seg) ? AT_UNKNOWN | OF_UNKNOWN : AT_UNKNOWN;
}

enum found {
    FOUND_NOTHING,
    FOUND_PERSON,
    FOUND_OTHER,
};

/* At the property: whose is it? When it may as well be a key, only "$value" behind it tells. */
static enum found whose(const struct path *p, size_t i, unsigned at)
{
    const struct path_seg *last = &p->seg[p->count - 1];
    if (at & AT_PERSON) {
        return FOUND_PERSON;
    }
    if (at & AT_OTHER) {
        return FOUND_OTHER;
    }
    if (at & AT_UNKNOWN && ends_there(p, i + 1)) {
        bool key_as_well = (at & ~(unsigned)AT_ONE) != 0;
        bool value = !last->key && str_eq(last->text, STR("$value"));
        return !key_as_well || value ? FOUND_PERSON : FOUND_NOTHING;
    }
    return FOUND_NOTHING;
}

bool owner_is_person(const struct owner *o, const struct path *p)
{
    unsigned at = AT_UNKNOWN;
    for (size_t i = 0; i < p->count; i++) {
        const struct path_seg *seg = &p->seg[i];
        struct str cast = seg->key || seg->file ? STR_NONE : cast_of(seg->text);
        unsigned elements = at >> KEY_BITS;
        if (seg->file) {
            at = AT_UNKNOWN;
        } else if (seg->odd) {
            return false; /* a reader that takes it as it stands knows no such name */
        } else if (cast.len > 0) {
            at = behind_cast(o, at, cast);
        } else if (seg->key) {
            at = elements != 0 ? elements : at;
        } else {
            if (seg_in(seg, &o->property)) {
                enum found found = whose(p, i, at);
                if (found != FOUND_NOTHING) {
                    return found == FOUND_PERSON;
                }
            }
            at = elements | ((at & AT_ONE) != 0 ? behind_name(o, seg) : 0);
        }
    }
    return false;
}
