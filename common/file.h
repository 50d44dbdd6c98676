/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files, bounded. Relative names are taken from a directory that is held open, not from the
 * working directory: a process that has given up root can still read the configuration it was
 * started with, and a reload sees the same files as the start did.
 */
#ifndef COMMON_FILE_H
#define COMMON_FILE_H

#include "common/buf.h"

#include <sys/types.h>

/* Appends the file to `out`. `dir` is a directory's descriptor or AT_FDCWD. -errno; ERR_LIMIT above
 * `max` bytes. */
int file_read(int dir, const char *name, size_t max, struct buf *out) MUSTCHECK;

/*
 * Puts `data` in place of the file at once: readers see the old or the new one, whole (write aside,
 * fsync, rename, fsync of the directory). Created with `mode`. -errno, with the old file untouched.
 */
int file_replace(int dir, const char *name, struct str data, mode_t mode) MUSTCHECK;

/* Makes `name` and its missing parents, 0755 but for the last, which gets `mode`. 0 also when it is
 * there. */
int file_mkdir(int dir, const char *name, mode_t mode) MUSTCHECK;

#endif
