// A layer for LD_PRELOAD that ends a process which opens a socket of the network, or a file to write to it. What a process
// needs of itself is let through: pipes, event descriptors, /dev and /proc.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void end(const char *what, const char *name) {
    const char *parts[] = {"the world was touched: ", what, " ", name, "\n"};
    for (int i = 0; i < 5; i++) {
        if (write(2, parts[i], strlen(parts[i])) < 0) break;
    }
    _exit(99);
}

static int is_own(const char *path) {
    return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
}

static void check(const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
    if (writes && !is_own(path)) end("open", path);
}

int socket(int domain, int type, int protocol) {
    static int (*real)(int, int, int);
    if (!real) real = dlsym(RTLD_NEXT, "socket");
    if (domain == AF_INET || domain == AF_INET6) end("socket", "of the network");
    return real(domain, type, protocol);
}

#define OPEN(name)                                          \
    int name(const char *path, int flags, ...) {            \
        static int (*real)(const char *, int, ...);         \
        if (!real) real = dlsym(RTLD_NEXT, #name);          \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = va_arg(more, mode_t);                 \
        va_end(more);                                       \
        check(path, flags);                                 \
        return real(path, flags, mode);                     \
    }

#define OPENAT(name)                                        \
    int name(int folder, const char *path, int flags, ...) {\
        static int (*real)(int, const char *, int, ...);    \
        if (!real) real = dlsym(RTLD_NEXT, #name);          \
        va_list more;                                       \
        va_start(more, flags);                              \
        mode_t mode = va_arg(more, mode_t);                 \
        va_end(more);                                       \
        check(path, flags);                                 \
        return real(folder, path, flags, mode);             \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
