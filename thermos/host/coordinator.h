/* What the files of the coordinator share. Each global has one writer, the file it is named after here. */
#ifndef COORDINATOR_H
#define COORDINATOR_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef PROC /* the tests build variants without /proc and without the children files */
#define PROC "/proc"
#endif
#ifndef CHILDREN
#define CHILDREN "children"
#endif

#define NEVER INT64_MAX
#define RETRY_MIN_MS ((int64_t)100)
#define RETRY_MAX_MS ((int64_t)5000)

enum { DONE = 0, SUPERSEDED = 3, BUSY = 4, UNBEGUN = 5, UNUSABLE = 100, BROKEN = 111 }; /* exit codes */
enum { TASK_DIR = 3, SCRATCH = 8192, PRUNED = 32, LOG_NAME = 24 };
/* fd 3; a buffer's size; how many runs may be pruned; room for log_file */

/* ---- coordinator_orders.c: what we were told to do */

enum { TO_FILE, TO_CONSOLE, TO_BOTH, TO_NONE };
enum { PROBLEM_NONE, PROBLEM_UNSUPPORTED, PROBLEM_ORDERS };

struct limit {
    int64_t resource, soft, hard;
};

struct orders { /* numbers are -1 and texts NULL where nothing was ordered */
    char *process, *inbox, *wake, *cwd, *chroot, *cgroup, *log_base, *log_dir, *log_file;
    char **arguments, **environment;
    int64_t run, scan_from, umask, uid, gid, log_size, log_backups;
    int64_t stop_signal, stop_wait, owner_wait, owner_pid, owner_start;
    struct limit limits[32];
    gid_t *groups;
    int64_t pruned[PRUNED];
    uint64_t respawn_codes[4]; /* a bit for each exit code */
    int limit_count, group_count, pruned_count, destination, rotate, stop_with_owner, respawn, to_pipe, problem;
};
extern struct orders orders;

void receive_orders(void); /* from fd 0; ends the program if they are unusable */
void forget_orders(void);  /* gives their memory back; texts and arrays are gone, numbers stay */
_Noreturn void give_up(int code, const char *what, const char *name, int error);
void *pages(size_t size);
bool parse_number(const char *s, char end, int64_t min, int64_t max, int64_t *value);

/* ---- coordinator_records.c: what we tell */

struct text { /* a bounded buffer that is appended to; what does not fit is cut */
    char *at;
    size_t len, room;
};
extern struct text record; /* the one between record_begin and record_end */
extern int sequence;       /* of the next record in its run */
extern int inbox;          /* open and locked */
extern int64_t write_at;   /* when to retry a write that failed */

void put(struct text *t, const char *s);
void put_number(struct text *t, int64_t n);
void put_seconds(struct text *t, int64_t s, int64_t micros);
uint32_t crc32(uint32_t crc, const void *bytes, size_t n);
int64_t now_ms(void);
void rest_ms(int64_t ms);
char *scratch(void); /* SCRATCH bytes for whoever reads a file just now, but not inside a record */
void open_inbox(void); /* locked, and this run not forked yet (unless it is a pipe); else ends the program */
void record_begin(const char *kind);
void put_field(const char *name, int64_t value);
void put_string_field(const char *name, const char *value);
void record_end(void);
void give_back_queue(void); /* its memory, if it is empty */
bool write_records(int64_t now); /* true when all records are in the inbox */

/* ---- coordinator_tree.c: the processes below us */

enum { ASKED = 1, INITIAL = 2, AT_KILL = 4, KILLED = 8, REFUSED = 16, DAEMON = 32 };

struct member { /* one process, as /proc/PID/stat tells */
    pid_t pid, parent, session;
    int threads, flags;
    uint64_t start;
    char state, comm[16];
};
extern pid_t self;
extern bool blind; /* /proc can't be read: only the main's process group can be signalled */
extern struct main_process { /* written by coordinator.c */
    pid_t pid;               /* 0: none (yet) */
    bool exited, reaped;
} main_process;

bool look(pid_t pid, struct member *m);
const char *proc_path(pid_t pid, const char *rest);
ssize_t read_text(const char *path, char *text, size_t room);
void remember_program(void); /* as soon as exec has happened */
size_t count_children(void); /* living, besides the main; the dead ones are reaped */
size_t count_tree(bool session_only);
void ask_tree(bool first);
void note_tree_at_kill(void);
void kill_tree(bool session_only);
void record_stopped(const char *why, int signal);

/* ---- coordinator.c: its life */

extern int signal_fd;
void begin_run(void); /* queues `forked` */
void give_back_memory(void);
int milliseconds_until(const int64_t *moments, size_t count);

/* ---- coordinator_child.c: from our fork to its exec */

struct rusage;
extern mode_t inherited_umask;
extern int report_fd; /* readable when exec has happened or a step has failed; -1: nothing is awaited */
void start_main(void);
bool take_report(void);
void record_bad_orders(bool unknown);
void record_running(void);
void record_exited(int code, int signal, const struct rusage *usage, int daemons);

/* ---- coordinator_keeper.c: a command that is started again */

extern const int forwarded_signals[]; /* ends with 0 */
void keep(void);

/* ---- coordinator_logs.c: where the output goes */

enum { PUMP_FDS = 4 };

int open_logs(int *out, int *err);      /* the child's descriptors; -1 and errno if it can't be done */
void leave_logs_to_child(int out, int err);
int watch_pumps(struct pollfd *fds);    /* fills in at most PUMP_FDS; how many */
bool run_pumps(int64_t now);            /* true when nothing waits in a pipe or buffer */
int64_t pumps_wake_at(void);
void reopen_logs(void);
void prune_logs(void); /* of older runs, as ordered */

#endif
