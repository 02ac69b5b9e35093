/*
 * Orders: a version, then `key=value` fields, each ended by NUL (docs/coordinator.md has the list). Three tables say
 * which keys are texts, numbers and choices; the rest has a function each. Orders that name no inbox end the program;
 * orders that merely can't be carried out become a problem, which is recorded as a failed set-up.
 */
#include "coordinator.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char wake_token[256], process_name[1600];
struct orders orders = {
    .run = -1, .umask = -1, .uid = -1, .gid = -1, .group_count = -1, .stop_signal = SIGTERM, .stop_wait = 10000,
    .wake = wake_token};
static void *mapped[2];
static size_t mapped_size[2];

/* A decimal number in [min, max] that ends at `end`; false if it is anything else. */
bool parse_number(const char *s, char end, int64_t min, int64_t max, int64_t *value) {
    bool minus = *s == '-';
    uint64_t n = 0;
    if (*(s += minus) == end)
        return false;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *s - '0', &n) || n > INT64_MAX)
            return false;
    int64_t number = minus ? -(int64_t)n : (int64_t)n;
    if (*s != end || number < min || number > max)
        return false;
    *value = number;
    return true;
}

/* Ends before anything could be recorded: one line on stderr. */
_Noreturn void give_up(int code, const char *what, const char *name, int error) {
    char line[512];
    struct text t = {line, 0, sizeof line - 1};
    put(&t, "thermos-coordinator: ");
    put(&t, what);
    put(&t, name);
    if (error) {
        put(&t, ": errno ");
        put_number(&t, error);
    }
    line[t.len++] = '\n';
    if (write(2, line, t.len) < 0) { /* nobody is listening; the exit code says it too */
    }
    _exit(code);
}

/* Pages from the kernel, zeroed; NULL if it has none. */
void *pages(size_t size) {
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static const struct { const char *key; char **value; } texts[] = {
    {"process", &orders.process}, {"inbox", &orders.inbox}, {"wake", &orders.wake},
    {"cwd", &orders.cwd},         {"chroot", &orders.chroot}, {"cgroup", &orders.cgroup},
    {"log_base", &orders.log_base}, {"log_dir", &orders.log_dir}, {"log_file", &orders.log_file},
};
static const struct { const char *key; int64_t *value, min, max; } numbers[] = {
    {"run", &orders.run, 0, INT64_MAX},
    {"scan_from", &orders.scan_from, 0, INT64_MAX},
    {"umask", &orders.umask, 0, 0777},
    {"uid", &orders.uid, 0, UINT32_MAX - 1},
    {"gid", &orders.gid, 0, UINT32_MAX - 1},
    {"log_size", &orders.log_size, 1, INT64_MAX / 2},
    {"log_backups", &orders.log_backups, 1, 100000},
    {"stop_signal", &orders.stop_signal, 1, 64},
    {"stop_wait", &orders.stop_wait, 0, INT64_MAX / 4},
    {"owner_wait", &orders.owner_wait, 0, INT64_MAX / 4},
};
static const struct { const char *key; int *value; const char *names[5]; } choices[] = {
    {"destination", &orders.destination, {"file", "console", "both", "none"}},
    {"mode", &orders.rotate, {"standard", "rotate"}},
    {"on_owner_death", &orders.stop_with_owner, {"keep", "stop"}},
    {"respawn", &orders.respawn, {"0", "1"}},
    {"records", &orders.to_pipe, {"inbox", "pipe"}},
};

/* All bytes of fd 0, however large, in pages of their own. */
static char *read_orders(size_t *length) {
    size_t room = 65536, len = 0;
    struct stat s;
    if (!fstat(0, &s) && S_ISREG(s.st_mode) && s.st_size >= (off_t)room)
        room = (size_t)s.st_size + 1;
    char *at = pages(room);
    while (at) {
        ssize_t n = read(0, at + len, room - len);
        if (n < 0 && errno != EINTR)
            give_up(UNUSABLE, "cannot read the orders on stdin", "", errno);
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
        if (len == room) {
            at = mremap(at, room, room * 2, MREMAP_MAYMOVE);
            at = at == MAP_FAILED ? NULL : at;
            room *= 2;
        }
    }
    if (!at)
        give_up(BROKEN, "no memory for the orders", "", ENOMEM);
    mapped[0] = at;
    mapped_size[0] = room;
    *length = len;
    return at;
}

static bool parse_groups(const char *value) {
    if (!(orders.groups = pages(strlen(value) * sizeof *orders.groups + 1)))
        return false;
    orders.group_count = 0;
    while (*value) {
        size_t n = strcspn(value, ",");
        int64_t gid;
        if (!parse_number(value, value[n], 0, UINT32_MAX - 1, &gid))
            return false;
        orders.groups[orders.group_count++] = (gid_t)gid;
        bool more = value[n] == ',';
        value += n + more;
        if (more && !*value)
            return false;
    }
    return true;
}

/* A comma-separated list of exit codes becomes a set. */
static bool parse_codes(const char *value) {
    while (*value) {
        size_t n = strcspn(value, ",");
        int64_t code;
        if (!parse_number(value, value[n], 0, 255, &code))
            return false;
        orders.respawn_codes[code / 64] |= (uint64_t)1 << code % 64;
        bool more = value[n] == ',';
        value += n + more;
        if (more && !*value)
            return false;
    }
    return true;
}

static bool parse_pruned(const char *value) {
    int64_t *run = &orders.pruned[orders.pruned_count];
    return orders.pruned_count < PRUNED && parse_number(value, 0, 0, INT64_MAX, run) && ++orders.pruned_count;
}

static bool parse_limit(const char *value) {
    const char *soft = strchr(value, ':'), *hard = soft ? strchr(soft + 1, ':') : NULL;
    struct limit *l = &orders.limits[orders.limit_count];
    if (!hard || orders.limit_count == sizeof orders.limits / sizeof *orders.limits)
        return false;
    orders.limit_count++;
    return parse_number(value, ':', 0, 1000, &l->resource) && parse_number(soft + 1, ':', -1, INT64_MAX, &l->soft) &&
           parse_number(hard + 1, 0, -1, INT64_MAX, &l->hard);
}

static bool parse_owner(const char *value) {
    const char *start = strchr(value, ':');
    return start && parse_number(value, ':', 1, INT32_MAX, &orders.owner_pid) &&
           parse_number(start + 1, 0, 0, INT64_MAX, &orders.owner_start);
}

static const struct { const char *key; bool (*parse)(const char *value); } lists[] = {
    {"groups", parse_groups},       {"rlimit", parse_limit}, {"owner", parse_owner},
    {"respawn_codes", parse_codes}, {"prune", parse_pruned},
};

/* Takes one `key=value`; PROBLEM_UNSUPPORTED for an unknown key, PROBLEM_ORDERS for a value of no use, PROBLEM_NONE if all is well. */
static int take_order(const char *key, char *value) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(key, texts[i].key))
            return *texts[i].value = value, PROBLEM_NONE;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!strcmp(key, numbers[i].key))
            return parse_number(value, 0, numbers[i].min, numbers[i].max, numbers[i].value) ? PROBLEM_NONE : PROBLEM_ORDERS;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if (!strcmp(key, choices[i].key)) {
            for (int n = 0; choices[i].names[n]; n++)
                if (!strcmp(value, choices[i].names[n]))
                    return *choices[i].value = n, PROBLEM_NONE;
            return PROBLEM_ORDERS;
        }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (!strcmp(key, lists[i].key))
            return lists[i].parse(value) ? PROBLEM_NONE : PROBLEM_ORDERS;
    return PROBLEM_UNSUPPORTED;
}

/* A plain file name, short enough for the numbers of its backups. */
static bool is_log_name(const char *name) {
    return *name && *name != '.' && strlen(name) < LOG_NAME && !strchr(name, '/');
}

/* Orders that are well-formed one by one can still make no sense together. */
static bool orders_fit_together(void) {
    for (int i = 0; i < orders.pruned_count; i++)
        if (orders.pruned[i] == orders.run)
            return false;
    bool file = orders.destination == TO_FILE || orders.destination == TO_BOTH;
    return (!file || (orders.log_base && *orders.log_base == '/' && orders.log_dir)) &&
           (!file || !orders.rotate || (orders.log_size && orders.log_backups)) &&
           (orders.group_count < 0 || (orders.uid >= 0 && orders.gid >= 0)) && *orders.arguments[0] == '/' &&
           (!orders.log_file || (orders.respawn && file && is_log_name(orders.log_file))) &&
           (!orders.stop_with_owner || (orders.owner_pid && !orders.respawn)) && !(orders.to_pipe && orders.respawn) &&
           strlen(orders.wake) < sizeof wake_token;
}

/* Everything but `arg` and `env` goes through take_order; those two become the vectors for execve. */
static void take_fields(char *at, char *end, char **argument, char **variable) {
    for (char *field = at; field < end; field += strlen(field) + 1) {
        char *value = strchr(field, '=');
        int problem = PROBLEM_ORDERS;
        if (!value)
            orders.problem = orders.problem ? orders.problem : problem;
        else {
            *value++ = 0;
            if (!strcmp(field, "arg"))
                *argument++ = value, problem = PROBLEM_NONE;
            else if (!strcmp(field, "env") && *value != '=' && strchr(value, '='))
                *variable++ = value, problem = PROBLEM_NONE;
            else if (strcmp(field, "env"))
                problem = take_order(field, value);
            if (problem && orders.problem != PROBLEM_UNSUPPORTED)
                orders.problem = problem;
            field = value;
        }
    }
}

/* Without these four (a pipe needs no inbox) nothing can be started or recorded. */
static void require_essentials(void) {
    const char *missing = NULL;
    if (orders.to_pipe)
        orders.inbox = "pipe"; /* its name where it is spoken of */
    if (!orders.process || strlen(orders.process) >= sizeof process_name)
        missing = "process";
    else if (orders.run < 0)
        missing = "run";
    else if (!orders.inbox || !*orders.inbox || strchr(orders.inbox, '/'))
        missing = "inbox";
    else if (!*orders.arguments)
        missing = "arg";
    for (const char *c = orders.process; !missing && *c; c++)
        if ((unsigned char)*c < ' ')
            missing = "process";
    if (missing)
        give_up(UNUSABLE, "orders lack a usable ", missing, 0);
}

void receive_orders(void) {
    size_t length, fields = 0;
    char *at = read_orders(&length);
    if (length < 2 || at[length - 1] || strcmp(at, "1"))
        give_up(UNUSABLE, "orders are not version 1, or cut short", "", 0);
    for (size_t i = 0; i < length; i++)
        fields += !at[i];
    mapped_size[1] = (2 * fields + 2) * sizeof(char *);
    orders.arguments = mapped[1] = pages(mapped_size[1]);
    if (!orders.arguments)
        give_up(BROKEN, "no memory for the orders", "", ENOMEM);
    orders.environment = orders.arguments + fields + 1;
    take_fields(at + 2, at + length, orders.arguments, orders.environment);
    require_essentials();
    if (!orders.problem && !orders_fit_together())
        orders.problem = PROBLEM_ORDERS;
    orders.process = strcpy(process_name, orders.process);
    if (strlen(orders.wake) < sizeof wake_token)
        orders.wake = strcpy(wake_token, orders.wake);
}

void forget_orders(void) {
    munmap(mapped[0], mapped_size[0]);
    munmap(mapped[1], mapped_size[1]);
    orders.arguments = orders.environment = NULL;
    orders.inbox = orders.cwd = orders.chroot = orders.cgroup = orders.log_base = orders.log_dir = NULL;
}
