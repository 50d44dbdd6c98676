/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose photo is it? A word such as "photo" in a path can be a person's photo, a group's, or just a
 * name that somebody gave to a list. The path is walked from the left as an OData service would:
 * behind a collection stands a key, whatever it says; behind anything else a property. What is
 * neither known to be a person nor something else with a photo of its own counts as a person:
 * Microsoft adds roads to users more often than kinds of photos. A name in the plural may be a
 * collection or not; it is taken both ways.
 *
 * Source: the v1.0 CSDL of Microsoft Graph: profilePhoto is reached through contact.photo,
 * group.photo(s), team.photo and user.photo(s), and nothing else.
 */
#ifndef FILTERS_OWNER_H
#define FILTERS_OWNER_H

#include "filters/path.h"

/* A set of folded words, ready to be searched. */
struct owner_words {
    struct owner_word {
        uint32_t hash;
        struct str text;
    } * item;
    size_t count;
};

/* Read from a pack; immutable then. */
struct owner {
    struct str name;
    struct owner_words property; /* the words in question: photo, photos */
    struct owner_words people;   /* collections of persons */
    struct owner_words person;   /* steps to one person: me, manager */
    struct owner_words others;   /* collections of things with a photo of their own: groups */
    struct owner_words other;    /* steps to one of those: team */
    struct owner_words many;     /* further collections, beside all names that end in s */
};

/* Sorts `words` for searching; call once when filled. */
void owner_words_sort(struct owner_words *words);

/* True when `p` names the property of a person. Of an owner that is not known, the property must
 * stand at the end: [key][/$value], with casts between. */
bool owner_is_person(const struct owner *o, const struct path *p);

#endif
