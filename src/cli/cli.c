#include "cli/cli.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/help.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { VALUES_MAX = 256, CLI_ARENA_MAX = 512 << 20 };

/* Options that every command takes. */
const struct cli_option cli_common_options[] = {
    {"home", 0, "DIR", "the house's directory (also TOUCHMARK_HOME)", false},
    {"remote", 0, NULL, "at the house of touchmark login, though there is one here", false},
    {"tenant", 0, "NAME", "act in this tenant (\"default\")", false},
    {"output", 'o', "FORM", "table, json or yaml", false},
    {"quiet", 'q', NULL, "no progress", false},
    {"help", 'h', NULL, "show this and leave", false},
    {0},
};

/* ---- saying things ---- */

[[gnu::format(printf, 2, 0)]] static void say(const struct cli *c, const char *fmt, va_list ap)
{
    char line[1024];
    vsnprintf(line, sizeof line, fmt, ap);
    if (c && c->command)
        fprintf(stderr, "touchmark %s%s%s: %s\n", c->command->noun, c->command->verb[0] ? " " : "",
                c->command->verb, line);
    else
        fprintf(stderr, "touchmark: %s\n", line);
}

int cli_fail(const struct cli *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(c, fmt, ap);
    va_end(ap);
    return 1;
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
    char line[900];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (c && c->command)
        cli_fail(c, "%s; see: touchmark %s%s%s --help", line, c->command->noun,
                 c->command->verb[0] ? " " : "", c->command->verb);
    else
        cli_fail(c, "%s; see: touchmark --help", line);
    return 2;
}

static const char *advice(tm_err e)
{
    switch (e) {
    case TM_EBUSY:
        return " - another process works on this home; stop it, or let the running server do it";
    case TM_ELOCKED:
        return " - check the passphrase";
    case TM_EFULL:
        return " - make room, then try again";
    case TM_ECORRUPT:
        return " - see \"touchmark status\", and \"touchmark restore\" for a backup";
    case TM_ENOMEM:
        return " - out of memory";
    default:
        return "";
    }
}

int cli_fail_diag(const struct cli *c, tm_err e, const struct diag *diag, const char *what)
{
    const char *message = diag && diag->message[0] ? diag->message : tm_err_name(e);
    char where[192] = "";
    if (diag && diag->rule[0] && diag->field[0])
        snprintf(where, sizeof where, " (%s, %s)", diag->rule, diag->field);
    else if (diag && (diag->rule[0] || diag->field[0]))
        snprintf(where, sizeof where, " (%s%s)", diag->rule, diag->field);
    return cli_fail(c, "%s%s%s%s%s", what ? what : "", what ? ": " : "", message, where, advice(e));
}

/* ---- options ---- */

static const struct cli_option *find_in(const struct cli_option *o, const char *name, size_t n, char letter)
{
    for (; o && o->name; o++)
        if ((name && strlen(o->name) == n && memcmp(o->name, name, n) == 0) ||
            (letter && o->letter == letter))
            return o;
    return NULL;
}

static const struct cli_option *find_option(const struct command *cmd, const char *name, size_t n,
                                            char letter)
{
    const struct cli_option *o = find_in(cmd->options, name, n, letter);
    return o ? o : find_in(cli_common_options, name, n, letter);
}

const char *cli_get_nth(const struct cli *c, const char *option, int nth)
{
    for (int i = 0; i < c->n_values; i++)
        if (strcmp(c->values[i].option->name, option) == 0 && nth-- == 0)
            return c->values[i].value;
    return NULL;
}

const char *cli_get(const struct cli *c, const char *option)
{
    return cli_get_nth(c, option, 0);
}

bool cli_has(const struct cli *c, const char *option)
{
    return cli_get(c, option) != NULL;
}

bool cli_get_duration(const struct cli *c, const char *option, int64_t otherwise, int64_t *ret)
{
    const char *s = cli_get(c, option);
    *ret = otherwise;
    if (!s || duration_parse(ret, slice_str(s)) == TM_OK)
        return true;
    cli_usage(c, "--%s: \"%s\" is not a duration; write 30m, 36h, 47d, 1y or never", option, s);
    return false;
}

bool cli_get_number(const struct cli *c, const char *option, int64_t otherwise, int64_t min, int64_t max,
                    int64_t *ret)
{
    const char *s = cli_get(c, option);
    *ret = otherwise;
    if (!s)
        return true;
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    *ret = n;
    if (*end == '\0' && end != s && errno == 0 && n >= min && n <= max)
        return true;
    if (max == INT64_MAX)
        cli_usage(c, "--%s takes a number from %" PRId64 ", not \"%s\"", option, min, s);
    else
        cli_usage(c, "--%s takes a number from %" PRId64 " to %" PRId64 ", not \"%s\"", option, min, max, s);
    return false;
}

static int add_value(struct cli *c, const struct cli_option *o, const char *value)
{
    if (!o->many && cli_has(c, o->name))
        return cli_usage(c, "--%s stands twice", o->name);
    if (c->n_values == VALUES_MAX)
        return cli_usage(c, "too many options");
    c->values[c->n_values++] = (struct cli_value){o, value};
    return 0;
}

/* --name, --name=value, --name value, -x, -x value; "--" ends options; "-" is an argument. */
static int parse(struct cli *c, int argc, char **argv)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (!options || a[0] != '-' || a[1] == '\0') {
            c->args[c->n_args++] = a;
            continue;
        }
        if (strcmp(a, "--") == 0) {
            options = false;
            continue;
        }
        const char *value = NULL;
        const struct cli_option *o;
        if (a[1] == '-') {
            size_t n = strcspn(a + 2, "=");
            o = find_option(c->command, a + 2, n, 0);
            if (a[2 + n] == '=')
                value = a + 2 + n + 1;
        } else {
            o = find_option(c->command, NULL, 0, a[1]);
            if (a[2])
                value = a + 2;
        }
        if (!o)
            return cli_usage(c, "there is no option %s", a);
        if (!o->value && value)
            return cli_usage(c, "--%s takes no value", o->name);
        if (o->value && !value) {
            if (i + 1 == argc)
                return cli_usage(c, "--%s needs a value: %s", o->name, o->value);
            value = argv[++i];
        }
        int bad = add_value(c, o, value ? value : "");
        if (bad)
            return bad;
    }
    return 0;
}

static const char *cli_home_default(struct arena *a)
{
    const char *env = getenv("TOUCHMARK_HOME");
    if (env && env[0])
        return env;
    if (access("/var/lib/touchmark/touchmark.yaml", F_OK) == 0)
        return "/var/lib/touchmark";
    const char *home = getenv("HOME");
    if (!home || !home[0]) {
        const struct passwd *pw = getpwuid(getuid());
        home = pw ? pw->pw_dir : "/";
    }
    return arena_printf(a, "%s/.touchmark", home);
}

static int adopt_common(struct cli *c)
{
    c->home = cli_get(c, "home");
    if (!c->home)
        c->home = cli_home_default(c->arena);
    if (!c->home)
        return cli_fail(c, "out of memory");
    c->tenant = cli_get(c, "tenant");
    if (!c->tenant)
        c->tenant = "default";
    if (!name_valid(slice_str(c->tenant)))
        return cli_usage(c, "--tenant: \"%s\" is not a name", c->tenant);
    c->quiet = cli_has(c, "quiet");
    const char *form = cli_get(c, "output");
    c->output_given = form != NULL;
    if (!form || strcmp(form, "table") == 0)
        c->output = OUTPUT_TABLE;
    else if (strcmp(form, "json") == 0)
        c->output = OUTPUT_JSON;
    else if (strcmp(form, "yaml") == 0)
        c->output = OUTPUT_YAML;
    else
        return cli_usage(c, "-o takes table, json or yaml, not \"%s\"", form);
    return 0;
}

/* ---- the verb table ---- */

static const struct command *find_command(const char *noun, const char *verb)
{
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (strcmp(x->noun, noun) == 0 && strcmp(x->verb, verb) == 0)
                return x;
    return NULL;
}

static bool noun_known(const char *noun)
{
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (strcmp(x->noun, noun) == 0)
                return true;
    return false;
}

static int run(struct cli *c, int argc, char **argv)
{
    c->args = arena_calloc(c->arena, (size_t)argc + 1, sizeof *c->args);
    c->values = arena_calloc(c->arena, VALUES_MAX, sizeof *c->values);
    if (!c->args || !c->values)
        return cli_fail(c, "out of memory");
    int bad = parse(c, argc, argv);
    if (!bad && cli_has(c, "help")) {
        help_command(c->command);
        return 0;
    }
    if (!bad)
        bad = adopt_common(c);
    if (bad)
        return bad;
    if (c->n_args < c->command->min_args)
        return cli_usage(c, "needs %s", c->command->arguments);
    for (int i = 0; i < c->n_args; i++)
        if (c->args[i][0] == '\0') /* a variable that was not set, mostly: no name is empty */
            return cli_usage(c, "argument %d is empty; it takes %s", i + 1, c->command->arguments);
    if (c->command->max_args >= 0 && c->n_args > c->command->max_args)
        return cli_usage(c, "too many arguments, beginning with \"%s\"", c->args[c->command->max_args]);
    return c->command->run(c);
}

static bool is_help(const char *s)
{
    return strcmp(s, "--help") == 0 || strcmp(s, "-h") == 0 || strcmp(s, "help") == 0;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        help_overview(stderr);
        return 2;
    }
    if (is_help(argv[1]) && argc == 2) {
        help_overview(stdout);
        return 0;
    }
    if (strcmp(argv[1], "help") == 0) { /* help cert issue */
        char option[] = "--help";
        char *asked[] = {argv[0], argv[2], argc > 3 ? argv[3] : option, option, NULL};
        return cli_main(argc > 3 ? 4 : 3, asked);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("touchmark %s\n", TM_VERSION);
        return 0;
    }
    const char *noun = argv[1];
    const char *verb = argc > 2 && argv[2][0] != '-' ? argv[2] : "";
    const struct command *cmd = find_command(noun, verb);
    int used = 3;
    if (!cmd || !verb[0]) {
        const struct command *alone = find_command(noun, "");
        if (alone) {
            cmd = alone;
            used = 2;
        }
    }
    if (!cmd && noun_known(noun)) {
        if (verb[0] && !is_help(verb)) {
            help_unknown_verb(noun, verb);
            return 2;
        }
        bool asked = argc > 2;
        help_noun(asked ? stdout : stderr, noun);
        return asked ? 0 : 2;
    }
    if (!cmd) {
        help_unknown(noun);
        return 2;
    }
    struct cli c = {.command = cmd, .arena = arena_new(CLI_ARENA_MAX)};
    if (!c.arena)
        return cli_fail(NULL, "out of memory");
    int status = run(&c, argc - used, argv + used);
    cli_call_close(&c);
    arena_free(c.arena);
    if (fflush(stdout) != 0 && status == 0) {
        fprintf(stderr, "touchmark: standard output: %s\n", strerror(errno));
        status = 1;
    }
    return status;
}

/* ---- files ---- */

bool cli_read_file(struct cli *c, const char *path, size_t max, struct slice *ret)
{
    bool in = strcmp(path, "-") == 0;
    int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        cli_fail(c, "%s: %s", path, strerror(errno));
        return false;
    }
    struct buf b;
    buf_init(&b, max + 1);
    bool ok = true;
    for (;;) {
        uint8_t chunk[65536];
        ssize_t n = read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            cli_fail(c, "%s: %s", path, strerror(errno));
            ok = false;
        }
        if (n <= 0)
            break;
        buf_put(&b, chunk, (size_t)n);
        if (buf_err(&b) != TM_OK)
            break;
    }
    if (ok && (b.n > max || buf_err(&b) != TM_OK)) {
        cli_fail(c, "%s is larger than %zu bytes", path, max);
        ok = false;
    }
    if (ok && arena_copy(ret, c->arena, buf_slice(&b)) != TM_OK) {
        cli_fail(c, "out of memory");
        ok = false;
    }
    buf_done(&b);
    if (!in)
        close(fd);
    return ok;
}

bool cli_write_file(struct cli *c, const char *path, struct slice data, unsigned mode)
{
    if (!path || strcmp(path, "-") == 0) {
        if (fwrite(data.p, 1, data.n, stdout) == data.n)
            return true;
        cli_fail(c, "standard output: %s", strerror(errno));
        return false;
    }
    char *tmp = arena_printf(c->arena, "%s.tmp.%d", path, (int)getpid());
    if (!tmp) {
        cli_fail(c, "out of memory");
        return false;
    }
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0 && fd_write_all(fd, data) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        ok = false;
    if (ok && rename(tmp, path) != 0)
        ok = false;
    if (!ok) {
        cli_fail(c, "%s: %s", path, strerror(errno));
        unlink(tmp);
    }
    return ok;
}

void cli_notify_ready(const char *socket_path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = strlen(socket_path);
    if (n == 0 || n >= sizeof sa.sun_path)
        return;
    memcpy(sa.sun_path, socket_path, n);
    if (sa.sun_path[0] == '@')
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    static const char ready[] = "READY=1";
    if (sendto(fd, ready, sizeof ready - 1, MSG_NOSIGNAL, (struct sockaddr *)&sa,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        fprintf(stderr, "touchmark: NOTIFY_SOCKET: %s\n", strerror(errno));
    close(fd);
}
