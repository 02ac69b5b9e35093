/*
 * The keeper: a coordinator whose orders say `respawn`. It keeps one command alive (the runner of a daemonised task).
 *
 *     forked -> running -> exited -> (back-off) -> forked -> ...      `run` counts the incarnations
 *
 * A death by a signal, or an exit code of `respawn_codes`, begins the next incarnation; any other exit is the end. The
 * back-off doubles from 0.1 to 30 s and begins anew after a life of a minute.
 *
 * Only the command itself is ever signalled. What it leaves behind when it is killed are coordinators with the
 * processes of a whole task: the keeper adopts them as a subreaper, reaps them when they end, and nothing else; the
 * next incarnation takes them over.
 *
 * Signals are forwarded. One that came stays said: every later incarnation gets it too, so that a stop that was asked
 * for outlives whoever was killed while obeying. The command starts with these signals blocked and lets them in when
 * it is ready, so none can end it by accident; dying of one that was forwarded is an end as wished.
 */
#include "coordinator.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef LONG_LIFE_MS /* the tests have no minute */
#define LONG_LIFE_MS 60000
#endif
enum { BACK_OFF_MIN_MS = 100, BACK_OFF_MAX_MS = 30000, LAST_DRAIN_MS = 2000 };

const int forwarded_signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGHUP, 0};
static uint64_t wishes; /* the signals that came, a bit each */
static int64_t begin_at = NEVER, born_at, back_off = BACK_OFF_MIN_MS, drain_until = NEVER;
static bool is_announced, has_lived; /* this incarnation's `forked` is queued; one incarnation has run */

static void forward(int number) {
    wishes |= (uint64_t)1 << number;
    if (main_process.pid && report_fd < 0)
        kill(main_process.pid, number); /* unreaped, so it is nobody else's */
    else if (begin_at != NEVER)
        begin_at = 0; /* no back-off for who is wanted */
}

static void forward_all(void) {
    for (const int *number = forwarded_signals; *number; number++)
        if (wishes >> *number & 1)
            kill(main_process.pid, *number);
}

/* The present incarnation is over: again after a while, or never more. */
static void plan_next(bool again) {
    int64_t now = now_ms();
    main_process.pid = 0;
    is_announced = false;
    begin_at = NEVER;
    if (!again)
        return;
    back_off = now - born_at >= LONG_LIFE_MS ? BACK_OFF_MIN_MS : back_off;
    begin_at = now + back_off;
    back_off = back_off * 2 < BACK_OFF_MAX_MS ? back_off * 2 : BACK_OFF_MAX_MS;
}

static void note_end(int status, const struct rusage *usage) {
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0, code = WEXITSTATUS(status);
    record_exited(code, number, usage, 0);
    plan_next(number ? !(wishes >> number & 1) : orders.respawn_codes[code / 64] >> code % 64 & 1);
}

/* The dead: the command, and whoever was left to us. Nobody while it is still open whether exec has worked. */
static void reap(void) {
    struct rusage usage;
    int status;
    pid_t pid;
    while (report_fd < 0 && (pid = wait4(-1, &status, WNOHANG, &usage)) > 0)
        if (pid == main_process.pid)
            note_end(status, &usage);
}

static void take_signals(void) {
    struct signalfd_siginfo s;
    while (read(signal_fd, &s, sizeof s) == sizeof s)
        if (s.ssi_signo != SIGCHLD)
            forward((int)s.ssi_signo);
}

/* The first incarnation has to come up; later ones are tried again (somebody may just be installing a new version). */
static void begin(void) {
    begin_at = NEVER;
    born_at = now_ms();
    start_main();
    if (!main_process.pid)
        plan_next(has_lived);
}

static void learn_how_it_came_up(void) {
    if (!take_report()) {
        plan_next(has_lived);
        return;
    }
    has_lived = true;
    record_running();
    forward_all();
    give_back_memory();
}

/* Does whatever can be done now; nothing begins before its `forked` is in the inbox. True when all is done. */
static bool advance(void) {
    int64_t now = now_ms();
    reap();
    if (!write_records(now))
        return false;
    if (main_process.pid)
        return false;
    if (begin_at != NEVER) {
        if (now < begin_at)
            return false;
        if (!is_announced) {
            orders.run++;
            begin_run();
            is_announced = true;
        }
        if (write_records(now))
            begin();
        return false;
    }
    if (drain_until == NEVER)
        drain_until = now + LAST_DRAIN_MS;
    return run_pumps(now) || now >= drain_until;
}

static int next_wake(void) {
    int64_t all[] = {main_process.pid ? NEVER : begin_at, write_at, pumps_wake_at(), drain_until};
    return milliseconds_until(all, sizeof all / sizeof *all);
}

/* `forked` of the first incarnation is in the inbox. */
void keep(void) {
    begin();
    while (!advance()) {
        struct pollfd fds[2 + PUMP_FDS] = {{signal_fd, POLLIN, 0}, {report_fd, POLLIN, 0}};
        int pumps = watch_pumps(fds + 2);
        if (poll(fds, (nfds_t)(2 + pumps), next_wake()) < 0 && errno != EINTR)
            rest_ms(10); /* out of kernel memory: try again */
        if (fds[1].revents)
            learn_how_it_came_up();
        if (fds[0].revents)
            take_signals();
        if (pumps)
            run_pumps(now_ms());
    }
}
