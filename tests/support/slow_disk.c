/*
 * Loaded before a server under test: a disk that is slow, full or broken. A file says how it is, in up to three numbers: how
 * many milliseconds each fsync waits first, the error with which it then fails, and the error with which writes to files
 * fail; 0 is none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct state {
    long delay_ms, fsync_error, write_error;
};

static struct state now(void) {
    struct state state = {0, 0, 0};
    const char *path = getenv("SLOW_DISK_FILE");
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return state;
    if (fscanf(file, "%ld %ld %ld", &state.delay_ms, &state.fsync_error, &state.write_error) < 1)
        state.delay_ms = 0;
    fclose(file);
    return state;
}

/* The error with which an fsync fails, after its delay. */
static int fsync_error(void) {
    struct state state = now();
    if (state.delay_ms > 0)
        usleep((useconds_t)state.delay_ms * 1000);
    return (int)state.fsync_error;
}

/* The error with which a write fails. The standard streams are none of the disk's, nor are sockets and pipes. */
static int write_error(int fd) {
    struct stat status;
    int kept = errno, error = 0;
    if (fd > 2 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        error = (int)now().write_error;
    errno = kept;
    return error;
}

static int failed(int error) {
    errno = error;
    return -1;
}

typedef int sync_call(int);
typedef ssize_t write_call(int, const void *, size_t);
typedef ssize_t writev_call(int, const struct iovec *, int);
typedef ssize_t pwrite_call(int, const void *, size_t, off64_t);

int fdatasync(int fd) {
    static sync_call *next;
    if (!next)
        next = (sync_call *)dlsym(RTLD_NEXT, "fdatasync");
    int error = fsync_error();
    return error ? failed(error) : next(fd);
}

int fsync(int fd) {
    static sync_call *next;
    if (!next)
        next = (sync_call *)dlsym(RTLD_NEXT, "fsync");
    int error = fsync_error();
    return error ? failed(error) : next(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static write_call *next;
    if (!next)
        next = (write_call *)dlsym(RTLD_NEXT, "write");
    int error = write_error(fd);
    return error ? failed(error) : next(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    static writev_call *next;
    if (!next)
        next = (writev_call *)dlsym(RTLD_NEXT, "writev");
    int error = write_error(fd);
    return error ? failed(error) : next(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    static pwrite_call *next;
    if (!next)
        next = (pwrite_call *)dlsym(RTLD_NEXT, "pwrite64");
    int error = write_error(fd);
    return error ? failed(error) : next(fd, bytes, count, at);
}
