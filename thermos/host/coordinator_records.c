/*
 * Records: one line for each fact, appended to the inbox with one write, then a poke of the FIFO `wake`.
 *
 * Lines wait in a short queue while the disk is full; a run has six facts at most, so the queue can't overflow. A run
 * without a checkpoint writes them into a pipe, which holds them all; a reader that has gone wants to know no more.
 */
#include "coordinator.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static void put_bytes(struct text *t, const char *bytes, size_t n) {
    if (n > t->room - t->len)
        n = t->room - t->len;
    memcpy(t->at + t->len, bytes, n);
    t->len += n;
}

void put(struct text *t, const char *s) { put_bytes(t, s, strlen(s)); }

static void put_digits(struct text *t, uint64_t n, int width) {
    char digits[20];
    int i = sizeof digits;
    do
        digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) || (int)sizeof digits - i < width);
    put_bytes(t, digits + i, sizeof digits - i);
}

void put_number(struct text *t, int64_t n) {
    if (n < 0)
        put(t, "-");
    put_digits(t, n < 0 ? -(uint64_t)n : (uint64_t)n, 1);
}

void put_seconds(struct text *t, int64_t s, int64_t micros) {
    put_number(t, s);
    put(t, ".");
    put_digits(t, (uint64_t)micros, 6);
}

uint32_t crc32(uint32_t crc, const void *bytes, size_t n) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const unsigned char *p = bytes;
    for (crc = ~crc; n--; p++) {
        crc = table[(crc ^ *p) & 15] ^ crc >> 4;
        crc = table[(crc ^ *p >> 4) & 15] ^ crc >> 4;
    }
    return ~crc;
}

static void put_crc(struct text *t, uint32_t crc) {
    for (int shift = 28; shift >= 0; shift -= 4)
        put_bytes(t, &"0123456789abcdef"[crc >> shift & 15], 1);
}

int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000 + t.tv_nsec / 1000000;
}

void rest_ms(int64_t ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

enum { QUEUE = 6, RECORD = SCRATCH };
static char queue[QUEUE][RECORD] __attribute__((aligned(4096)));
static size_t lengths[QUEUE];
static int queued;
int sequence;
static int64_t write_wait = RETRY_MIN_MS;
int inbox = -1;
int64_t write_at = NEVER;
struct text record;

/* Buffers on the stack would cost pages for good; the free end of the queue is there already. */
char *scratch(void) { return queue[queued]; }

/* `wish`: "" says that there is something to read, "!stuck " that there can't be. */
static void poke(const char *wish) {
    int fd = openat(TASK_DIR, "wake", O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat s;
    char token[270];
    struct text t = {token, 0, sizeof token};
    if (fd < 0)
        return; /* nobody to wake */
    put(&t, wish);
    put(&t, orders.wake);
    put(&t, "\n");
    if (!fstat(fd, &s) && S_ISFIFO(s.st_mode) && write(fd, token, t.len) < 0) { /* full: the reader wakes anyway */
    }
    close(fd);
}

/* One O_APPEND write of the queue's head, after an LF if the file's tail is torn. True if it is in the file whole. */
static void drop_head(void) {
    for (int i = 0; i < queued; i++) {
        lengths[i] = lengths[i + 1];
        memcpy(queue[i], queue[i + 1], lengths[i]);
    }
}

static bool append_head(void) {
    struct stat s;
    char last = '\n';
    if (fstat(inbox, &s) || (s.st_size && pread(inbox, &last, 1, s.st_size - 1) < 0))
        return false;
    struct iovec parts[2] = {{"\n", last != '\n'}, {queue[0], lengths[0]}};
    ssize_t whole = (ssize_t)(parts[0].iov_len + parts[1].iov_len), n = whole ? writev(inbox, parts, 2) : 0;
    if (n < 0 && errno == EPIPE)
        return true;
    if (n > 1 && n == whole - 1)
        lengths[0] = 0; /* only its LF is missing: the line must not come twice */
    return n == whole;
}

/* `running` or a failure follows `forked` at once; its reader is woken once for both. */
static bool is_worth_a_poke(void) {
    static const char forked[] = "{\"kind\":\"forked\"";
    return lengths[0] < 9 + sizeof forked || memcmp(queue[0] + 9, forked, sizeof forked - 1) != 0;
}

bool write_records(int64_t now) {
    while (queued && (write_at == NEVER || now >= write_at)) {
        if (!append_head()) {
            write_at = now + write_wait;
            write_wait = write_wait * 2 < RETRY_MAX_MS ? write_wait * 2 : RETRY_MAX_MS;
            poke("!stuck ");
            return false;
        }
        bool worth = is_worth_a_poke();
        write_at = NEVER;
        write_wait = RETRY_MIN_MS;
        if (--queued)
            drop_head();
        if (worth)
            poke("");
    }
    return !queued;
}

void give_back_queue(void) {
    if (!queued)
        madvise(queue, sizeof queue, MADV_DONTNEED);
}

/* Between record_begin and record_end the fields are put into `record`. */
void record_begin(const char *kind) {
    struct timespec at, mono;
    clock_gettime(CLOCK_REALTIME, &at);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    record = (struct text){queue[queued] + 9, 0, RECORD - 16};
    put(&record, "{\"kind\":\"");
    put(&record, kind);
    put(&record, "\",\"process\":\"");
    put(&record, orders.process);
    put(&record, "\",\"run\":");
    put_number(&record, orders.run);
    put(&record, ",\"seq\":");
    put_number(&record, sequence++);
    put(&record, ",\"at\":");
    put_seconds(&record, at.tv_sec, at.tv_nsec / 1000);
    put(&record, ",\"mono\":");
    put_seconds(&record, mono.tv_sec, mono.tv_nsec / 1000);
}

void put_field(const char *name, int64_t value) {
    put(&record, ",\"");
    put(&record, name);
    put(&record, "\":");
    put_number(&record, value);
}

void put_string_field(const char *name, const char *value) {
    put(&record, ",\"");
    put(&record, name);
    put(&record, "\":\"");
    put(&record, value);
    put(&record, "\"");
}

void record_end(void) {
    put(&record, "}");
    struct text head = {queue[queued], 0, 9};
    put_crc(&head, crc32(0, record.at, record.len));
    put(&head, " ");
    record.at[record.len] = '\n';
    lengths[queued++] = 9 + record.len + 1;
    write_records(now_ms());
}

/* ---- the inbox */

enum { LOCK_WAIT_MS = 2000 };

/* Is this line, without its LF, a whole `forked` record of this run? The keys' order makes its beginning known. */
static bool is_forked_line(const char *line, size_t n, const struct text *beginning) {
    char hex[8];
    struct text crc = {hex, 0, sizeof hex};
    if (n < 9 + beginning->len || memcmp(line + 9, beginning->at, beginning->len))
        return false;
    put_crc(&crc, crc32(0, line + 9, n - 9));
    return !memcmp(line, hex, sizeof hex);
}

static bool is_forked_already(void) {
    struct text beginning = {scratch(), 0, 2048};
    char *window = scratch() + beginning.room;
    const size_t room = SCRATCH - beginning.room;
    size_t have = 0;
    bool in_long_line = false;
    put(&beginning, "{\"kind\":\"forked\",\"process\":\"");
    put(&beginning, orders.process);
    put(&beginning, "\",\"run\":");
    put_number(&beginning, orders.run);
    put(&beginning, ",");
    ssize_t n;
    for (off_t at = orders.scan_from; (n = pread(inbox, window + have, room - have, at)) > 0; at += n) {
        char *line = window, *end;
        have += (size_t)n;
        while ((end = memchr(line, '\n', have - (size_t)(line - window)))) {
            if (!in_long_line && is_forked_line(line, (size_t)(end - line), &beginning))
                return true;
            in_long_line = false;
            line = end + 1;
        }
        have -= (size_t)(line - window);
        memmove(window, line, have);
        if (have == room) { /* longer than any `forked` is */
            have = 0;
            in_long_line = true;
        }
    }
    return false;
}

static void open_pipe(void) {
    struct stat s;
    inbox = TASK_DIR;
    if (fstat(inbox, &s) || !S_ISFIFO(s.st_mode))
        give_up(BROKEN, "not a pipe: fd 3", "", 0);
}

void open_inbox(void) {
    struct stat s;
    if (orders.to_pipe) {
        open_pipe();
        return;
    }
    int64_t wait = 1, until = now_ms() + LOCK_WAIT_MS;
    inbox = openat(TASK_DIR, orders.inbox, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
    if (inbox < 0)
        give_up(BROKEN, "cannot open the inbox ", orders.inbox, errno);
    if (fstat(inbox, &s) || !S_ISREG(s.st_mode))
        give_up(BROKEN, "not a regular file: the inbox ", orders.inbox, 0);
    while (flock(inbox, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK)
            give_up(BROKEN, "cannot lock the inbox ", orders.inbox, errno);
        if (is_forked_already())
            _exit(SUPERSEDED);
        if (now_ms() >= until)
            _exit(BUSY);
        rest_ms(wait);
        wait = wait * 2 < 50 ? wait * 2 : 50;
    }
    if (is_forked_already())
        _exit(SUPERSEDED);
}
