/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's path, read the way an origin may read it. One spelling has one canonical reading;
 * where servers differ (how often they decode, whether dot segments or quoted slashes are honoured)
 * the others are kept beside it, and a rule that matches any of them matches the request. So a
 * spelling can hide nothing by meaning two things, and what has one meaning costs one reading.
 * What a rule takes for the absence of a word (no "groups" in front of "photo") counts only in
 * readings where the words could be read; see path_seg.
 *
 * A reading is made so: percent-escapes decoded (RFC 3986, 2.1), `\` as `/`, ASCII letters folded,
 * split at `/` *after* decoding (Graph takes %2F as a separator: microsoft-graph-docs-contrib issue
 * 4470), `;params` dropped (RFC 3986, 3.3), empty and dot segments removed (5.2.4), spaces around
 * and dots behind a name dropped, OData keys (OData 4.01 URL conventions, 4.3) split from their
 * segment: users('x')/photo reads users · ('x') · photo.
 */
#ifndef FILTERS_PATH_H
#define FILTERS_PATH_H

#include "common/buf.h"
#include "common/mem.h"

#define PATH_BYTES                                                                \
    16384 /* longer is not read; HTTP.sys, which serves all of these hosts, stops \
             at the same */
#define PATH_SEGMENTS 256
#define PATH_ROUNDS   4  /* of decoding */
#define PATH_READINGS 32 /* no path has more: see path_read() */

/* What makes a path unreadable, as bits. */
#define PATH_FAULTS(X)                                            \
    X(PATH_BAD_ESCAPE, "a % that starts no escape")               \
    X(PATH_U_ESCAPE, "a %uXXXX escape")                           \
    X(PATH_NUL, "a NUL")                                          \
    X(PATH_CONTROL, "a control character")                        \
    X(PATH_UTF8, "bytes that are no UTF-8")                       \
    X(PATH_UNSTABLE, "escapes within escapes beyond four rounds") \
    X(PATH_FRAGMENT, "a fragment (#)")                            \
    X(PATH_LONG, "more than 16 KiB")                              \
    X(PATH_DEEP, "more segments or parentheses than are read")    \
    X(PATH_AUTHORITY, "another host in the target than in Host")  \
    X(PATH_QUERY, "more query parameters than are read")

enum path_fault_bit {
#define PATH_BIT(name, text) name##_BIT,
    PATH_FAULTS(PATH_BIT)
#undef PATH_BIT
};
enum path_fault {
#define PATH_FLAG(name, text) name = 1 << name##_BIT,
    PATH_FAULTS(PATH_FLAG)
#undef PATH_FLAG
};

/* The words for the lowest fault in `faults`. Static storage. */
const char *path_fault_text(unsigned faults);

struct path_seg {
    struct str text; /* folded; a key without its parentheses */
    uint32_t hash;   /* path_hash(text) */
    bool key;        /* stood in parentheses */
    bool start;      /* begins a segment; false for a key behind its name */
    bool colon;      /* a ':' stood behind it and is cut off */
    bool file;       /* lies in a OneDrive path: a file's name, whatever it says */
    bool odd;        /* no service knows it so: dots that were kept, half a key, escapes left */
};

/* One reading. Its strings live in the arena. */
struct path {
    struct path_seg *seg;
    size_t count;
};

struct paths {
    struct path reading[PATH_READINGS]; /* the first is the canonical one */
    size_t count;                       /* at least 1 */
    unsigned faults;                    /* enum path_fault */
};

/*
 * Reads `raw`, a path without query; adds to out->faults, which the caller has set. `raw` need not
 * outlive the call. Bounded: time is linear in the length, times PATH_READINGS at worst.
 */
void path_read(struct paths *out, struct str raw, struct arena *a);

/*
 * Marks the segments that lie in a OneDrive path (Graph: "drive/root:/a/b:/content",
 * "items/{id}:/a", "sites/{host}:/sites/a:/lists"): from behind an anchor to the segment that ends
 * in ':', or to the end. Only for hosts that have drives.
 */
void path_mark_files(struct path *p);

/* Appends the canonical spelling, escaped where it must be; reading that again gives the same, but
 * for a path with a parenthesis that is never closed. */
void path_put(struct buf *out, const struct path *p);

/* The hash of a folded name that path_seg.hash holds. Not keyed: tables hold only our names. */
uint32_t path_hash(struct str text);

/* Decodes `text` to a fixed point of at most PATH_ROUNDS, escapes that are none left alone; for
 * query parts. `plus` also turns + into a space, once. Returns `text` itself when nothing changes.
 */
struct str path_decode_loose(struct str text, bool plus, struct arena *a);

#endif
