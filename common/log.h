/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's own log: events with keys and values, for the person who runs it. (What clients did
 * goes to the access and block logs.) An event's name never changes; what varies is in the fields.
 * Never bodies, cookies, tokens or query strings.
 *
 *   error: someone must act · warn: someone should look · info: state changes · debug: what the
 * last bug needed
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/buf.h"
#include "common/logsink.h"

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG
};

enum log_format {
    LOG_TEXT, /* for people: time level event key=value … */
    LOG_JSON, /* one object a line */
};

struct log_field {
    const char *key; /* NULL ends the list */
    enum {
        LOG_FIELD_STR,
        LOG_FIELD_NUM
    } kind;
    struct str str;
    int64_t num;
};

#define L_STR(k, s) ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = (s)})
#define L_Z(k, z)   ((struct log_field){.key = (k), .kind = LOG_FIELD_STR, .str = str_z(z)})
#define L_NUM(k, n) ((struct log_field){.key = (k), .kind = LOG_FIELD_NUM, .num = (int64_t)(n)})

/* How the process logs from now on; call before threads start, or from the control thread on a
 * reload. */
void log_setup(enum log_level level, enum log_format format);

/* Where this thread's lines go. NULL, the default: straight to stderr. */
void log_attach(struct logring *ring);

bool log_enabled(enum log_level level);
void log_put(enum log_level level, const char *event, const struct log_field *fields);

/* Fields are evaluated only when the level is on. At least one field; L_NONE stands for none. */
#define L_NONE ((struct log_field){.key = NULL})
#define LOG_AT(level, event, ...)                                                 \
    do {                                                                          \
        if (log_enabled(level)) {                                                 \
            log_put((level), (event), (struct log_field[]){__VA_ARGS__, L_NONE}); \
        }                                                                         \
    } while (0)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)

#endif
