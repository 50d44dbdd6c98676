/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/msg.h"

#include "common/cc.h"

static const struct str names[FIELD_COUNT] = {
#define FIELD_TEXT(id, name) [FIELD_##id] = STR_INIT(name),
    FIELD_LIST(FIELD_TEXT)
#undef FIELD_TEXT
};

/*
 * Length and first letter single out at most a few names, so the common foreign field costs one
 * lookup. Filled once, before threads start (constructor), read-only after.
 */
enum {
    LONGEST = 26
};
#define FIELD_FITS(id, name) _Static_assert(sizeof(name) <= LONGEST, "LONGEST is too small");
FIELD_LIST(FIELD_FITS)
#undef FIELD_FITS
static uint8_t first_of[LONGEST][32]; /* [length][letter]: first id, chained by next_of */
static uint8_t next_of[FIELD_COUNT];

__attribute__((constructor)) static void build_index(void)
{
    for (unsigned id = FIELD_COUNT - 1; id > FIELD_OTHER; id--) {
        uint8_t *slot = &first_of[names[id].len][names[id].ptr[0] & 31];
        next_of[id] = *slot;
        *slot = (uint8_t)id;
    }
}

enum field_id field_id_of(struct str name)
{
    if (name.len == 0 || name.len >= LONGEST) {
        return FIELD_OTHER;
    }
    for (unsigned id = first_of[name.len][name.ptr[0] & 31]; id != FIELD_OTHER; id = next_of[id]) {
        if (str_ieq(name, names[id])) {
            return (enum field_id)id;
        }
    }
    return FIELD_OTHER;
}

struct str field_name(enum field_id id)
{
    return names[id];
}

static struct field *add(struct msg *m)
{
    if (m->field_count == m->field_cap) {
        unsigned cap = m->field_cap > 0 ? m->field_cap * 2 : 32;
        struct field *grown = arena_alloc(m->arena, cap * sizeof(*grown));
        if (m->field_count > 0) {
            memcpy(grown, m->fields, m->field_count * sizeof(*grown));
        }
        m->fields = grown;
        m->field_cap = cap;
    }
    return &m->fields[m->field_count++];
}

void msg_add(struct msg *m, struct str name, struct str value)
{
    *add(m) = (struct field){.name = name, .value = value, .id = field_id_of(name)};
}

void msg_add_id(struct msg *m, enum field_id id, struct str value)
{
    *add(m) = (struct field){.name = names[id], .value = value, .id = id};
}

struct field *msg_find(const struct msg *m, enum field_id id)
{
    for (unsigned i = 0; i < m->field_count; i++) {
        if (m->fields[i].id == id) {
            return &m->fields[i];
        }
    }
    return NULL;
}

unsigned msg_count(const struct msg *m, enum field_id id)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->field_count; i++) {
        n += m->fields[i].id == id;
    }
    return n;
}

bool msg_has_token(const struct msg *m, enum field_id id, struct str token)
{
    for (unsigned i = 0; i < m->field_count; i++) {
        if (m->fields[i].id == id && str_list_has(m->fields[i].value, token)) {
            return true;
        }
    }
    return false;
}
