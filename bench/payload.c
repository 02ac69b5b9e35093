/* The process under test. Each mark is one O_APPEND write, "KIND ID PID NANOSECONDS[ EXTRA]", CLOCK_MONOTONIC.
 *
 *   payload begin MARKS ID PROCS CMD...   join the cgroup whose cgroup.procs is PROCS ("-": none), mark B, become CMD
 *   payload mark MARKS ID CODE            mark S, exit with CODE
 *   payload hold MARKS ID                 mark S, wait; on SIGTERM or SIGINT mark T and exit 0
 *   payload become MARKS ID CMD...        mark S, become CMD
 *   payload pour MARKS ID BYTES LINE SIZE mark S, write BYTES to stdout as lines of LINE bytes in writes of SIZE bytes,
 *                                         mark E with the microseconds of CPU that it took
 * payload_plain.py does the same where there is no compiler, slower.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *marks, *id;

static void die(const char *what) {
    perror(what);
    _exit(97);
}

static void mark(char kind, long long extra) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    char line[200];
    long long ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    int length = snprintf(line, sizeof line, "%c %.64s %d %lld", kind, id, (int)getpid(), ns);
    length += snprintf(line + length, sizeof line - length, extra < 0 ? "\n" : " %lld\n", extra);
    int fd = open(marks, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, length) != length) die("payload: cannot mark");
    close(fd);
}

static void become(char **argv) {
    execvp(argv[0], argv);
    die(argv[0]);
}

static void join(const char *procs) {
    int fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) die("payload: cannot join the cgroup");
    close(fd);
}

static void on_stop(int signum) {
    (void)signum;
    mark('T', -1);
    _exit(0);
}

static void hold(void) {
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    mark('S', -1);
    for (;;) pause();
}

static void write_all(const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t written = write(1, bytes, length);
        if (written < 0) die("payload: cannot write");
        bytes += written;
        length -= written;
    }
}

/* A ring of whole lines, long enough that a write of any phase is one contiguous piece of it. */
static void pour(long long total, size_t line, size_t size) {
    size_t lines = size / line + 2;
    char *ring = malloc(lines * line);
    if (ring == NULL || line < 2 || size == 0) die("payload: cannot pour");
    memset(ring, 'x', lines * line);
    for (size_t i = 1; i <= lines; i++) ring[i * line - 1] = '\n';
    mark('S', -1);
    for (long long done = 0; done < total;) {
        size_t piece = total - done < (long long)size ? (size_t)(total - done) : size;
        write_all(ring + done % line, piece);
        done += piece;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    long long seconds = used.ru_utime.tv_sec + used.ru_stime.tv_sec;
    mark('E', seconds * 1000000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

int main(int argc, char **argv) {
    if (argc < 4) return 96;
    const char *verb = argv[1];
    marks = argv[2];
    id = argv[3];
    if (!strcmp(verb, "begin") && argc > 5) {
        if (strcmp(argv[4], "-")) join(argv[4]);
        mark('B', -1);
        become(argv + 5);
    } else if (!strcmp(verb, "mark") && argc == 5) {
        mark('S', -1);
        return atoi(argv[4]);
    } else if (!strcmp(verb, "hold")) {
        hold();
    } else if (!strcmp(verb, "become") && argc > 4) {
        mark('S', -1);
        become(argv + 4);
    } else if (!strcmp(verb, "pour") && argc == 7) {
        pour(atoll(argv[4]), atoll(argv[5]), atoll(argv[6]));
        return 0;
    }
    return 96;
}
