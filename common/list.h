/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked ring. A `struct list` is either the head or a link inside an element; a
 * link that is in no list points to itself, so list_drop() may be called twice.
 */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include "common/cc.h"

#include <stdbool.h>

struct list {
    struct list *prev, *next;
};

#define LIST_OF(link, type, member) CONTAINER_OF(link, type, member)

/* `it` is the link; the _SAFE form allows the loop to drop `it`. */
#define LIST_EACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define LIST_EACH_SAFE(it, head)                                              \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_drop(struct list *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* To the end of the list `head`; `l` must be in none. */
static inline void list_append(struct list *head, struct list *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline void list_prepend(struct list *head, struct list *l)
{
    list_append(head->next, l);
}

/* Moves all of `from` to the end of `to`; `from` is empty after. */
static inline void list_move(struct list *to, struct list *from)
{
    if (!list_is_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
    }
}

#endif
