// Loaded before the C library: counts what a process does to files under one folder, and at one of these
// events kills the process before it, or has it fail.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, FAIL_ONCE, FAIL_ALL_WRITES };

static char root[PATH_MAX];
static size_t root_length;
static atomic_int events, at = -1;
static int action, failure;

// From here on events under `folder` count; at that of number `event` (from 0) comes `what`.
void attack_arm(const char* folder, int event, int what, int error) {
  strncpy(root, folder, sizeof root - 1);
  root_length = strlen(root);
  action = what;
  failure = error;
  at = event;
  events = 0;
}

int attack_events(void) { return events; }

static int here(const char* path) {
  if (root_length == 0) return 0;
  char full[PATH_MAX];
  if (path[0] != '/') {
    if (getcwd(full, sizeof full) == NULL) return 0;
    path = full;
  }
  return strncmp(path, root, root_length) == 0;
}

static int here_open(int descriptor) {
  if (root_length == 0) return 0;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return path[0] == '/' && here(path);
}

// Whether the event is to fail; `takes_room`, if it needs room on the disk.
static int fails(int takes_room) {
  int number = atomic_fetch_add(&events, 1);
  if (action == KILL && number == at) kill(getpid(), SIGKILL), pause();
  if ((action == FAIL_ONCE && number == at) ||
      (action == FAIL_ALL_WRITES && number >= at && takes_room)) {
    errno = failure;
    return 1;
  }
  return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                              \
  int name(const char* path, int flags, ...) {                                  \
    va_list more;                                                               \
    va_start(more, flags);                                                      \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;   \
    va_end(more);                                                               \
    if ((flags & O_ACCMODE) != O_RDONLY && here(path) && fails(1)) return -1;   \
    return REAL(name)(path, flags, mode);                                       \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                      \
  int name(int folder, const char* path, int flags, ...) {                                \
    va_list more;                                                                         \
    va_start(more, flags);                                                                \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;             \
    va_end(more);                                                                         \
    int ours = path[0] == '/' || folder == AT_FDCWD ? here(path) : here_open(folder);     \
    if ((flags & O_ACCMODE) != O_RDONLY && ours && fails(1)) return -1;                   \
    return REAL(name)(folder, path, flags, mode);                                         \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                    \
  FILE* name(const char* path, const char* mode) {                     \
    if (strpbrk(mode, "wa+") && here(path) && fails(1)) return NULL;   \
    return REAL(name)(path, mode);                                     \
  }
FOPEN(fopen)
FOPEN(fopen64)

#define BY_DESCRIPTOR(type, name, takes_room, parameters, arguments)  \
  type name parameters {                                              \
    if (here_open(descriptor) && fails(takes_room)) return -1;        \
    return REAL(name) arguments;                                      \
  }
BY_DESCRIPTOR(ssize_t, write, 1, (int descriptor, const void* from, size_t size), (descriptor, from, size))
BY_DESCRIPTOR(ssize_t, writev, 1, (int descriptor, const struct iovec* from, int count), (descriptor, from, count))
BY_DESCRIPTOR(ssize_t, pwrite, 1, (int descriptor, const void* from, size_t size, off_t to), (descriptor, from, size, to))
BY_DESCRIPTOR(ssize_t, pwrite64, 1, (int descriptor, const void* from, size_t size, off64_t to), (descriptor, from, size, to))
BY_DESCRIPTOR(int, fsync, 0, (int descriptor), (descriptor))
BY_DESCRIPTOR(int, fdatasync, 0, (int descriptor), (descriptor))
BY_DESCRIPTOR(int, ftruncate, 1, (int descriptor, off_t size), (descriptor, size))
BY_DESCRIPTOR(int, ftruncate64, 1, (int descriptor, off64_t size), (descriptor, size))
BY_DESCRIPTOR(int, fchmod, 0, (int descriptor, mode_t mode), (descriptor, mode))

#define RESERVE(name, type)                                              \
  int name(int descriptor, type from, type size) {                       \
    if (here_open(descriptor) && fails(1)) return failure;               \
    return REAL(name)(descriptor, from, size);                           \
  }
RESERVE(posix_fallocate, off_t)
RESERVE(posix_fallocate64, off64_t)

#define BY_PATH(name, takes_room, parameters, arguments)   \
  int name parameters {                                    \
    if (here(path) && fails(takes_room)) return -1;        \
    return REAL(name) arguments;                           \
  }
BY_PATH(mkdir, 1, (const char* path, mode_t mode), (path, mode))
BY_PATH(rmdir, 0, (const char* path), (path))
BY_PATH(unlink, 0, (const char* path), (path))
BY_PATH(chmod, 0, (const char* path, mode_t mode), (path, mode))
BY_PATH(rename, 0, (const char* path, const char* to), (path, to))
BY_PATH(fchmodat, 0, (int folder, const char* path, mode_t mode, int flags), (folder, path, mode, flags))
BY_PATH(renameat2, 0, (int folder, const char* path, int other, const char* to, unsigned flags),
        (folder, path, other, to, flags))

int unlinkat(int folder, const char* path, int flags) {
  int ours = path[0] == '/' || folder == AT_FDCWD ? here(path) : here_open(folder);
  if (ours && fails(0)) return -1;
  return REAL(unlinkat)(folder, path, flags);
}
