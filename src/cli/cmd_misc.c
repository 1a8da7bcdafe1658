/* completion and man: the verb table for shells and for man(1). */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"
#include <stdio.h>
#include <string.h>

static bool first_row(const struct command *at)
{
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (strcmp(x->noun, at->noun) == 0)
                return x == at;
    return false;
}

static void put_nouns(void)
{
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (first_row(x))
                printf("%s ", x->noun);
}

/* Its verbs; where it stands alone, the words that it takes: "bash|zsh|fish". */
static void put_verbs(const char *noun)
{
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++) {
            if (strcmp(x->noun, noun) != 0)
                continue;
            const char *words = x->verb[0] ? x->verb : strchr(x->arguments, '|') ? x->arguments : "";
            for (; *words; words += *words == '|') {
                size_t n = strcspn(words, "|");
                printf("%.*s ", (int)n, words);
                words += n;
            }
        }
}

static void put_options(const struct command *x)
{
    for (const struct cli_option *o = x->options; o && o->name; o++)
        printf("--%s ", o->name);
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        printf("--%s ", o->name);
}

/* A function that prints the words that may follow $1 (noun) and $2 (verb); bash and zsh read it alike. */
static void put_words(void)
{
    printf("_touchmark_verbs() {\n    case \"$1\" in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (first_row(x)) {
                printf("    %s) echo \"", x->noun);
                put_verbs(x->noun);
                printf("\" ;;\n");
            }
    printf("    '') echo \"");
    put_nouns();
    printf("\" ;;\n    esac\n}\n_touchmark_options() {\n    case \"$1 $2\" in\n");
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++) {
            printf("    '%s %s'%s) echo \"", x->noun, x->verb, x->verb[0] ? "" : "*");
            put_options(x);
            printf("\" ;;\n");
        }
    printf("    esac\n}\n");
}

static void bash(void)
{
    printf(
        "# bash completion for touchmark: source it, or put it into /usr/share/bash-completion/completions/touchmark\n");
    put_words();
    printf("_touchmark() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} noun=${COMP_WORDS[1]} verb=${COMP_WORDS[2]} words\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then words=$(_touchmark_verbs '')\n"
           "    elif [ \"${cur#-}\" != \"$cur\" ]; then words=$(_touchmark_options \"$noun\" \"$verb\")\n"
           "    elif [ \"$COMP_CWORD\" -eq 2 ]; then words=$(_touchmark_verbs \"$noun\")\n"
           "    fi\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
           "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
           "}\n"
           "complete -o filenames -F _touchmark touchmark\n");
}

static void zsh(void)
{
    printf("#compdef touchmark\n");
    put_words();
    printf("_touchmark() {\n"
           "    local cur=${words[CURRENT]} list\n"
           "    if (( CURRENT == 2 )); then list=$(_touchmark_verbs '')\n"
           "    elif [[ $cur == -* ]]; then list=$(_touchmark_options \"${words[2]}\" \"${words[3]}\")\n"
           "    elif (( CURRENT == 3 )); then list=$(_touchmark_verbs \"${words[2]}\")\n"
           "    fi\n"
           "    if [[ -n ${list// /} ]]; then compadd -- ${=list}; else _files; fi\n"
           "}\n"
           "compdef _touchmark touchmark\n");
}

static void put_quoted(const char *s)
{
    for (; *s; s++)
        fputs(*s == '\'' ? "\\'" : (char[]){*s, '\0'}, stdout);
}

static void fish_option(const struct command *x, const struct cli_option *o)
{
    const char *seen = "__fish_seen_subcommand_from";
    printf("complete -c touchmark -n '%s %s", seen, x->noun);
    if (x->verb[0])
        printf("; and %s %s", seen, x->verb);
    printf("' -l %s%s", o->name, o->value ? " -r" : "");
    if (o->letter)
        printf(" -s %c", o->letter);
    printf(" -d '");
    put_quoted(o->help ? o->help : "");
    printf("'\n");
}

static void fish_command(const struct command *x)
{
    if (first_row(x)) {
        printf("complete -c touchmark -n __fish_use_subcommand -a %s -d '", x->noun);
        put_quoted(x->verb[0] ? "" : x->summary);
        printf("'\n");
    }
    if (x->verb[0]) {
        printf(
            "complete -c touchmark -f -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from ",
            x->noun);
        put_verbs(x->noun);
        printf("' -a %s -d '", x->verb);
        put_quoted(x->summary);
        printf("'\n");
    } else if (strchr(x->arguments, '|')) {
        printf("complete -c touchmark -f -n '__fish_seen_subcommand_from %s' -a '", x->noun);
        put_verbs(x->noun);
        printf("'\n");
    }
    for (const struct cli_option *o = x->options; o && o->name; o++)
        fish_option(x, o);
}

static void fish(void)
{
    printf("# fish completion for touchmark: put it into ~/.config/fish/completions/touchmark.fish\n"
           "complete -c touchmark -n __fish_use_subcommand -f\n");
    for (const struct cli_option *o = cli_common_options; o->name; o++) {
        printf("complete -c touchmark -l %s%s -d '", o->name, o->value ? " -r" : "");
        put_quoted(o->help ? o->help : "");
        printf("'\n");
    }
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            fish_command(x);
}

static int completion(struct cli *c)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shells[i].name, c->args[0]) == 0) {
            shells[i].print();
            return 0;
        }
    return cli_usage(c, "there are bash, zsh and fish, not \"%s\"", c->args[0]);
}

/* ---- man ---- */

enum { ROFF_LINE = 60 };

/* Text for roff: no escapes, no control lines, plain hyphens, ASCII, and in text that is filled no long lines. */
static void put_text_roff(const char *s, bool filled)
{
    static const char dots[] = "\xe2\x80\xa6"; /* U+2026 */
    bool line = true;
    size_t column = 0;
    for (; *s; s++) {
        bool dotted = strncmp(s, dots, sizeof dots - 1) == 0;
        if (line && (*s == '.' || *s == '\'' || dotted))
            fputs("\\&", stdout);
        line = *s == '\n' || (filled && *s == ' ' && column > ROFF_LINE);
        column = line ? 0 : column + 1;
        if (line)
            putchar('\n');
        else if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else if (!dotted)
            putchar(*s);
        else if (fputs("...", stdout) >= 0)
            s += sizeof dots - 2;
    }
}

static void put_roff(const char *s)
{
    put_text_roff(s, true);
}

static void man_option(const struct cli_option *o)
{
    printf(".TP\n\\fB");
    if (o->letter)
        printf("\\-%c\\fR, \\fB", o->letter);
    printf("\\-\\-");
    put_roff(o->name);
    printf("\\fR");
    if (o->value)
        printf(" \\fI%s\\fR", o->value);
    putchar('\n');
    put_roff(o->help ? o->help : "");
    putchar('\n');
}

static void man_command(const struct command *x)
{
    printf(".SS \"touchmark %s%s%s %s\"\n", x->noun, x->verb[0] ? " " : "", x->verb,
           x->arguments ? x->arguments : "");
    put_roff(x->summary);
    printf("\n");
    if (x->description && x->description[0]) {
        printf(".PP\n");
        put_roff(x->description);
        printf("\n");
    }
    for (const struct cli_option *o = x->options; o && o->name; o++)
        man_option(o);
    if (x->example && x->example[0]) {
        printf(".PP\n.nf\n");
        put_text_roff(x->example, false);
        printf("\n.fi\n");
    }
}

static int man(struct cli *c)
{
    (void)c;
    printf(
        ".TH TOUCHMARK 1 2026-11-21 \"touchmark %s\"\n.SH NAME\ntouchmark \\- certificates for devices and the enterprise\n"
        ".SH SYNOPSIS\n\\fBtouchmark\\fR \\fINOUN\\fR [\\fIVERB\\fR] [options] [arguments]\n.SH OPTIONS\nEvery command takes these.\n",
        TM_VERSION);
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        man_option(o);
    printf(".SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            man_command(x);
    printf(
        ".SH EXIT STATUS\n0 on success, 1 on a refusal or failure, 2 on wrong usage.\n"
        ".SH ENVIRONMENT\n.TP\nTOUCHMARK_HOME\nthe house's directory\n.TP\nTOUCHMARK_PASSPHRASE_FILE, TOUCHMARK_PASSPHRASE_FD\n"
        "where the passphrase of the keys is read\n");
    return 0;
}

const struct command misc_commands[] = {
    {
        .noun = "completion",
        .verb = "",
        .summary = "completion for a shell, on standard output",
        .arguments = "bash|zsh|fish",
        .example = "touchmark completion bash > /usr/share/bash-completion/completions/touchmark",
        .min_args = 1,
        .max_args = 1,
        .run = completion,
    },
    {
        .noun = "man",
        .verb = "",
        .summary = "the manual page in roff, on standard output",
        .arguments = "",
        .example = "touchmark man | man -l -",
        .run = man,
    },
    {0},
};
