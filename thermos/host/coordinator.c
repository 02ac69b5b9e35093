/*
 * The coordinator minds one run of one process. docs/coordinator.md is its contract; coordinator.py keeps the same.
 *
 * Its life:   orders -> lock -> `forked` -> logs, fork -> `running` -> (stop) -> main exits -> `exited` -> ... `gone`
 *
 * One thread, one poll(), four signals read from a signalfd, and a handful of deadlines; with nothing to do it never
 * wakes. Every fact becomes one line in the inbox and one poke of the FIFO `wake`. Lines go through a short queue:
 * a full disk delays them, and nothing else.
 *
 * As a subreaper it is the parent of whatever its descendants leave behind, so "the tree" is everything below it, and
 * "nothing is left" is a fact: it has no child but the main, whose zombie it keeps until the exit status is on disk.
 * (A child's children are ours before the child is a zombie; so once our list shows nobody else, there is nobody.)
 *
 * Memory is what it is careful with: no stdio, no malloc, no locale; the orders are unmapped once the child has them.
 */
#include "coordinator.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* ---- its life */

enum phase { NO_STOP, ASK, ASKING, KILLING, STOPPED };
enum { DRAIN_MS = 2000, KILL_MIN_MS = 10, KILL_MAX_MS = 1000 };
static enum phase stop;
static const char *stop_why;
static int64_t stop_at = NEVER, kill_at = NEVER, owner_at = NEVER, drain_until = NEVER, kill_wait = KILL_MIN_MS;
static bool setup_failed, exited_recorded, lingering, child_changed;
static int owner_fd = -1, daemons, exit_code, exit_signal;
int signal_fd = -1;
static struct rusage usage;

static void notice_main_exit(void) {
    siginfo_t info = {0};
    pid_t pid = main_process.pid;
    if (syscall(SYS_waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, &usage) || !info.si_pid)
        return;
    main_process.exited = true;
    exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
    exit_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    if (stop == ASKING)
        ask_tree(false);
}

/* Reaps the dead while the main lives: until its own zombie comes up, no zombie hides another one. */
static void reap(void) {
    siginfo_t info = {0};
    while (!main_process.exited && !waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid) {
        if (info.si_pid == main_process.pid)
            notice_main_exit();
        else
            waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

/* Without /proc nobody can tell what a dead main left behind: the deadline decides, then one kill of its group. */
static bool is_nothing_left(void) {
    bool sure = !blind || main_process.reaped || (stop == KILLING && kill_wait > KILL_MIN_MS);
    return main_process.exited && sure && !count_children();
}

/* Not before there is a child, nor when only the record of its end is still to be written. */
static bool can_be_stopped(void) { return main_process.pid && !setup_failed && (!exited_recorded || daemons); }

static void begin_polite_stop(const char *why) {
    if (stop == NO_STOP && can_be_stopped()) {
        stop = ASK;
        stop_why = why;
    }
}

static void begin_kill(const char *why) {
    if (stop == KILLING || stop == STOPPED || !can_be_stopped())
        return;
    stop = KILLING;
    stop_why = why;
    stop_at = NEVER;
    kill_at = 0;
    kill_wait = KILL_MIN_MS;
    note_tree_at_kill();
}

/* One more round of killing if it is due. A SIGCHLD makes the next look at the tree come sooner. */
static void go_on_killing(int64_t now, bool session_only) {
    if (kill_at != NEVER && now < kill_at)
        return;
    kill_tree(session_only);
    kill_at = now_ms() + kill_wait;
    kill_wait = kill_wait * 2 < KILL_MAX_MS ? kill_wait * 2 : KILL_MAX_MS;
}

static void advance_stop(int64_t now) {
    if (stop == ASK) {
        ask_tree(true);
        stop = ASKING;
        stop_at = now + orders.stop_wait;
        kill_at = NEVER;
    }
    if ((stop == ASKING || stop == KILLING) && is_nothing_left()) {
        record_stopped(stop_why, *stop_why == 'k' ? SIGKILL : (int)orders.stop_signal);
        stop = STOPPED;
        stop_at = kill_at = NEVER;
    }
    if (stop == ASKING && now >= stop_at)
        begin_kill(stop_why);
    if (stop == KILLING)
        go_on_killing(now, false);
}

/* Is what was written into the pipes in the logs? After DRAIN_MS that has to be good enough. */
static bool is_drained(int64_t now) {
    if (drain_until == NEVER)
        drain_until = now + DRAIN_MS;
    if (!run_pumps(now) && now < drain_until)
        return false;
    drain_until = NEVER;
    return true;
}

/* The main has exited: the rest of its session dies, what it wrote is saved, then the exit becomes a record. */
static void advance_exit(int64_t now) {
    if (stop == ASKING || stop == KILLING) {
        drain_until = NEVER;
        return; /* first everybody has to be gone */
    }
    if (stop == NO_STOP && blind)
        kill(-main_process.pid, SIGKILL);
    daemons = 0;
    if (stop == NO_STOP && count_children()) {
        if (count_tree(true)) {
            go_on_killing(now, true);
            return;
        }
        daemons = (int)count_tree(false);
    }
    kill_at = NEVER;
    if (!is_drained(now))
        return;
    record_exited(exit_code, exit_signal, &usage, daemons);
    exited_recorded = true;
}

/* `exited` is in the inbox: the zombie has done its duty. Daemons make us linger, without the lock. */
static void bury_main(void) {
    waitpid(main_process.pid, NULL, 0);
    main_process.reaped = true;
    lingering = count_children() || daemons; /* a daemon that has just left is `gone` all the same */
    if (lingering)
        flock(inbox, LOCK_UN);
}

static void advance_lingering(int64_t now) {
    if ((stop != NO_STOP && stop != STOPPED) || count_children())
        return;
    if (!is_drained(now))
        return;
    lingering = false;
    record_begin("gone");
    record_end();
}

/* Does whatever can be done now. True when all is done. */
static bool advance(void) {
    int64_t now = now_ms();
    bool recorded = write_records(now), over = !main_process.pid || setup_failed;
    if (over)
        return recorded;
    if (child_changed)
        reap();
    child_changed = false;
    if (now >= owner_at) {
        owner_at = NEVER;
        begin_polite_stop("owner");
    }
    if (can_be_stopped())
        advance_stop(now);
    if (report_fd >= 0)
        return false; /* whether exec has worked is not known yet */
    if (main_process.exited && !exited_recorded)
        advance_exit(now);
    if (exited_recorded && !main_process.reaped && write_records(now))
        bury_main();
    if (lingering)
        advance_lingering(now);
    return main_process.reaped && !lingering && write_records(now);
}

/* From here on we sleep, maybe for months: the stack below this frame goes back to the kernel. */
void give_back_memory(void) {
    char *here = (char *)((uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)4095);
    madvise(here - 16 * 4096, 15 * 4096, MADV_DONTNEED); /* refused or not: both are fine */
    give_back_queue();
}

static void learn_how_it_came_up(void) {
    child_changed = true;
    setup_failed = !take_report();
    if (!setup_failed) {
        remember_program();
        record_running();
    }
    prune_logs();
    forget_orders();
    give_back_memory();
}

static void take_signals(void) {
    struct signalfd_siginfo s;
    while (read(signal_fd, &s, sizeof s) == sizeof s)
        if (s.ssi_signo == SIGTERM)
            begin_polite_stop("stop");
        else if (s.ssi_signo == SIGQUIT)
            begin_kill("kill");
        else if (s.ssi_signo == SIGUSR1)
            reopen_logs();
        else
            child_changed = true;
}

/* Milliseconds until the first of these moments, or -1: poll's timeout. */
int milliseconds_until(const int64_t *moments, size_t count) {
    int64_t next = NEVER;
    for (size_t i = 0; i < count; i++)
        next = moments[i] < next ? moments[i] : next;
    int64_t wait = next == NEVER ? -1 : next - now_ms();
    return next == NEVER ? -1 : wait < 0 ? 0 : wait > 3600000 ? 3600000 : (int)wait;
}

static int next_wake(void) {
    int64_t all[] = {stop_at, kill_at, owner_at, drain_until, write_at, pumps_wake_at()};
    return milliseconds_until(all, sizeof all / sizeof *all);
}

static void live(void) {
    while (!advance()) {
        struct pollfd fds[3 + PUMP_FDS] = {{signal_fd, POLLIN, 0}, {report_fd, POLLIN, 0}, {owner_fd, POLLIN, 0}};
        int pumps = watch_pumps(fds + 3);
        if (poll(fds, (nfds_t)(3 + pumps), next_wake()) < 0 && errno != EINTR)
            rest_ms(10); /* out of kernel memory: try again */
        if (fds[1].revents)
            learn_how_it_came_up();
        if (fds[0].revents)
            take_signals();
        if (fds[2].revents) {
            close(owner_fd);
            owner_fd = -1;
            owner_at = now_ms() + orders.owner_wait;
        }
        if (pumps)
            run_pumps(now_ms());
    }
}

/* ---- coming up */

/* One fd for all we listen to. Dispositions are the default, for the child's sake and for waiting (SIGCHLD). */
static void take_over_signals(void) {
    static const long standard[16]; /* the kernel's struct: all zero is SIG_DFL */
    struct sigaction deaths_only = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
    sigset_t all, ours;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int signal = 1; signal <= 64; signal++) /* the C library would spare 32 and 33, which posix_spawn ignores */
        syscall(SYS_rt_sigaction, signal, standard, NULL, 8);
    sigaction(SIGCHLD, &deaths_only, NULL);
    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGQUIT);
    sigaddset(&ours, SIGUSR1);
    sigaddset(&ours, SIGCHLD);
    for (const int *number = forwarded_signals; orders.respawn && *number; number++)
        sigaddset(&ours, *number);
    signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        give_up(BROKEN, "cannot listen for signals and adopt children", "", errno);
}

/* 0 becomes /dev/null, 3 stays for us alone, the rest is closed. */
static void tidy_descriptors(void) {
    if (syscall(SYS_close_range, 4, ~0U, 0))
        for (int fd = 4; fd < 65536; fd++)
            close(fd);
    int null;
    while ((null = open("/dev/null", O_RDWR)) >= 0 && null <= 2)
        ; /* 1 or 2 were closed */
    if (null < 0 || dup2(null, 0) < 0 || fcntl(TASK_DIR, F_SETFD, FD_CLOEXEC))
        give_up(BROKEN, "cannot open /dev/null, or fd 3 is no directory", "", errno);
    close(null);
}

/* The owner is watched by a pidfd; if it has gone already, that is noticed here. */
static void watch_owner(void) {
    struct member m;
    if (!orders.stop_with_owner)
        return;
    owner_fd = (int)syscall(SYS_pidfd_open, orders.owner_pid, 0);
    bool is_he = owner_fd >= 0 && (blind || (look((pid_t)orders.owner_pid, &m) && (int64_t)m.start == orders.owner_start));
    if (is_he)
        return;
    if (owner_fd >= 0)
        close(owner_fd);
    owner_fd = -1;
    owner_at = now_ms() + orders.owner_wait;
}

/* Queues the first record of a run. */
void begin_run(void) {
    struct member me = {0};
    struct stat ns = {0};
    char boot[40] = "";
    blind = !look(self, &me);
    read_text(PROC "/sys/kernel/random/boot_id", boot, sizeof boot);
    boot[strcspn(boot, "\n")] = 0;
    stat(PROC "/self/ns/pid", &ns);
    sequence = 0;
    record_begin("forked");
    put_field("pid", self);
    put_field("start", (int64_t)me.start);
    put_string_field("boot", boot);
    put_field("pidns", (int64_t)ns.st_ino);
    record_end();
}

/* The first record, before anything is started. A full disk holds us here; told to stop, we end with nothing done. */
static void record_forked(void) {
    struct signalfd_siginfo s;
    begin_run();
    while (!write_records(now_ms())) {
        struct pollfd waiting = {signal_fd, POLLIN, 0};
        poll(&waiting, 1, next_wake());
        if (read(signal_fd, &s, sizeof s) == sizeof s && (s.ssi_signo == SIGTERM || s.ssi_signo == SIGQUIT))
            give_up(UNBEGUN, "told to stop before the inbox could be written: ", orders.inbox, 0);
    }
}

/* So that `ps` and `pgrep` name us, also when we were executed from a descriptor. */
static void take_name(void) { prctl(PR_SET_NAME, orders.respawn ? "thermos-keeper" : "thermos-coordinator"); }

int main(void) {
    self = getpid();
    receive_orders();
    tidy_descriptors();
    setsid();
    take_name();
    take_over_signals();
    inherited_umask = umask(022);
    open_inbox();
    if (orders.problem) {
        record_bad_orders(orders.problem == PROBLEM_UNSUPPORTED);
    } else {
        record_forked();
        if (orders.respawn) {
            keep();
            return DONE;
        }
        watch_owner();
        start_main();
        if (!main_process.pid)
            prune_logs();
    }
    live();
    return DONE;
}
