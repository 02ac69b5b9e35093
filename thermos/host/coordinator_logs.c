/*
 * Where the output goes. Plain files, /dev/null and the console are the child's own descriptors and cost nothing.
 * `both` and `rotate` go through a pipe and a pump each: read a chunk, write it to the file and the console, read on.
 * A sink that takes nothing (disk full, terminal stopped) holds its pump, and so in time the process: nothing is
 * dropped. Files are appended to and never truncated; they change at a line end unless a line exceeds a chunk.
 *
 * The logs belong to the task's user, who can plant symlinks and FIFOs there: every open, mkdir and rename is done
 * with that user's file-system ids, below a directory held open, and without following links.
 */
#include "coordinator.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65536, BURST = 16, SMALL_READ = 4096 };

struct pump {
    const char *name;
    char *buffer;
    int in, file, console;    /* -1: none; `in` is -1 after the end of the pipe */
    bool console_is_socket, console_can_block, console_is_full, is_shifted;
    size_t have, filed, shown; /* bytes in the buffer, and how many of them each sink has */
    int64_t size, line;       /* bytes in the file, and in its last, unfinished line */
    int64_t retry_at, retry_wait, rotate_at, last_small;
};
static struct pump pumps[2] = {{.name = "stdout", .in = -1, .file = -1, .console = -1},
                               {.name = "stderr", .in = -1, .file = -1, .console = -1}};
static int log_dir = -1;
static int log_parent = -1; /* where the logs of all runs are; open while there may be something to prune */

/* ---- opening, as the user */

static gid_t *own_groups;
static int own_group_count;

static bool changes_user(void) { return !geteuid() && (orders.uid >= 0 || orders.gid >= 0); }

static int act_as_user(void) {
    if (!changes_user())
        return 0;
    if (orders.group_count >= 0) {
        int count = getgroups(0, NULL);
        if (!own_groups && count > 0 && !(own_groups = pages((size_t)count * sizeof *own_groups)))
            return -1;
        own_group_count = own_groups ? getgroups(count, own_groups) : 0;
        if (setgroups((size_t)orders.group_count, orders.groups))
            return -1;
    }
    if (orders.gid >= 0)
        setfsgid((gid_t)orders.gid);
    if (orders.uid >= 0)
        setfsuid((uid_t)orders.uid);
    return 0;
}

/* Undoes act_as_user; keeps errno. */
static void act_as_self(void) {
    int saved = errno;
    if (changes_user()) {
        setfsuid(geteuid());
        setfsgid(getegid());
        if (orders.group_count >= 0 && setgroups((size_t)own_group_count, own_groups))
            give_up(BROKEN, "cannot take back our own groups", "", errno);
    }
    errno = saved;
}

/* Opens a directory below `at`, making it if need be. */
static int enter_dir(int at, const char *name) {
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, fd = openat(at, name, flags);
    if (fd < 0 && errno == ENOENT && (!mkdirat(at, name, 0755) || errno == EEXIST))
        fd = openat(at, name, flags);
    return fd;
}

/* log_base as it is, then every component of log_dir. Cuts log_dir into its components. */
static int enter_log_dir(void) {
    int fd = open(orders.log_base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *name = orders.log_dir, *rest;
    for (; fd >= 0 && name; name = rest) {
        rest = strchr(name, '/');
        if (rest)
            *rest++ = 0;
        if (!*name || !strcmp(name, "."))
            continue;
        int next = -1;
        if (strcmp(name, ".."))
            next = enter_dir(fd, name);
        else
            errno = EPERM;
        int saved = errno;
        if (!rest && orders.pruned_count)
            log_parent = fd;
        else
            close(fd);
        errno = saved;
        fd = next;
    }
    return fd;
}

/* A regular file, opened for append; its size goes to *size. O_NONBLOCK is for FIFOs somebody may have planted. */
static int open_log(const char *name, int64_t *size) {
    struct stat s;
    int fd = openat(log_dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    bool is_file = !fstat(fd, &s) && S_ISREG(s.st_mode);
    if (is_file && fcntl(fd, F_SETFL, O_APPEND) >= 0) {
        *size = s.st_size;
        return fd;
    }
    close(fd);
    errno = is_file ? EIO : EINVAL;
    return -1;
}

/* Our own non-blocking descriptor of fd 1 or 2 where that is possible: the owner's must stay as it is. */
static void attach_console(struct pump *p, int fd) {
    struct stat s;
    p->console = fd;
    if (fstat(fd, &s) || S_ISREG(s.st_mode))
        return;
    p->console_is_socket = S_ISSOCK(s.st_mode);
    if (p->console_is_socket)
        return;
    int own = open(fd == 1 ? PROC "/self/fd/1" : PROC "/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0)
        p->console = own;
    p->console_can_block = own < 0;
}

/* The pump's pipe; *end is the child's side, which belongs to the user so that /dev/stdout can be opened anew. */
static int prepare_pump(struct pump *p, int console, int *end) {
    int ends[2];
    if (!(p->buffer = pages(CHUNK)) || pipe2(ends, O_CLOEXEC))
        return -1;
    p->in = ends[0];
    *end = ends[1];
    if (changes_user() && fchown(*end, orders.uid >= 0 ? (uid_t)orders.uid : (uid_t)-1, (gid_t)-1))
        return -1;
    if (orders.destination == TO_BOTH)
        attach_console(p, console);
    return fcntl(p->in, F_SETFL, O_NONBLOCK);
}

int open_logs(int *out, int *err) {
    int ends[2];
    bool file = orders.destination == TO_FILE || orders.destination == TO_BOTH;
    *out = orders.destination == TO_NONE ? 0 : 1;
    *err = orders.destination == TO_NONE ? 0 : 2;
    if (!file)
        return 0;
    if (act_as_user())
        return -1;
    int streams = orders.log_file ? 1 : 2;
    if (orders.log_file)
        pumps[0].name = orders.log_file; /* both go there */
    log_dir = enter_log_dir();
    for (int i = 0; i < streams && log_dir >= 0; i++)
        ends[i] = pumps[i].file = open_log(pumps[i].name, &pumps[i].size);
    act_as_self();
    if (log_dir < 0 || pumps[0].file < 0 || pumps[streams - 1].file < 0)
        return -1;
    for (int i = 0; i < streams && (orders.rotate || orders.destination == TO_BOTH); i++)
        if (prepare_pump(&pumps[i], i + 1, &ends[i]))
            return -1;
    *out = ends[0];
    *err = ends[streams - 1];
    return 0;
}

/* After the fork: only what the pumps need is kept, so that we hold nobody's terminal or pipe open. */
void leave_logs_to_child(int out, int err) {
    if (out > TASK_DIR && !orders.respawn) { /* a kept command gets the same ones again */
        close(out);
        close(err);
    }
    for (int fd = 1; fd <= 2; fd++)
        if (pumps[fd - 1].console != fd && !(orders.respawn && orders.destination == TO_CONSOLE))
            dup2(0, fd);
    if (pumps[0].in < 0 && log_dir >= 0) {
        close(log_dir);
        log_dir = -1;
    }
}

/* ---- rotation */

static const char *numbered(const char *name, int64_t number, char *room) {
    struct text t = {room, 0, LOG_NAME + 7};
    put(&t, name);
    put(&t, ".");
    put_number(&t, number);
    room[t.len] = 0;
    return room;
}

/* name.1 to the first gap move up by one; the last falls off. Then the file itself becomes name.1, unless somebody has
 * taken it away: what is written on there nobody would ever see. */
static int shift_backups(const char *name) {
    char from[LOG_NAME + 8], to[LOG_NAME + 8];
    struct stat s;
    int64_t top = 1;
    while (top < orders.log_backups && !fstatat(log_dir, numbered(name, top, from), &s, AT_SYMLINK_NOFOLLOW))
        top++;
    for (; top > 1; top--)
        if (renameat(log_dir, numbered(name, top - 1, from), log_dir, numbered(name, top, to)))
            return -1;
    return renameat(log_dir, name, log_dir, numbered(name, 1, to)) && errno != ENOENT ? -1 : 0;
}

static void switch_file(struct pump *p, int fd, int64_t size) {
    close(p->file);
    p->file = fd;
    p->size = size;
    p->line = 0;
    p->rotate_at = 0;
}

/* Where it fails the old file is written on, and a second later it is tried again. */
static void rotate(struct pump *p, int64_t now) {
    int64_t size;
    int fd = -1;
    if (!act_as_user()) {
        if (p->is_shifted || !shift_backups(p->name)) {
            p->is_shifted = true; /* shifted already; only the new file is missing */
            fd = open_log(p->name, &size);
        }
        act_as_self();
    }
    p->rotate_at = now + 1000;
    if (fd >= 0) {
        switch_file(p, fd, size);
        p->is_shifted = false;
    }
}

void reopen_logs(void) {
    for (int i = 0; i < 2; i++) {
        int64_t size;
        int fd = -1;
        if (pumps[i].file < 0 || log_dir < 0)
            continue;
        if (!act_as_user()) {
            fd = open_log(pumps[i].name, &size);
            act_as_self();
        }
        if (fd >= 0)
            switch_file(&pumps[i], fd, size);
    }
}

/* How many of n bytes belong into the present file; if *full, a rotation comes after them. */
static size_t file_share(const struct pump *p, const char *bytes, size_t n, int64_t now, bool *full) {
    int64_t room = orders.log_size - p->size;
    *full = false;
    if (!orders.rotate || (int64_t)n <= room || now < p->rotate_at)
        return n;
    *full = true;
    const char *end = room > 0 ? memrchr(bytes, '\n', (size_t)room) : NULL;
    if (!end && !p->line && p->size)
        return 0; /* the line is begun in the next file */
    if (!end)
        end = memchr(bytes, '\n', n);
    if (end)
        return (size_t)(end + 1 - bytes);
    *full = p->line + (int64_t)n >= CHUNK;
    return n;
}

/* ---- pruning */

/* Removes everything in a directory whose name begins with stdout or stderr; what is no file stays. */
static void remove_logs(int dir) {
    char entries[1024] __attribute__((aligned(8)));
    ssize_t n;
    while ((n = syscall(SYS_getdents64, dir, entries, sizeof entries)) > 0)
        for (ssize_t i = 0; i < n;) {
            struct dirent64 *entry = (struct dirent64 *)(entries + i);
            for (int k = 0; k < 2; k++)
                if (!strncmp(entry->d_name, pumps[k].name, strlen(pumps[k].name)))
                    unlinkat(dir, entry->d_name, 0);
            i += entry->d_reclen;
        }
}

/* Logs of runs that nobody remembers any more, as the user whose they are. A directory in which something else lies
 * stays; so does whatever can't be removed: who looks for space finds it there. */
void prune_logs(void) {
    if (log_parent < 0 || act_as_user())
        return;
    for (int i = 0; i < orders.pruned_count; i++) {
        char name[32];
        struct text t = {name, 0, sizeof name - 1};
        put_number(&t, orders.pruned[i]);
        name[t.len] = 0;
        int dir = openat(log_parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0)
            continue; /* gone already, or no directory of ours */
        remove_logs(dir);
        close(dir);
        unlinkat(log_parent, name, AT_REMOVEDIR);
    }
    act_as_self();
    close(log_parent);
    log_parent = -1;
}

/* ---- pumping */

static void hold(struct pump *p, int64_t now) {
    p->retry_wait = p->retry_wait ? p->retry_wait * 2 : RETRY_MIN_MS;
    p->retry_wait = p->retry_wait < RETRY_MAX_MS ? p->retry_wait : RETRY_MAX_MS;
    p->retry_at = now + p->retry_wait;
}

/* Gives the file what it has not got yet. False if it takes no more for now. */
static bool feed_file(struct pump *p, int64_t now) {
    while (p->filed < p->have) {
        bool full;
        const char *bytes = p->buffer + p->filed;
        size_t share = file_share(p, bytes, p->have - p->filed, now, &full);
        ssize_t n = share ? write(p->file, bytes, share) : 0;
        if (n < 0 || (share && !n)) {
            hold(p, now);
            return false;
        }
        const char *end = n ? memrchr(bytes, '\n', (size_t)n) : NULL;
        p->line = end ? bytes + n - (end + 1) : p->line + n;
        p->size += n;
        p->filed += (size_t)n;
        p->retry_wait = 0;
        if (full && (size_t)n == share)
            rotate(p, now);
    }
    return true;
}

/* Gives the console what it has not got yet. A console that has gone is forgotten. */
static bool feed_console(struct pump *p) {
    while (p->console >= 0 && p->shown < p->have) {
        size_t n = p->have - p->shown;
        ssize_t done;
        struct pollfd writable = {p->console, POLLOUT, 0};
        p->console_is_full = false;
        if (p->console_can_block && (n = n < 4096 ? n : 4096, poll(&writable, 1, 0)) == 0)
            done = -1, errno = EAGAIN;
        else if (p->console_is_socket)
            done = send(p->console, p->buffer + p->shown, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            done = write(p->console, p->buffer + p->shown, n);
        if (done > 0)
            p->shown += (size_t)done;
        else if (done < 0 && errno == EAGAIN)
            return !(p->console_is_full = true);
        else {
            if (p->console > 2)
                close(p->console);
            else
                dup2(0, p->console);
            p->console = -1;
        }
    }
    return true;
}

/* Empties the buffer into the sinks. False if one of them takes no more for now. */
static bool flush(struct pump *p, int64_t now) {
    if (!p->have)
        return true;
    if (now < p->retry_at || !(feed_file(p, now) & feed_console(p)))
        return false;
    p->have = p->filed = p->shown = 0;
    p->retry_at = 0;
    return true;
}

/* Somebody writes line by line, and fast: a moment's rest, and the next read brings many of them. */
static void let_it_fill(struct pump *p, ssize_t n, int64_t now) {
    if (n < SMALL_READ && p->last_small == now)
        nanosleep(&(struct timespec){0, 20000}, NULL);
    p->last_small = n < SMALL_READ ? now : 0;
}

/* Moves up to a burst. True when the pipe is empty (or has ended) and so is the buffer. */
static bool run_pump(struct pump *p, int64_t now) {
    if (!flush(p, now))
        return false;
    for (int i = 0; i < BURST; i++) {
        ssize_t n = p->in < 0 ? 0 : read(p->in, p->buffer, CHUNK);
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0) {
            if (p->in >= 0)
                close(p->in);
            p->in = -1;
            return true;
        }
        p->have = (size_t)n;
        if (!flush(p, now))
            return false;
        if (n < CHUNK) {
            let_it_fill(p, n, now);
            return true; /* a short read has emptied the pipe */
        }
    }
    return false;
}

bool run_pumps(int64_t now) { return run_pump(&pumps[0], now) & run_pump(&pumps[1], now); }

int watch_pumps(struct pollfd *fds) {
    int n = 0;
    for (struct pump *p = pumps; p < pumps + 2; p++)
        if (p->have && p->console_is_full)
            fds[n++] = (struct pollfd){p->console, POLLOUT, 0};
        else if (!p->have && p->in >= 0)
            fds[n++] = (struct pollfd){p->in, POLLIN, 0};
    return n;
}

int64_t pumps_wake_at(void) {
    int64_t next = NEVER;
    for (struct pump *p = pumps; p < pumps + 2; p++)
        if (p->have && p->retry_at && p->retry_at < next)
            next = p->retry_at;
    return next;
}
