/* A shim for LD_PRELOAD: counts the calls by which the processes of a run change files below a folder, and lets the
 * N-th of them fail, or be the last.
 *
 * INJECT_UNDER  the folder; only calls on names below it, or on descriptors of such names, count
 * INJECT_STATE  a file of two 8-byte counters, shared by all processes: calls so far, faults so far
 * INJECT_AT     N, from 1; 0 never
 * INJECT_WHAT   kill (the process group), tear (the same, after half of a write), short (half of a write), or the
 *               number of an error
 * INJECT_ALWAYS 1: from the N-th call on
 * INJECT_LOG    a file that gets a line a call: number, process, call, name
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { KILL = -1, TEAR = -2, SHORT = -3 };

#define DESCRIPTORS 4096
static _Atomic uint64_t *counters;
static const char *under;
static size_t under_length;
static uint64_t at;
static int what, always, log_descriptor = -1;
static char known[DESCRIPTORS];

__attribute__((constructor)) static void begin(void) {
  const char *state = getenv("INJECT_STATE"), *wanted = getenv("INJECT_WHAT"), *number = getenv("INJECT_AT");
  under = getenv("INJECT_UNDER");
  if (!state || !under || !wanted || !number) return;
  int file = (int)syscall(SYS_openat, AT_FDCWD, state, O_RDWR | O_CLOEXEC);
  if (file < 0) abort();
  void *shared = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) abort();
  syscall(SYS_close, file);
  under_length = strlen(under);
  at = strtoull(number, NULL, 10);
  what = !strcmp(wanted, "kill") ? KILL : !strcmp(wanted, "tear") ? TEAR : !strcmp(wanted, "short") ? SHORT : atoi(wanted);
  always = getenv("INJECT_ALWAYS") && *getenv("INJECT_ALWAYS") == '1';
  if (getenv("INJECT_LOG"))
    log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, getenv("INJECT_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  counters = shared;
}

/* The whole name that a call means; a descriptor's own where `name` is NULL. */
static void whole_name(int folder, const char *name, char *out) {
  char link[64];
  out[0] = 0;
  if (name && name[0] == '/') {
    snprintf(out, PATH_MAX, "%s", name);
    return;
  }
  snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
  ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
  if (length < 0) length = 0;
  out[length] = 0;
  if (name && length) snprintf(out + length, PATH_MAX - (size_t)length, "/%s", name);
}

static int is_below(const char *name) {
  return !strncmp(name, under, under_length) && name[under_length] == '/';
}

/* 0 where the call is to go on; else what is to happen to it. */
static int count(const char *call, const char *name) {
  uint64_t number = atomic_fetch_add(&counters[0], 1) + 1;
  if (log_descriptor >= 0) {
    char line[PATH_MAX + 80];
    int length = snprintf(line, sizeof line, "%llu %d %s %s\n", (unsigned long long)number, getpid(), call, name);
    if (syscall(SYS_write, log_descriptor, line, length) < 0) abort();
  }
  if (!at || (always ? number < at : number != at)) return 0;
  if (what == SHORT && !strstr(call, "write")) return 0;
  atomic_fetch_add(&counters[1], 1);
  if (what == KILL || (what == TEAR && !strstr(call, "write"))) kill(0, SIGKILL);
  return what;
}

static int named(const char *call, int folder, const char *name) {
  char whole[PATH_MAX];
  int before = errno, fault = 0;
  if (counters) {
    whole_name(folder, name, whole);
    if (is_below(whole)) fault = count(call, whole);
  }
  errno = before;
  return fault;
}

static int is_known(int descriptor) {
  return counters && descriptor >= 0 && descriptor < DESCRIPTORS && known[descriptor];
}

static int described(const char *call, int descriptor) {
  char whole[PATH_MAX];
  int before = errno, fault = 0;
  if (is_known(descriptor)) {
    whole_name(descriptor, NULL, whole);
    fault = count(call, whole);
  }
  errno = before;
  return fault;
}

static int opened(int descriptor, int folder, const char *name) {
  char whole[PATH_MAX];
  int before = errno;
  if (counters && descriptor >= 0 && descriptor < DESCRIPTORS) {
    whole_name(folder, name, whole);
    known[descriptor] = (char)is_below(whole);
  }
  errno = before;
  return descriptor;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAIL(fault) \
  do { \
    int failure = (fault); \
    if (failure > 0) { errno = failure; return -1; } \
  } while (0)

#define MODE(flags) \
  mode_t mode = 0; \
  if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

#define OPEN(function) \
  int function(const char *name, int flags, ...) { \
    REAL(function); MODE(flags); FAIL(named("open", AT_FDCWD, name)); \
    return opened(real(name, flags, mode), AT_FDCWD, name); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(function) \
  int function(int folder, const char *name, int flags, ...) { \
    REAL(function); MODE(flags); FAIL(named("open", folder, name)); \
    return opened(real(folder, name, flags, mode), folder, name); \
  }
OPENAT(openat)
OPENAT(openat64)

#define CREAT(function) \
  int function(const char *name, mode_t mode) { \
    REAL(function); FAIL(named("open", AT_FDCWD, name)); \
    return opened(real(name, mode), AT_FDCWD, name); \
  }
CREAT(creat)
CREAT(creat64)

/* The real close comes first, as in the system: a descriptor is gone even where closing it fails. */
int close(int descriptor) {
  REAL(close);
  int fault = described("close", descriptor);
  if (is_known(descriptor)) known[descriptor] = 0;
  int result = real(descriptor);
  FAIL(fault);
  return result;
}

ssize_t write(int descriptor, const void *data, size_t size) {
  REAL(write);
  int fault = described("write", descriptor);
  FAIL(fault);
  ssize_t result = real(descriptor, data, fault && size > 1 ? size / 2 : size);
  if (fault == TEAR) kill(0, SIGKILL);
  return result;
}

#define PWRITE(function, offset_type) \
  ssize_t function(int descriptor, const void *data, size_t size, offset_type offset) { \
    REAL(function); \
    int fault = described("pwrite", descriptor); \
    FAIL(fault); \
    ssize_t result = real(descriptor, data, fault && size > 1 ? size / 2 : size, offset); \
    if (fault == TEAR) kill(0, SIGKILL); \
    return result; \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
  REAL(writev);
  int fault = described("writev", descriptor);
  FAIL(fault);
  ssize_t result = fault ? write(descriptor, parts[0].iov_base, parts[0].iov_len / 2) : real(descriptor, parts, number);
  if (fault == TEAR) kill(0, SIGKILL);
  return result;
}

/* Nothing here outlives the power, so nothing waits for the disk. */
int fsync(int descriptor) {
  REAL(fsync); FAIL(described("fsync", descriptor)); return is_known(descriptor) ? 0 : real(descriptor);
}
int fdatasync(int descriptor) {
  REAL(fdatasync); FAIL(described("fsync", descriptor)); return is_known(descriptor) ? 0 : real(descriptor);
}

#define FTRUNCATE(function, offset_type) \
  int function(int descriptor, offset_type size) { \
    REAL(function); FAIL(described("ftruncate", descriptor)); return real(descriptor, size); \
  }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

#define TRUNCATE(function, offset_type) \
  int function(const char *name, offset_type size) { \
    REAL(function); FAIL(named("truncate", AT_FDCWD, name)); return real(name, size); \
  }
TRUNCATE(truncate, off_t)
TRUNCATE(truncate64, off64_t)

/* These return the number of the error. */
#define POSIX_FALLOCATE(function, offset_type) \
  int function(int descriptor, offset_type begin, offset_type size) { \
    REAL(function); \
    int fault = described("fallocate", descriptor); \
    return fault > 0 ? fault : real(descriptor, begin, size); \
  }
POSIX_FALLOCATE(posix_fallocate, off_t)
POSIX_FALLOCATE(posix_fallocate64, off64_t)

#define FALLOCATE(function, offset_type) \
  int function(int descriptor, int mode, offset_type begin, offset_type size) { \
    REAL(function); FAIL(described("fallocate", descriptor)); return real(descriptor, mode, begin, size); \
  }
FALLOCATE(fallocate, off_t)
FALLOCATE(fallocate64, off64_t)

int rename(const char *from, const char *to) {
  REAL(rename); FAIL(named("rename", AT_FDCWD, to)); return real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
  REAL(renameat); FAIL(named("rename", b, to)); return real(a, from, b, to);
}
int link(const char *from, const char *to) {
  REAL(link); FAIL(named("link", AT_FDCWD, to)); return real(from, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
  REAL(linkat); FAIL(named("link", b, to)); return real(a, from, b, to, flags);
}
int mkdir(const char *name, mode_t mode) {
  REAL(mkdir); FAIL(named("mkdir", AT_FDCWD, name)); return real(name, mode);
}
int mkdirat(int folder, const char *name, mode_t mode) {
  REAL(mkdirat); FAIL(named("mkdir", folder, name)); return real(folder, name, mode);
}
int unlink(const char *name) { REAL(unlink); FAIL(named("unlink", AT_FDCWD, name)); return real(name); }
int unlinkat(int folder, const char *name, int flags) {
  REAL(unlinkat); FAIL(named("unlink", folder, name)); return real(folder, name, flags);
}
int rmdir(const char *name) { REAL(rmdir); FAIL(named("unlink", AT_FDCWD, name)); return real(name); }
