/* SPDX-License-Identifier: Apache-2.0 */
#include "common/file.h"

#include "common/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(int dir, const char *name, size_t max, struct buf *out)
{
    const size_t before = out->len;
    int err = 0;
    int fd = openat(dir, name,
                    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO must not hang us */
    if (fd < 0) {
        return -errno;
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        err = -errno;
    } else if (S_ISDIR(st.st_mode)) {
        err = -EISDIR;
    }
    while (err == 0) {
        size_t room = 65536;
        ssize_t n = read(fd, buf_room(out, room), room);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            err = n < 0 ? -errno : 0;
            break;
        }
        out->len += (size_t)n;
        if (out->len - before > max) {
            err = ERR_LIMIT;
        }
    }
    close(fd);
    if (err != 0) {
        out->len = before;
    }
    return err;
}

static int write_all(int fd, struct str data)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            data = str_skip(data, (size_t)n);
        }
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int sync_parent(int dir, const char *name)
{
    char parent[4096];
    const char *slash = strrchr(name, '/');
    int n = slash == NULL ? snprintf(parent, sizeof(parent), ".")
                          : snprintf(parent, sizeof(parent), "%.*s/", (int)(slash - name), name);
    if (n < 0 || (size_t)n >= sizeof(parent)) {
        return -ENAMETOOLONG;
    }
    int fd = openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int err = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
    close(fd);
    return err;
}

int file_replace(int dir, const char *name, struct str data, mode_t mode)
{
    char aside[4096];
    int n = snprintf(aside, sizeof(aside), "%s.new-%ld", name, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(aside)) {
        return -ENAMETOOLONG;
    }
    (void)unlinkat(dir, aside, 0); /* left by a process of the same number that was killed here */
    int fd = openat(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0) {
        return -errno;
    }
    int err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data);
    close(fd);
    if (err == 0 && renameat(dir, aside, dir, name) < 0) {
        err = -errno;
    }
    if (err != 0) {
        (void)unlinkat(dir, aside, 0);
        return err;
    }
    return sync_parent(dir, name);
}

int file_mkdir(int dir, const char *name, mode_t mode)
{
    char path[4096];
    size_t len = strlen(name);
    if (len == 0 || len >= sizeof(path)) {
        return len == 0 ? -EINVAL : -ENAMETOOLONG;
    }
    memcpy(path, name, len + 1);
    while (len > 1 && path[len - 1] == '/') {
        path[--len] = '\0';
    }
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            if (mkdirat(dir, path, 0755) < 0 && errno != EEXIST) {
                return -errno;
            }
            *at = '/';
        }
    }
    if (mkdirat(dir, path, mode) < 0) {
        struct stat st;
        if (errno != EEXIST) {
            return -errno;
        }
        return fstatat(dir, path, &st, 0) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    }
    return 0;
}
