/*
 * The child: from our fork to its exec. Each step has a name; the first that fails comes back over a pipe that exec
 * closes, and is recorded as `setup_failed`. A kept command goes through here again and again, with the same outputs.
 */
#include "coordinator.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum stage { LOG, FORK, SESSION, CGROUP, FDS, RLIMITS, UMASK, CHROOT, GROUPS, GID, UID, CWD, EXEC, UNSUPPORTED, ORDERS };
static const char *const stage_names[] = {"log",    "fork", "session", "cgroup", "fds",  "rlimits",     "umask", "chroot",
                                          "groups", "gid",  "uid",     "cwd",    "exec", "unsupported", "orders"};
_Static_assert(sizeof stage_names / sizeof *stage_names == ORDERS + 1, "every stage has a name");

struct failure {
    int stage, error;
};
mode_t inherited_umask;
int report_fd = -1;
static int outputs[2] = {-1, -1}; /* what the child gets as 1 and 2; -1: not opened */

static void record_setup_failed(enum stage stage, int error) {
    record_begin("setup_failed");
    put_string_field("stage", stage_names[stage]);
    put_field("errno", error);
    record_end();
}

void record_bad_orders(bool unknown) { record_setup_failed(unknown ? UNSUPPORTED : ORDERS, unknown ? ENOTSUP : EINVAL); }

static void join_cgroup(void) {
    int dir = open(orders.cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    if (dir >= 0)
        fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1)
        errno = errno ? errno : EIO;
    else
        errno = 0;
}

static int set_limits(void) {
    for (int i = 0; i < orders.limit_count; i++) {
        struct rlimit l = {orders.limits[i].soft < 0 ? RLIM_INFINITY : (rlim_t)orders.limits[i].soft,
                           orders.limits[i].hard < 0 ? RLIM_INFINITY : (rlim_t)orders.limits[i].hard};
        if (setrlimit((int)orders.limits[i].resource, &l))
            return -1;
    }
    return 0;
}

/* Nothing is blocked; but a kept command lets in itself what is forwarded to it, when it is ready for it. */
static void open_signal_mask(void) {
    sigset_t mask;
    sigemptyset(&mask);
    for (const int *number = forwarded_signals; orders.respawn && *number; number++)
        sigaddset(&mask, *number);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* In the child: all steps up to exec, in the contract's order; the first that fails is the answer. */
static enum stage set_up_and_exec(int out, int err) {
    if (setsid() < 0)
        return SESSION;
    if (orders.cgroup && (errno = 0, join_cgroup(), errno))
        return CGROUP;
    if (out != 1 && dup2(out, 1) < 0)
        return FDS;
    if (err != 2 && dup2(err, 2) < 0)
        return FDS;
    if (set_limits())
        return RLIMITS;
    umask(orders.umask >= 0 ? (mode_t)orders.umask : inherited_umask);
    if (orders.chroot && (chroot(orders.chroot) || chdir("/")))
        return CHROOT;
    if (orders.group_count >= 0 && setgroups((size_t)orders.group_count, orders.groups))
        return GROUPS;
    if (orders.gid >= 0 && setresgid((gid_t)orders.gid, (gid_t)orders.gid, (gid_t)orders.gid))
        return GID;
    if (orders.uid >= 0 && setresuid((uid_t)orders.uid, (uid_t)orders.uid, (uid_t)orders.uid))
        return UID;
    if (orders.cwd && chdir(orders.cwd))
        return CWD;
    if (!orders.respawn && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != self))
        _exit(127); /* the coordinator is gone; so nothing that nobody minds is executed, or goes on */
    open_signal_mask();
    execve(orders.arguments[0], orders.arguments, orders.environment);
    return EXEC;
}

/* Opens the logs (once) and forks. A failure here is recorded and leaves main_process.pid at 0. */
void start_main(void) {
    int report[2];
    if (outputs[0] < 0 && open_logs(&outputs[0], &outputs[1])) {
        outputs[0] = -1;
        record_setup_failed(LOG, errno);
        return;
    }
    pid_t pid = -1;
    if (pipe2(report, O_CLOEXEC) || (pid = vfork()) < 0) {
        record_setup_failed(FORK, errno);
        return;
    }
    if (!pid) { /* our memory, until exec: nothing is written that we would miss, every signal is blocked */
        struct failure failure = {.stage = (int)set_up_and_exec(outputs[0], outputs[1])};
        failure.error = errno;
        if (write(report[1], &failure, sizeof failure) < 0) { /* the coordinator is gone; nobody to tell */
        }
        _exit(127);
    }
    main_process.pid = pid;
    report_fd = report[0];
    close(report[1]);
    leave_logs_to_child(outputs[0], outputs[1]);
    if (chdir("/")) { /* then the owner's directory stays in use; nothing worse */
    }
}

/* The child's pipe has ended. True: exec has closed it. False: a step failed; that is recorded, the child reaped. */
bool take_report(void) {
    struct failure failure;
    ssize_t n = read(report_fd, &failure, sizeof failure);
    close(report_fd);
    report_fd = -1;
    if (n != sizeof failure)
        return true;
    waitpid(main_process.pid, NULL, 0);
    record_setup_failed((enum stage)failure.stage, failure.error);
    return false;
}

void record_running(void) {
    struct member m = {0};
    look(main_process.pid, &m);
    record_begin("running");
    put_field("pid", main_process.pid);
    put_field("start", (int64_t)m.start);
    record_end();
}

void record_exited(int code, int signal, const struct rusage *usage, int daemons) {
    record_begin("exited");
    put(&record, ",\"code\":");
    signal ? put(&record, "null") : put_number(&record, code);
    put(&record, ",\"signal\":");
    signal ? put_number(&record, signal) : put(&record, "null");
    put(&record, ",\"utime\":");
    put_seconds(&record, usage->ru_utime.tv_sec, usage->ru_utime.tv_usec);
    put(&record, ",\"stime\":");
    put_seconds(&record, usage->ru_stime.tv_sec, usage->ru_stime.tv_usec);
    put_field("maxrss", usage->ru_maxrss * 1024);
    put_field("daemons", daemons);
    record_end();
}
