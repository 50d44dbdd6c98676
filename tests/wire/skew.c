/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For LD_PRELOAD: clocks that a test can put forward while the program runs. The file named by
 * SKEW_FILE holds the seconds to add, as two native int64_t: monotonic clocks, then the wall clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t none[2];
static const volatile int64_t *skew = none;
static int (*real)(clockid_t id, struct timespec *out);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("SKEW_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    real = (int (*)(clockid_t, struct timespec *))(uintptr_t)dlsym(RTLD_NEXT, "clock_gettime");
    if (fd >= 0) {
        void *at = mmap(NULL, 2 * sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
        skew = at != MAP_FAILED ? at : none;
        close(fd);
    }
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int r = real != NULL ? real(id, out) : -1;
    if (r == 0) {
        out->tv_sec += id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE ? skew[0]
                       : id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? skew[1]
                                                                             : 0;
    }
    return r;
}

time_t time(time_t *out)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec now = {0};
    (void)zone;
    int r = clock_gettime(CLOCK_REALTIME, &now);
    tv->tv_sec = now.tv_sec;
    tv->tv_usec = now.tv_nsec / 1000;
    return r;
}
