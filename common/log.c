/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include "common/clock.h"

#include <stdatomic.h>
#include <unistd.h>

static _Atomic int max_level = LOG_INFO;
static _Atomic int line_format = LOG_TEXT;
static _Thread_local struct logring *my_ring;
static _Thread_local struct buf
    my_line; /* reused; a thread that ends calls log_attach(NULL), which frees it */

static const char *const level_name[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&max_level, (int)level);
    atomic_store(&line_format, (int)format);
}

void log_attach(struct logring *ring)
{
    my_ring = ring;
    buf_free(&my_line);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

static void put_json(struct buf *b, enum log_level level, const char *event,
                     const struct log_field *f)
{
    buf_z(b, "{\"time\":\"");
    clock_now_rfc3339(b);
    buf_printf(b, "\",\"level\":\"%s\",\"event\":", level_name[level]);
    buf_json(b, str_z(event));
    for (; f->key != NULL; f++) {
        buf_printf(b, ",\"%s\":", f->key);
        if (f->kind == LOG_FIELD_NUM) {
            buf_printf(b, "%lld", (long long)f->num);
        } else {
            buf_json(b, f->str);
        }
    }
    buf_z(b, "}\n");
}

static bool reads_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return s.len > 0;
}

static void put_text(struct buf *b, enum log_level level, const char *event,
                     const struct log_field *f)
{
    clock_now_rfc3339(b);
    buf_printf(b, " %-5s %s", level_name[level], event);
    for (; f->key != NULL; f++) {
        buf_printf(b, " %s=", f->key);
        if (f->kind == LOG_FIELD_NUM) {
            buf_printf(b, "%lld", (long long)f->num);
        } else if (reads_plain(f->str)) {
            buf_str(b, f->str);
        } else {
            buf_json(b, f->str);
        }
    }
    buf_char(b, '\n');
}

void log_put(enum log_level level, const char *event, const struct log_field *fields)
{
    buf_clear(&my_line);
    if (atomic_load_explicit(&line_format, memory_order_relaxed) == LOG_JSON) {
        put_json(&my_line, level, event, fields);
    } else {
        put_text(&my_line, level, event, fields);
    }
    if (my_ring != NULL) {
        (void)logring_put(my_ring, buf_view(&my_line));
    } else {
        ssize_t ignored = write(STDERR_FILENO, my_line.ptr, my_line.len);
        (void)ignored;
    }
}
