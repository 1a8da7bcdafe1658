/* cli/cli.h - the command line: a verb table, options, help, and how commands print and fail.
 *
 * Layer 6. `touchmark <noun> <verb> [options] [arguments]`. Exit status 0 on success, 1 on a refusal or failure, 2 on wrong usage; errors are one
 * line on stderr that says what to do next. A command is a file or a part of one with a row in its table; cli/commands.c lists the tables. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>

struct arena;

enum cli_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

struct cli_option {
    const char *name;  /* "out": --out */
    char letter;       /* 'O' or 0 */
    const char *value; /* placeholder "FILE"; NULL: a switch */
    const char *help;
    bool many; /* may stand several times */
};

struct cli_value {
    const struct cli_option *option;
    const char *value; /* "" for a switch */
};

struct cli;

struct command {
    const char *noun, *verb; /* verb "" where the noun stands alone */
    const char *summary;     /* one line */
    const char *arguments;   /* "FILE..." or "" */
    const char *description; /* a paragraph or two, plain text */
    const char *example;     /* whole command lines */
    const struct cli_option
        *options; /* ended by a NULL name; the common ones (--home, -o, --help) come by themselves */
    int min_args, max_args; /* max -1: any */
    int (*run)(struct cli *c);
};
/* Tables of all commands, each ended by a NULL noun; the list by NULL. */
extern const struct command *const cli_commands[];

/* One invocation. */
struct cli {
    const struct command *command;
    struct arena *arena;
    const char *home; /* --home, TOUCHMARK_HOME, or what cli_home_default() says */
    enum cli_output output;
    bool output_given;
    const char *tenant; /* --tenant, "default" */
    bool quiet;
    const char **args;
    int n_args;
    struct cli_value *values;
    int n_values;
};

int cli_main(int argc, char **argv);

/* Value of an option, NULL when not given; nth of one that may repeat. */
const char *cli_get(const struct cli *c, const char *option);
const char *cli_get_nth(const struct cli *c, const char *option, int nth);
bool cli_has(const struct cli *c, const char *option);
/* A duration option ("47d"); `otherwise` when absent. Returns false after complaining. */
bool cli_get_duration(const struct cli *c, const char *option, int64_t otherwise, int64_t *ret);
/* A whole number from `min` to `max`; `otherwise`, whatever it is, when absent. Returns false after complaining. */
bool cli_get_number(const struct cli *c, const char *option, int64_t otherwise, int64_t min, int64_t max,
                    int64_t *ret);

/* "touchmark: <message>" on stderr; returns 1, or 2 from cli_usage (which adds where to read more). */
[[gnu::format(printf, 2, 3)]] int cli_fail(const struct cli *c, const char *fmt, ...);
[[gnu::format(printf, 2, 3)]] int cli_usage(const struct cli *c, const char *fmt, ...);
/* The same from an error: message, rule and field where there are such, and what to do next. */
int cli_fail_diag(const struct cli *c, tm_err e, const struct diag *diag, const char *what);

/* Read a whole file ("-": standard input) of at most `max` octets into the arena; complains and returns false on failure. */
bool cli_read_file(struct cli *c, const char *path, size_t max, struct slice *ret);
/* Write atomically ("-" or NULL: standard output). */
bool cli_write_file(struct cli *c, const char *path, struct slice data, unsigned mode);

/* A progress bar on stderr where that is a terminal (one line, at most 10 updates a second), nothing else. */
struct cli_progress {
    const char *what;
    uint64_t total, done;
    uint64_t begun_ns, shown_ns;
    bool on;
};
void cli_progress_begin(struct cli_progress *p, const struct cli *c, const char *what, uint64_t total);
void cli_progress_step(struct cli_progress *p, uint64_t done);
void cli_progress_end(struct cli_progress *p);

/* Print rows as an aligned table: `columns` headings ended by NULL, cells row by row. */
void cli_table(const char *const *columns, const char *const *cells, size_t rows);

/* sd_notify("READY=1") without the library. */
void cli_notify_ready(const char *socket_path);
