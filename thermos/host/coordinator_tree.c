/*
 * The tree: every process below us. /proc/PID/task/TID/children leads from parent to child; where the kernel lacks
 * those files a look at all of /proc does it. A walk is a snapshot that can miss who was forked meanwhile, so whoever
 * needs completeness walks again: killing goes on until count_children() says 0, which is exact.
 *
 * A pid is only a number: before any signal its process is held by a pidfd and looked at again.
 */
#include "coordinator.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { NAMED = 32 }; /* how many processes a list in a record names */

struct table {
    struct member *at;
    size_t count, room;
};
static struct table scan, tree; /* what the last walk found; everybody a stop has met so far */
pid_t self;
bool blind;
struct main_process main_process;

/* Another entry at the end of a table, or NULL if memory is short: whoever is left out is met in the next round. */
static struct member *add(struct table *t) {
    if (t->count == t->room) {
        size_t size = t->room * sizeof *t->at, more = size ? size * 2 : 4096;
        void *at = size ? mremap(t->at, size, more, MREMAP_MAYMOVE) : pages(more);
        if (!at || at == MAP_FAILED)
            return NULL;
        t->at = at;
        t->room = more / sizeof *t->at;
    }
    return memset(&t->at[t->count++], 0, sizeof *t->at);
}

const char *proc_path(pid_t pid, const char *rest) {
    static char path[96];
    struct text t = {path, 0, sizeof path - 1};
    put(&t, PROC "/");
    put_number(&t, pid);
    put(&t, rest);
    path[t.len] = 0;
    return path;
}

/* Up to room-1 bytes of a small file as a string; its length, or -1. */
ssize_t read_text(const char *path, char *text, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, room - 1);
    text[n > 0 ? n : 0] = 0;
    close(fd);
    return n;
}

/* Fills `m` from /proc/PID/stat; false if there is no such process (or no /proc). */
bool look(pid_t pid, struct member *m) {
    char *text = scratch();
    if (read_text(proc_path(pid, "/stat"), text, SCRATCH) <= 0)
        return false;
    char *open_ = strchr(text, '('), *close_ = strrchr(text, ')');
    if (!open_ || !close_ || close_[1] != ' ')
        return false;
    *m = (struct member){.pid = pid, .state = close_[2]};
    for (size_t i = 0; open_ + 1 + i < close_ && i < sizeof m->comm - 1; i++) {
        char c = open_[1 + i];
        m->comm[i] = c < ' ' || c > '~' || c == '"' || c == '\\' ? '?' : c;
    }
    char *field = close_ + 4; /* the 4th */
    for (int number = 4; number <= 22 && field; number++) {
        int64_t value = 0;
        parse_number(field, ' ', INT64_MIN, INT64_MAX, &value);
        if (number == 4)
            m->parent = (pid_t)value;
        else if (number == 6)
            m->session = (pid_t)value;
        else if (number == 20)
            m->threads = (int)value;
        else if (number == 22)
            m->start = (uint64_t)value;
        field = strchr(field, ' ');
        field += field != NULL;
    }
    return true;
}

static bool is_in_scan(pid_t pid) {
    for (size_t i = 0; i < scan.count; i++)
        if (scan.at[i].pid == pid)
            return true;
    return false;
}

/* Looks at `pid` and adds it to the scan. Our own child stays in even when it can't be looked at: it can't be reused. */
static void meet(pid_t pid, pid_t parent) {
    struct member m;
    if (is_in_scan(pid) || (pid == main_process.pid && main_process.exited))
        return; /* a zombie main is nobody's target and has no children */
    if (!look(pid, &m)) {
        if (parent != self)
            return;
        m = (struct member){.pid = pid, .parent = self, .session = getsid(pid), .state = '?', .threads = 1};
    }
    struct member *new = add(&scan);
    if (new)
        *new = m;
}

/* Calls meet() for the children of one thread. False if the kernel has no such file. */
static bool meet_children(pid_t pid, pid_t tid) {
    char text[1024];
    pid_t child = 0;
    ssize_t n;
    char path[96];
    struct text t = {path, 0, sizeof path - 1};
    put(&t, proc_path(pid, "/task/"));
    put_number(&t, tid);
    put(&t, "/" CHILDREN);
    path[t.len] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((n = read(fd, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9')
                child = child * 10 + (text[i] - '0');
            else if (child) {
                meet(child, pid);
                child = 0;
            }
        }
    close(fd);
    return true;
}

/* Calls `take` for every numeric name in a directory of /proc. False if it can't be read. */
static bool each_number(const char *path, pid_t about, void (*take)(pid_t about, pid_t number)) {
    char entries[1024] __attribute__((aligned(8)));
    ssize_t n;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((n = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        for (ssize_t i = 0; i < n;) {
            struct dirent64 *entry = (struct dirent64 *)(entries + i);
            int64_t number;
            if (parse_number(entry->d_name, 0, 1, INT32_MAX, &number))
                take(about, (pid_t)number);
            i += entry->d_reclen;
        }
    close(fd);
    return true;
}

static void meet_children_of_thread(pid_t pid, pid_t tid) { meet_children(pid, tid); }
static void meet_anybody(pid_t nobody, pid_t pid) { meet(pid, nobody); }

/* Without children files: meet the whole machine, then keep those whose parents lead to us. */
static void keep_descendants(void) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < scan.count; i++)
            for (size_t k = 0; !scan.at[i].flags && k <= scan.count; k++)
                if (k == scan.count ? scan.at[i].parent == self
                                    : scan.at[k].flags && scan.at[k].pid == scan.at[i].parent)
                    scan.at[i].flags = changed = true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < scan.count; i++)
        if (scan.at[i].flags) {
            scan.at[kept] = scan.at[i];
            scan.at[kept++].flags = 0;
        }
    scan.count = kept;
}

/* Fills `scan` with our children, or with all our descendants. */
static void walk(bool deep) {
    scan.count = 0;
    if (blind)
        return;
    if (!meet_children(self, self)) {
        blind = !each_number(PROC, 0, meet_anybody);
        keep_descendants();
        return;
    }
    for (size_t i = 0; deep && i < scan.count; i++) {
        pid_t pid = scan.at[i].pid;
        if (scan.at[i].state == '?' || scan.at[i].threads > 1)
            each_number(proc_path(pid, "/task"), pid, meet_children_of_thread);
        else if (scan.at[i].state != 'Z')
            meet_children(pid, pid);
    }
}

/* Looks again: the same process still, and still below us? */
static bool is_still_ours(struct member *m) {
    struct member now, up;
    for (int tries = 0; tries < 3; tries++) {
        if (m->state == '?')
            return m->parent == self;
        if (!look(m->pid, &now) || now.start != m->start)
            return false;
        up = now;
        while (up.parent != self && up.parent > 1)
            if (!look(up.parent, &up))
                break; /* it died between two looks: its children have a new parent now */
        if (up.parent == self) {
            m->state = now.state;
            return true;
        }
    }
    return false;
}
/* Sends a signal (and SIGCONT after a polite one). 1 if it was sent, -1 if refused, 0 if the process is gone. */
static int send_signal(struct member *m, int signal, bool polite) {
    int fd = (int)syscall(SYS_pidfd_open, m->pid, 0), failed = 0;
    bool ours = (fd >= 0 || (errno != ESRCH && m->parent == self)) && is_still_ours(m) && m->state != 'Z';
    if (ours && fd >= 0) {
        failed = (int)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0);
        if (!failed && polite)
            syscall(SYS_pidfd_send_signal, fd, SIGCONT, NULL, 0);
    } else if (ours) { /* a kernel without pidfds: an unreaped child of ours is safe all the same */
        failed = kill(m->pid, signal);
        if (!failed && polite)
            kill(m->pid, SIGCONT);
    }
    int outcome = !ours ? 0 : !failed ? 1 : errno == EPERM ? -1 : 0;
    if (fd >= 0)
        close(fd);
    return outcome;
}

/* The entry of this process in the stop's own table; `m` itself if memory is short. */
static struct member *remember(struct member *m) {
    for (size_t i = 0; i < tree.count; i++)
        if (tree.at[i].pid == m->pid && tree.at[i].start == m->start) {
            tree.at[i].flags |= m->session == main_process.pid ? 0 : DAEMON;
            memcpy(tree.at[i].comm, m->comm, sizeof m->comm); /* it may have executed something else */
            return &tree.at[i];
        }
    struct member *new = add(&tree);
    if (!new)
        return m;
    *new = *m;
    new->flags = m->session == main_process.pid ? 0 : DAEMON;
    return new;
}

static dev_t main_device; /* what the main executed when it came up, and the argv we gave it */
static ino_t main_inode;
static size_t argv_length;
static uint32_t argv_crc;

/* True while the main still executes what we started (a script's argv comes after its interpreter's). */
static bool is_shell(void) {
    struct stat exe;
    off_t length = 0, at;
    uint32_t crc = 0;
    ssize_t n;
    if (!stat(proc_path(main_process.pid, "/exe"), &exe) && (exe.st_dev != main_device || exe.st_ino != main_inode))
        return false;
    int fd = open(proc_path(main_process.pid, "/cmdline"), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((n = read(fd, scratch(), SCRATCH)) > 0)
        length += n;
    at = length - (off_t)argv_length;
    while (at >= 0 && (n = pread(fd, scratch(), SCRATCH, at)) > 0) {
        crc = crc32(crc, scratch(), (size_t)n);
        at += n;
    }
    close(fd);
    return at == length && crc == argv_crc;
}

void remember_program(void) {
    struct stat exe;
    if (!stat(proc_path(main_process.pid, "/exe"), &exe)) {
        main_device = exe.st_dev;
        main_inode = exe.st_ino;
    }
    for (char **argument = orders.arguments; *argument; argument++) {
        size_t n = strlen(*argument) + 1;
        argv_crc = crc32(argv_crc, *argument, n);
        argv_length += n;
    }
}

/* The polite stop. `first`: a new stop begins; else only whom a shell forked behind our back is asked. */
void ask_tree(bool first) {
    static bool shell;
    walk(true);
    if (first) {
        tree.count = 0;
        shell = main_process.exited || is_shell();
    }
    if (blind && first && !main_process.reaped) {
        kill(-main_process.pid, (int)orders.stop_signal);
        kill(-main_process.pid, SIGCONT);
    }
    for (size_t i = 0; i < scan.count; i++) {
        if (scan.at[i].state == 'Z')
            continue;
        struct member *m = remember(&scan.at[i]);
        m->flags |= first ? INITIAL : 0;
        bool asks = m->flags & DAEMON || shell || m->pid == main_process.pid;
        int sent = asks && !(m->flags & ASKED) ? send_signal(m, (int)orders.stop_signal, true) : 0;
        m->flags |= sent > 0 ? ASKED : sent < 0 ? REFUSED : 0;
    }
}

/* From here on whoever is alive counts as one who did not leave on the stop signal. */
void note_tree_at_kill(void) {
    walk(true);
    for (size_t i = 0; i < scan.count; i++)
        if (scan.at[i].state != 'Z')
            remember(&scan.at[i])->flags |= AT_KILL;
}

static bool is_due_to_die(const struct member *m, bool session_only) {
    return m->state != 'Z' && (!session_only || m->session == main_process.pid);
}

/* SIGSTOP to everybody until nobody runs (so that nobody forks), for a bounded time. */
static void freeze_tree(bool session_only) {
    for (int round = 0; round < 12; round++) {
        int running = 0;
        walk(true);
        for (size_t i = 0; i < scan.count; i++) {
            struct member *m = &scan.at[i];
            if (is_due_to_die(m, session_only) && !strchr("TtDX", m->state))
                running += send_signal(m, SIGSTOP, false) > 0;
        }
        if (!running)
            return;
        rest_ms(round < 4 ? 1 : 5);
    }
}

/* SIGKILL to everybody; rounds like this follow until nobody is left. */
void kill_tree(bool session_only) {
    freeze_tree(session_only);
    walk(true);
    if (blind && !main_process.reaped)
        kill(-main_process.pid, SIGKILL);
    for (size_t i = 0; i < scan.count; i++)
        if (is_due_to_die(&scan.at[i], session_only)) {
            int sent = send_signal(&scan.at[i], SIGKILL, false);
            if (!session_only) /* the end of a session is no stop and has no receipt */
                remember(&scan.at[i])->flags |= sent > 0 ? KILLED : sent < 0 ? REFUSED : 0;
        }
}

static void put_members(const char *name, int flag) {
    const char *separator = "";
    int named = 0;
    put(&record, ",\"");
    put(&record, name);
    put(&record, "\":[");
    for (size_t i = 0; i < tree.count && named < NAMED; i++)
        if (tree.at[i].flags & flag) {
            put(&record, separator);
            put(&record, "[");
            put_number(&record, tree.at[i].pid);
            put(&record, ",\"");
            put(&record, tree.at[i].comm);
            put(&record, "\"]");
            separator = ",";
            named++;
        }
    put(&record, "]");
}

void record_stopped(const char *why, int signal) {
    int asked = 0, left = 0, killed = 0;
    for (size_t i = 0; i < tree.count; i++) {
        int flags = tree.at[i].flags;
        asked += !!(flags & ASKED);
        killed += !!(flags & KILLED);
        left += flags & INITIAL && !(flags & AT_KILL);
    }
    record_begin("stopped");
    put_string_field("why", why);
    put_field("signal", signal);
    put_field("signalled", asked);
    put_field("left", left);
    put_members("killed", KILLED);
    put_field("killed_count", killed);
    put_members("daemons", DAEMON);
    put_members("refused", REFUSED);
    record_end();
}

/* ---- counting */

/* Living children besides the main, the dead ones reaped. Asked when the main has exited; without /proc a guess. */
size_t count_children(void) {
    for (;;) {
        size_t living = 0, reaped = 0;
        if (main_process.reaped) {
            pid_t pid;
            while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
                ;
            return pid == 0;
        }
        walk(false);
        for (size_t i = 0; i < scan.count; i++)
            if (scan.at[i].pid != main_process.pid && scan.at[i].parent == self) {
                if (waitpid(scan.at[i].pid, NULL, WNOHANG) > 0)
                    reaped++;
                else
                    living++;
            }
        if (!reaped)
            return living;
    }
}

/* How many below us are alive, the main not counted. */
size_t count_tree(bool session_only) {
    size_t living = 0;
    walk(true);
    for (size_t i = 0; i < scan.count; i++)
        living += scan.at[i].pid != main_process.pid && is_due_to_die(&scan.at[i], session_only);
    return living;
}
