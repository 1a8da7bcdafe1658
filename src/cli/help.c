#include "cli/help.h"
#include "cli/cli.h"
#include <string.h>

enum { WIDTH_MIN = 24 };

static bool first_of_noun(size_t table, const struct command *at)
{
    for (size_t i = 0; i <= table; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++) {
            if (x == at)
                return true;
            if (strcmp(x->noun, at->noun) == 0)
                return false;
        }
    return true;
}

static void print_row(FILE *f, const struct command *x)
{
    char head[80];
    snprintf(head, sizeof head, "%s%s%s", x->noun, x->verb[0] ? " " : "", x->verb);
    fprintf(f, "  %-*s %s\n", WIDTH_MIN, head, x->summary);
}

static void print_noun(FILE *f, const char *noun)
{
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (strcmp(x->noun, noun) == 0)
                print_row(f, x);
}

void help_overview(FILE *f)
{
    fprintf(f,
            "touchmark %s - certificates for devices and the enterprise\n\n"
            "Usage: touchmark NOUN [VERB] [options] [arguments]\n\n",
            TM_VERSION);
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (first_of_noun(i, x))
                print_noun(f, x->noun);
    fprintf(f, "\nA house is made with \"touchmark init\" and run with \"touchmark serve\".\n"
               "More on a command: touchmark NOUN VERB --help\n");
}

void help_noun(FILE *f, const char *noun)
{
    fprintf(f, "Usage: touchmark %s VERB [options] [arguments]\n\n", noun);
    print_noun(f, noun);
    fprintf(f, "\nMore on a command: touchmark %s VERB --help\n", noun);
}

static void print_option(const struct cli_option *o)
{
    char head[80];
    char letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(head, sizeof head, "%s--%s%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "", o->many ? " ..." : "");
    if (strlen(head) > WIDTH_MIN + 4)
        printf("  %s\n  %*s %s\n", head, WIDTH_MIN + 4, "", o->help ? o->help : "");
    else
        printf("  %-*s %s\n", WIDTH_MIN + 4, head, o->help ? o->help : "");
}

void help_command(const struct command *c)
{
    printf("Usage: touchmark %s%s%s [options]%s%s\n\n%s\n", c->noun, c->verb[0] ? " " : "", c->verb,
           c->arguments && c->arguments[0] ? " " : "", c->arguments ? c->arguments : "", c->summary);
    if (c->description && c->description[0])
        printf("\n%s\n", c->description);
    if (c->options && c->options->name) {
        printf("\nOptions:\n");
        for (const struct cli_option *o = c->options; o->name; o++)
            print_option(o);
    }
    printf("\nCommon options:\n");
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        print_option(o);
    if (!c->example || !c->example[0])
        return;
    printf("\nExample:\n  ");
    for (const char *p = c->example; *p; p++)
        printf(*p == '\n' ? "\n  " : "%c", *p);
    putchar('\n');
}

/* Levenshtein, for words of a command line. */
static unsigned distance(const char *a, const char *b)
{
    enum { WORD_MAX = 32 };
    size_t na = strlen(a), nb = strlen(b);
    if (na >= WORD_MAX || nb >= WORD_MAX)
        return WORD_MAX;
    unsigned row[WORD_MAX + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

/* How many letters may be wrong for a word to be worth a guess, and one more. */
static unsigned guess_below(const char *word)
{
    size_t n = strlen(word) / 2 + 1;
    return n < 4 ? (unsigned)n : 4;
}

void help_unknown_verb(const char *noun, const char *verb)
{
    const char *nearest = NULL;
    unsigned best = guess_below(verb);
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++) {
            unsigned d = strcmp(x->noun, noun) == 0 && x->verb[0] ? distance(verb, x->verb) : best;
            if (d < best) {
                best = d;
                nearest = x->verb;
            }
        }
    if (nearest)
        fprintf(stderr, "touchmark: there is no \"%s %s\"; did you mean \"%s %s\"?\n", noun, verb, noun,
                nearest);
    else
        fprintf(stderr, "touchmark: there is no \"%s %s\"; see: touchmark %s --help\n", noun, verb, noun);
}

void help_unknown(const char *noun)
{
    const char *nearest = NULL;
    unsigned best = guess_below(noun);
    const struct command *verb = NULL; /* "issue" for "cert issue", where one noun alone has it */
    unsigned nouns = 0;
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++)
            if (strcmp(x->verb, noun) == 0 && ++nouns)
                verb = x;
    if (nouns == 1) {
        fprintf(stderr, "touchmark: there is no command \"%s\"; did you mean \"%s %s\"?\n", noun, verb->noun,
                verb->verb);
        return;
    }
    for (size_t i = 0; cli_commands[i]; i++)
        for (const struct command *x = cli_commands[i]; x->noun; x++) {
            unsigned d = distance(noun, x->noun);
            if (d < best) {
                best = d;
                nearest = x->noun;
            }
        }
    if (nearest)
        fprintf(stderr, "touchmark: there is no command \"%s\"; did you mean \"%s\"?\n", noun, nearest);
    else
        fprintf(stderr, "touchmark: there is no command \"%s\"; see: touchmark --help\n", noun);
}
