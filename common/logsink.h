/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log lines go: a thread of its own writes them, so that a full disk or a stuck pipe never
 * holds up a connection. Each producing thread has a ring of its own per output; a line that does
 * not fit is dropped and counted, and the count is written as a line of its own as soon as there is
 * room again.
 */
#ifndef COMMON_LOGSINK_H
#define COMMON_LOGSINK_H

#include "common/cc.h"
#include "common/str.h"

#include <stdbool.h>
#include <stdint.h>

struct logsink;
struct logring;

struct logsink_output {
    const char *name; /* for the line about dropped ones */
    const char
        *path; /* taken from `dir` when relative; NULL: `fd` is written to and never closed */
    int dir;
    int fd;
};

/* Opens the outputs (append, 0640) and starts the thread. -errno with the output's number in
 * `*failed`. */
int logsink_start(const struct logsink_output *outputs, unsigned count, struct logsink **sink,
                  unsigned *failed) MUSTCHECK;

/* A ring for one producer thread towards output `output`; `size` bytes, a power of two. Lives as
 * long as the sink. */
struct logring *logring_new(struct logsink *sink, unsigned output, size_t size);

/* Queues one line (its newline included). Wait-free. False when it was dropped. NULL ring: false.
 */
bool logring_put(struct logring *ring, struct str line);

/* Opens the files anew under their names (after a rotation), soon, in the sink's thread. */
void logsink_reopen(struct logsink *sink);

/* Lines dropped since the start, over all rings. */
uint64_t logsink_dropped(const struct logsink *sink);

/*
 * Writes what is queued, for at most `deadline_ms`, and frees everything. Producers must have
 * stopped. False when the outputs were stuck: then the thread frees everything when it gets loose,
 * if ever.
 */
bool logsink_stop(struct logsink *sink, unsigned deadline_ms);

#endif
