/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was planned and what was begun, one JSON object a line, in a file a run. All steps stand in
 * it, on the disk, before the first write; each write is noted, on the disk, before it is sent. So
 * after kill -9 or a power cut it is known what may have been changed and from what.
 *
 *   {"journal":1,"run":…,"what":"apply"|"undo",…} · {"step":i,"kind":…,"before":…,"after":…}… ·
 * {"planned":n}
 *   {"begin":i} · {"done":i} · {"skip":i} · {"conflict":i} · {"fail":i,"why":…} · {"manual":i} ·
 * {"end":"done"}
 */
#ifndef ADMIN_JOURNAL_H
#define ADMIN_JOURNAL_H

#include "admin/plan.h"

struct journal;

/* The directory of the runs, made when it is not there, and locked against a second run that
 * writes. 0 and *fd (close() gives it back), -EAGAIN when another run has it. */
int journal_lock(const struct conf *conf, int *fd, struct diag *d) MUSTCHECK;

/* Writes the plan into a new file. NULL with the fault in `d`. `undoes` names the run that this one
 * takes back, or is NULL. */
struct journal *journal_new(int dir, const struct conf *conf, const char *what, const char *undoes,
                            const struct plan *plan, struct diag *d);

struct journal_info {
    char run[80], what[16], undoes[80], started[40];
    size_t planned, begun, done, failed;
    bool whole; /* all of the plan is in it; else nothing was ever begun */
    bool ended;
};

/* Reads the plan and how far it came. ERR_SYNTAX when it is no journal; a torn last line is passed
 * over. */
int journal_read(int dir, const char *name, struct plan *plan, struct journal_info *info,
                 struct diag *d) MUSTCHECK;

/* The same for its text. */
int journal_parse(struct str text, struct plan *plan, struct journal_info *info) MUSTCHECK;

/* Goes on writing in a file that journal_read() took. */
struct journal *journal_open(int dir, const char *name, struct diag *d);

/* The names of all journals, oldest first; free each and the list. */
size_t journal_list(int dir, char ***names);

/* 0, or -errno: nothing may be written to the tenant then. On the disk when it returns. */
int journal_begin(struct journal *j, size_t step) MUSTCHECK;

/* "done", "skip", "conflict", "fail", "manual"; losing such a line costs one read at the next
 * start. */
void journal_note(struct journal *j, const char *what, size_t step, struct str why);
void journal_end(struct journal *j);
const char *journal_name(const struct journal *j);
void journal_close(struct journal *j);

#endif
