/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/hostmap.h"

#include "common/mem.h"

#include <stdlib.h>

struct hostmap_slot {
    struct str text; /* without "*."; len 0: free */
    uint32_t hash;
    bool suffix;
    void *value;
};

/* The table holds only names from packs and the configuration, so the hash needs no key. */
static uint32_t push(uint32_t h, char c)
{
    return (h ^ (unsigned char)c) * 16777619u;
}

#define HASH_START 2166136261u

static bool is_suffix(struct str name)
{
    return str_starts(name, STR("*."));
}

bool hostmap_is_name(struct str name)
{
    size_t label = 0;
    if (is_suffix(name)) {
        name = str_skip(name, 2);
    }
    if (name.len == 0 || name.len > 253) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
        } else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
            if (++label > 63) {
                return false;
            }
        } else {
            return false;
        }
    }
    return label > 0;
}

static struct hostmap_slot *slot_at(const struct hostmap *m, struct str text, uint32_t hash,
                                    bool suffix)
{
    for (size_t at = (hash ^ hash >> 15) & (m->room - 1);; at = (at + 1) & (m->room - 1)) {
        struct hostmap_slot *s = &m->slot[at];
        if (s->text.len == 0 || (s->hash == hash && s->suffix == suffix && str_eq(s->text, text))) {
            return s;
        }
    }
}

static void grow(struct hostmap *m)
{
    struct hostmap old = *m;
    m->room = old.room > 0 ? old.room * 2 : 64;
    m->slot = xcalloc(m->room, sizeof(*m->slot));
    for (size_t i = 0; i < old.room; i++) {
        const struct hostmap_slot *s = &old.slot[i];
        if (s->text.len > 0) {
            *slot_at(m, s->text, s->hash, s->suffix) = *s;
        }
    }
    free(old.slot);
}

void *hostmap_put(struct hostmap *m, struct str name, void *value)
{
    bool suffix = is_suffix(name);
    struct str text = suffix ? str_skip(name, 2) : name;
    uint32_t hash = HASH_START;
    for (size_t i = text.len; i-- > 0;) {
        hash = push(hash, text.ptr[i]);
    }
    if (m->count * 2 >= m->room) {
        grow(m);
    }
    struct hostmap_slot *s = slot_at(m, text, hash, suffix);
    if (s->text.len > 0) {
        return s->value;
    }
    *s = (struct hostmap_slot){.text = text, .hash = hash, .suffix = suffix, .value = value};
    m->count++;
    return NULL;
}

size_t hostmap_find(const struct hostmap *m, struct str host, void *out[HOSTMAP_MOST])
{
    void *found[HOSTMAP_MOST]; /* the shortest suffix first, overwritten from the far end */
    size_t count = 0;
    uint32_t hash = HASH_START;
    if (m->count == 0 || host.len == 0 || host.len > 253) {
        return 0;
    }
    for (size_t i = host.len; i-- > 0;) {
        hash = push(hash, host.ptr[i]);
        bool whole = i == 0;
        if (whole || host.ptr[i - 1] == '.') {
            struct str text = str_skip(host, i);
            const struct hostmap_slot *s = slot_at(m, text, hash, !whole);
            if (s->text.len > 0) {
                found[count++ % HOSTMAP_MOST] = s->value;
            }
        }
    }
    size_t most = MIN(count, (size_t)HOSTMAP_MOST);
    for (size_t i = 0; i < most; i++) {
        out[i] = found[(count - 1 - i) % HOSTMAP_MOST];
    }
    return most;
}

void hostmap_free(struct hostmap *m)
{
    free(m->slot);
    *m = (struct hostmap){0};
}
