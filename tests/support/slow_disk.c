/* Loaded before a server under test: each fsync first waits as long as a file says, in milliseconds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_first(void) {
    const char *path = getenv("SLOW_DISK_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    long delay_ms = 0;
    if (!file)
        return;
    if (fscanf(file, "%ld", &delay_ms) == 1 && delay_ms > 0)
        usleep((useconds_t)delay_ms * 1000);
    fclose(file);
}

int fdatasync(int fd) {
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_first();
    return next(fd);
}

int fsync(int fd) {
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_first();
    return next(fd);
}
