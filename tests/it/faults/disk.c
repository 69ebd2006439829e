// A layer between a process and one folder of its disk, for LD_PRELOAD. It does two things:
//
// It tells. Every change to the folder goes into a journal, in the order in which the changes were made, and every sync with
// its beginning and its end. From that the test makes the folder as a disk may have it after a power cut: what was synced,
// and of the rest whatever it likes.
//
// It spoils. While there is a control file, the calls that it names fail with the error that it names.
//
//     DISK_ROOT     the folder, as an absolute path without links
//     DISK_JOURNAL  the journal: records of a line `KIND NUMBER NUMBER LENGTH`, so many bytes, and a line's end
//     DISK_CONTROL  one line `KINDS PATTERN SKIP ERRNO`: of the calls of these kinds (letters, below) on paths in the folder
//                   that match the pattern (as a shell does; `.` is the folder), all but the first SKIP fail. The error `lie`
//                   makes a sync succeed that never was. The test replaces the file as a whole; each new line counts anew.
//
// A file is known by its inode, a name by its path in the folder. Seen is what goes through the C library: not memory that
// is mapped (the index of the write-ahead log, of which a power cut leaves nothing to rely on), and no bare system call
// (blocks set aside for the reserve, of which nothing is read).

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define LIE (-1)

enum kind { CREATE = 'c', MKDIR = 'd', RENAME = 'r', SYNC = 's', TRUNCATE = 't', UNLINK = 'u', WRITE = 'w' };

static const char *root;
static size_t root_length;
static const char *control;
static int journal = -1;
// Held from before a change until it is told, so that the journal has the order of the changes.
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
    root = getenv("DISK_ROOT");
    control = getenv("DISK_CONTROL");
    const char *path = getenv("DISK_JOURNAL");
    if (!root || !control || !path) return;
    root_length = strlen(root);
    journal = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (journal < 0) abort();
}

// The part of an absolute path that lies in the folder; none: it is somewhere else.
static const char *inside(const char *path) {
    if (journal < 0 || strncmp(path, root, root_length) != 0) return NULL;
    if (path[root_length] == 0) return ".";
    return path[root_length] == '/' ? path + root_length + 1 : NULL;
}

// Where an open file lies.
static const char *path_of(int fd, char *buffer) {
    char link[32];
    if (journal < 0) return NULL;
    if (fd == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int before = errno;
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
    errno = before;
    if (length < 0) return NULL;
    buffer[length] = 0;
    return buffer;
}

static const char *inside_of(int fd, char *buffer) {
    const char *path = path_of(fd, buffer);
    return path ? inside(path) : NULL;
}

// Where a path leads that is told beside an open folder. Of what a path may have in it, `./` is all that is met here.
static const char *inside_at(int folder, const char *path, char *buffer) {
    if (journal < 0) return NULL;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return NULL;
        strcpy(buffer, path);
        return inside(buffer);
    }
    if (!path_of(folder, buffer)) return NULL;
    while (strncmp(path, "./", 2) == 0) path += 2;
    size_t length = strlen(buffer);
    if (length + strlen(path) + 2 > PATH_MAX) return NULL;
    if (strcmp(path, ".") != 0) sprintf(buffer + length, "/%s", path);
    return inside(buffer);
}

static void tell(const char *kind, unsigned long long first, long long second, const void *bytes, size_t length) {
    char head[96];
    int head_length = snprintf(head, sizeof head, "%s %llu %lld %zu\n", kind, first, second, length);
    struct iovec parts[] = {{head, head_length}, {(void *)bytes, length}, {"\n", 1}};
    ssize_t told = syscall(SYS_writev, journal, parts, 3);
    // Without its journal a test would prove nothing.
    if (told != (ssize_t)(head_length + length + 1)) abort();
}

static unsigned long long inode(int fd) {
    struct stat stat;
    return fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

static long long size(int fd) {
    struct stat stat;
    return fstat(fd, &stat) == 0 ? stat.st_size : 0;
}

// Whether a call is to fail, and how: 0 if not, LIE, or an error number. Called with `order` held.
static int fault(enum kind kind, const char *path) {
    static char line[512];
    static long met;
    char now[512] = "", kinds[16], pattern[256], error[16];
    long skip;
    int before = errno;
    int fd = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        ssize_t length = syscall(SYS_read, fd, now, sizeof now - 1);
        now[length > 0 ? length : 0] = 0;
        syscall(SYS_close, fd);
    }
    errno = before;
    if (strcmp(line, now) != 0) {
        strcpy(line, now);
        met = 0;
    }
    if (sscanf(line, "%15s %255s %ld %15s", kinds, pattern, &skip, error) != 4) return 0;
    if (!strchr(kinds, kind) || fnmatch(pattern, path, FNM_PATHNAME) != 0 || met++ < skip) return 0;
    int number = strcmp(error, "lie") == 0 ? LIE : atoi(error);
    tell("fault", kind, number == LIE ? 0 : number, path, strlen(path));
    return number;
}

static int failed(int error) {
    pthread_mutex_unlock(&order);
    errno = error;
    return -1;
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    char buffer[PATH_MAX];
    const char *name = flags & (O_CREAT | O_TRUNC) ? inside_at(folder, path, buffer) : NULL;
    if (!name) return syscall(SYS_openat, folder, path, flags, mode);
    pthread_mutex_lock(&order);
    struct stat stat;
    int before = errno, is_new = fstatat(folder, path, &stat, AT_SYMLINK_NOFOLLOW) != 0;
    errno = before;
    int error = is_new ? fault(CREATE, name) : 0;
    if (error > 0) return failed(error);
    int fd = syscall(SYS_openat, folder, path, flags, mode);
    if (fd >= 0 && is_new) tell("create", inode(fd), 0, name, strlen(name));
    else if (fd >= 0 && flags & O_TRUNC) tell("truncate", inode(fd), 0, "", 0);
    pthread_mutex_unlock(&order);
    return fd;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(folder, path, flags, mode);
}

// At an offset, or where the file stands if that is negative.
static ssize_t write_at(int fd, const void *bytes, size_t length, off_t offset) {
    char buffer[PATH_MAX];
    const char *name = inside_of(fd, buffer);
    if (!name) return offset < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
    pthread_mutex_lock(&order);
    int error = fault(WRITE, name);
    if (error > 0) return failed(error);
    off_t at = offset < 0 ? (fcntl(fd, F_GETFL) & O_APPEND ? size(fd) : lseek(fd, 0, SEEK_CUR)) : offset;
    ssize_t written = offset < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, offset);
    if (written > 0) tell("write", inode(fd), at, bytes, written);
    pthread_mutex_unlock(&order);
    return written;
}

ssize_t write(int fd, const void *bytes, size_t length) { return write_at(fd, bytes, length, -1); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return write_at(fd, bytes, length, offset); }

// In the folder nothing is written of several parts at once; here it would go by unseen.
ssize_t writev(int fd, const struct iovec *parts, int count) {
    char buffer[PATH_MAX];
    if (inside_of(fd, buffer)) abort();
    return syscall(SYS_writev, fd, parts, count);
}

int ftruncate(int fd, off_t length) {
    char buffer[PATH_MAX];
    const char *name = inside_of(fd, buffer);
    if (!name) return syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&order);
    int error = fault(TRUNCATE, name);
    if (error > 0) return failed(error);
    int result = syscall(SYS_ftruncate, fd, length);
    if (result == 0) tell("truncate", inode(fd), length, "", 0);
    pthread_mutex_unlock(&order);
    return result;
}

// Durable is what was changed before the beginning, once the end is told. A thread has one sync at a time.
static int sync_with(long call, int fd) {
    char buffer[PATH_MAX];
    const char *name = inside_of(fd, buffer);
    if (!name) return syscall(call, fd);
    pid_t thread = syscall(SYS_gettid);
    pthread_mutex_lock(&order);
    int error = fault(SYNC, name);
    if (error > 0) return failed(error);
    if (error != LIE) tell("begin", thread, inode(fd), name, strlen(name));
    pthread_mutex_unlock(&order);
    if (error == LIE) return 0;
    int result = syscall(call, fd);
    pthread_mutex_lock(&order);
    if (result == 0) tell("end", thread, 0, "", 0);
    pthread_mutex_unlock(&order);
    return result;
}

int fsync(int fd) { return sync_with(SYS_fsync, fd); }

int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }

int rename(const char *from, const char *to) {
    char from_buffer[PATH_MAX], to_buffer[PATH_MAX], both[2 * PATH_MAX];
    const char *from_name = inside_at(AT_FDCWD, from, from_buffer), *to_name = inside_at(AT_FDCWD, to, to_buffer);
    if (!from_name && !to_name) return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    // What comes in or goes out was never seen, or is seen no more.
    if (!from_name || !to_name) abort();
    pthread_mutex_lock(&order);
    int error = fault(RENAME, to_name);
    if (error > 0) return failed(error);
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0) tell("rename", 0, 0, both, sprintf(both, "%s\n%s", from_name, to_name));
    pthread_mutex_unlock(&order);
    return result;
}

int unlinkat(int folder, const char *path, int flags) {
    char buffer[PATH_MAX];
    const char *name = inside_at(folder, path, buffer);
    if (!name) return syscall(SYS_unlinkat, folder, path, flags);
    pthread_mutex_lock(&order);
    int error = fault(UNLINK, name);
    if (error > 0) return failed(error);
    int result = syscall(SYS_unlinkat, folder, path, flags);
    if (result == 0) tell("unlink", 0, 0, name, strlen(name));
    pthread_mutex_unlock(&order);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode) {
    char buffer[PATH_MAX];
    const char *name = inside_at(AT_FDCWD, path, buffer);
    if (!name) return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    pthread_mutex_lock(&order);
    int error = fault(MKDIR, name);
    if (error > 0) return failed(error);
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0) tell("mkdir", 0, 0, name, strlen(name));
    pthread_mutex_unlock(&order);
    return result;
}

// The same calls, as they are named where offsets have 64 bits anyway.
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int folder, const char *path, int flags, ...) __attribute__((alias("openat")));
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off64_t length) __attribute__((alias("ftruncate")));
