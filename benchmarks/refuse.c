// Preloaded into a process, it makes calls fail as they do on some network drives: REFUSE=locks or REFUSE=folders.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int refused(const char *what) {
    const char *given = getenv("REFUSE");
    return given && !strcmp(given, what);
}

int flock(int file, int operation) {
    if (refused("locks")) return errno = ENOLCK, -1;
    return ((int (*)(int, int))dlsym(RTLD_NEXT, "flock"))(file, operation);
}

static int locked(const char *name, int file, int command, void *argument) {
    if (refused("locks") && (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW))
        return errno = ENOLCK, -1;
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, name))(file, command, argument);
}

int fcntl(int file, int command, ...) {
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return locked("fcntl", file, command, argument);
}

int fcntl64(int file, int command, ...) {
    va_list more;
    va_start(more, command);
    void *argument = va_arg(more, void *);
    va_end(more);
    return locked("fcntl64", file, command, argument);
}

int fsync(int file) {
    struct stat about;
    if (refused("folders") && !fstat(file, &about) && S_ISDIR(about.st_mode)) return errno = EINVAL, -1;
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
