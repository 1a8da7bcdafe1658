/* Cores, children, and the product's own server as a child. */
#include "authority/init.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/secret.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STOP_MS = 60000, START_MS = 120000, FAMILY_MAX = 64 };

static cpu_set_t allowed; /* before anything was pinned */

void bench_cores(int *ret_server, int *ret_load)
{
    *ret_server = *ret_load = -1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2)
        return;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &allowed)) {
            *ret_server = *ret_server < 0 ? i : *ret_server;
            *ret_load = i;
        }
}

void bench_pin(int core)
{
    if (core < 0)
        return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)core, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

static void sleep_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* ---- children ---- */

pid_t bench_spawn(char *const argv[], const char *dir, const char *log, int core)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* a bench that is interrupted leaves nothing behind */
    bench_pin(core);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), in = open("/dev/null", O_RDONLY);
    if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
        (dir && chdir(dir) != 0))
        _exit(126);
    execvp(argv[0], argv);
    _exit(127);
}

void bench_stop(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGTERM);
    for (int i = 0; i < STOP_MS / 10; i++) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        sleep_ms(10);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    /* pid (comm) state ppid: the name may hold anything, its bracket is the last. */
    const char *end = strrchr(text, ')');
    return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

static bool among(pid_t pid, const pid_t *v, size_t n)
{
    while (n > 0 && v[n - 1] != pid)
        n--;
    return n > 0;
}

/* The process and all that descend from it, in v: the signer is a grandchild. */
static size_t family(pid_t pid, pid_t v[FAMILY_MAX])
{
    size_t n = 0, before = 0;
    v[n++] = pid;
    while (n != before) {
        DIR *d = opendir("/proc");
        before = n;
        for (struct dirent *e; d && n < FAMILY_MAX && (e = readdir(d));) {
            pid_t p = (pid_t)strtol(e->d_name, NULL, 10);
            if (p > 0 && !among(p, v, n) && among(parent_of(p), v, n))
                v[n++] = p;
        }
        if (d)
            closedir(d);
    }
    return n;
}

double bench_cpu_us(pid_t pid)
{
    pid_t v[FAMILY_MAX];
    double us = 0;
    for (size_t i = 0, n = family(pid, v); i < n; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(v[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            us += (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
    }
    return us;
}

long bench_pss_kib(pid_t pid)
{
    pid_t v[FAMILY_MAX];
    long total = 0;
    for (size_t i = 0, n = family(pid, v); i < n; i++) {
        char path[64], line[128];
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)v[i]);
        FILE *f = fopen(path, "r");
        long kib = 0;
        while (f && fgets(line, sizeof line, f))
            if (strncmp(line, "Pss:", 4) == 0)
                kib = strtol(line + 4, NULL, 10);
        if (f)
            fclose(f);
        if (kib == 0)
            return 0; /* one of them is another's: no sum of a part */
        total += kib;
    }
    return total;
}

/* ---- the house ---- */

const char *bench_directory(struct cli *c)
{
    const char *parent = cli_get(c, "dir");
    char *dir = arena_printf(c->arena, "%s/touchmark-bench-XXXXXX", parent ? parent : "/tmp");
    if (dir && mkdtemp(dir))
        return dir;
    cli_fail(c, "can't make a directory under %s", parent ? parent : "/tmp");
    return NULL;
}

tm_err bench_home(struct cli *c, const char *home, struct diag *diag)
{
    struct stat st;
    char *config = arena_printf(c->arena, "%s/touchmark.yaml", home);
    if (!config)
        return TM_ENOMEM;
    if (stat(config, &st) == 0)
        return TM_OK;
    struct init_config ic = {.home = home, .public_base = "http://pki.example.net", .demo_ports = true};
    struct init_result made;
    return house_init(&made, c->arena, &ic, NULL, NULL, diag);
}

tm_err bench_unlimit(struct cli *c, const char *home, struct diag *diag)
{
    static const char key[] = "requests-per-peer: 200";
    struct slice text;
    char *path = arena_printf(c->arena, "%s/touchmark.yaml", home);
    if (!path || !cli_read_file(c, path, 64 << 10, &text))
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s/touchmark.yaml can't be read", home);
    const uint8_t *at = memmem(text.p, text.n, key, sizeof key - 1);
    if (!at)
        return diag_fail(diag, TM_EINTERNAL, NULL, NULL, "%s does not say \"%s\"", path, key);
    size_t before = (size_t)(at - text.p) + sizeof key - 1 - strlen("200");
    char *changed =
        arena_printf(c->arena, "%.*s0  %.*s", (int)before, (const char *)text.p,
                     (int)(text.n - before - strlen("200")), (const char *)text.p + before + strlen("200"));
    return changed && cli_write_file(c, path, slice_str(changed), 0600)
               ? TM_OK
               : diag_fail(diag, TM_EIO, NULL, NULL, "%s can't be written", path);
}

static bool read_ports(struct bench_server *s, struct cli *c)
{
    char *path = arena_printf(c->arena, "%s/run/ports.json", s->home);
    json_t *doc = path ? json_load_file(path, 0, NULL) : NULL;
    s->enrollment = (int)json_integer_value(json_object_get(doc, "enrollment"));
    s->plain = (int)json_integer_value(json_object_get(doc, "plain"));
    s->admin = (int)json_integer_value(json_object_get(doc, "admin"));
    json_decref(doc);
    return s->enrollment > 0 && s->plain > 0 && s->admin > 0;
}

static bool is_ready(const struct bench_server *s)
{
    struct bench_conn *conn;
    struct diag diag = {0};
    int status = 0;
    if (bench_connect(&conn, s->admin, false, &diag) != TM_OK)
        return false;
    tm_err e = bench_exchange(conn, "GET", "/readyz", "", (struct slice){0}, &status, NULL, &diag);
    bench_conn_free(conn);
    return e == TM_OK && status == 200;
}

tm_err bench_server_start(struct bench_server *s, struct cli *c, const char *home, int core,
                          struct diag *diag)
{
    s->home = home;
    char *ports = arena_printf(c->arena, "%s/run/ports.json", home);
    char *log = arena_printf(c->arena, "%s/bench.log", home);
    char *token = arena_printf(c->arena, "%s/admin/token", home);
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    struct slice text;
    if (!ports || !log || !token || n <= 0)
        return TM_ENOMEM;
    self[n] = '\0';
    unlink(ports);
    if (!cli_read_file(c, token, 4096, &text))
        return diag_fail(diag, TM_EIO, NULL, NULL, "%s can't be read", token);
    text = slice_trim(text);
    s->token = arena_strndup(c->arena, (const char *)text.p, text.n);
    char *home_arg = arena_strdup(c->arena, home);
    if (!s->token || !home_arg)
        return TM_ENOMEM;
    char *argv[] = {self, (char[]){"serve"}, (char[]){"--home"}, home_arg, NULL};
    uint64_t begun = clock_mono_ns();
    s->pid = bench_spawn(argv, NULL, log, core);
    if (s->pid < 0)
        return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "fork: %s", strerror(errno));
    while (!read_ports(s, c) || !is_ready(s)) {
        if (waitpid(s->pid, NULL, WNOHANG) != 0) {
            s->pid = 0;
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the server ended; see %s", log);
        }
        if (clock_mono_ns() - begun > START_MS * 1000000ull)
            return diag_fail(diag, TM_EUNAVAIL, NULL, NULL, "the server is not ready; see %s", log);
        sleep_ms(2);
    }
    s->ready_s = (double)(clock_mono_ns() - begun) / 1e9;
    return TM_OK;
}

void bench_server_stop(struct bench_server *s)
{
    bench_stop(s->pid);
    s->pid = 0;
}
