#include "authority/init.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/yaml.h"
#include "identity/user.h"
#include "issue/house.h"
#include "policy/profile.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INVITE_SECONDS = 2 * 86400, NAMES_MAX = 64, ANCHORS_MAX = 4 << 20, PERCENT = 100 };

struct making {
    struct cli *cli;
    char invite[USER_INVITE_TEXT];
    struct cli_progress bar;
    struct secret passphrase, root_passphrase;
};

static void on_progress(void *arg, int percent, const char *step)
{
    struct making *m = arg;
    if (m->bar.on && percent > 0)
        cli_progress_step(&m->bar, (uint64_t)percent);
    (void)step;
}

/* The administrator's way in, once: whoever holds the token has no need of it, and it ends by itself. */
static tm_err invite_admin(void *arg, struct house *h, struct diag *diag)
{
    struct making *m = arg;
    struct user u;
    int64_t until;
    TM_TRY(house_reload(h, diag));
    TM_TRY(user_ensure(&u, m->cli->arena, h, TENANT_HOUSE, "admin", diag));
    return invite_make(m->invite, m->cli->arena, h, TENANT_HOUSE, "admin", INVITE_SECONDS, "init", &until,
                       diag);
}

/* Asked twice on a terminal; without one, and without another source, one is generated. */
static bool ask_twice(struct cli *c, struct secret *ret, bool *ret_given)
{
    struct diag diag = {0};
    struct secret again = {0};
    *ret_given = false;
    tm_err e = secret_prompt(ret, "Passphrase for the keys (at least 8 characters): ", &diag);
    if (e == TM_OK)
        e = secret_prompt(&again, "The same again: ", &diag);
    bool same = e == TM_OK && slice_eq(secret_slice(ret), secret_slice(&again));
    secret_done(&again);
    if (e != TM_OK)
        cli_fail_diag(c, e, &diag, "the passphrase");
    else if (!same)
        cli_fail(c, "the two differ; begin again");
    *ret_given = same;
    return same;
}

static bool read_secret(struct cli *c, struct secret *ret, const char *path)
{
    struct diag diag = {0};
    tm_err e = secret_read_file(ret, path, &diag);
    if (e != TM_OK)
        cli_fail_diag(c, e, &diag, NULL);
    return e == TM_OK;
}

static bool choose_passphrases(struct making *m, struct init_config *ic)
{
    struct cli *c = m->cli;
    const char *file = cli_get(c, "passphrase-file"), *root = cli_get(c, "root-passphrase-file");
    if (!file && !cli_has(c, "generate-passphrase"))
        file = getenv("TOUCHMARK_PASSPHRASE_FILE");
    if (file && cli_has(c, "generate-passphrase")) {
        cli_usage(c, "--passphrase-file and --generate-passphrase exclude each other");
        return false;
    }
    if (file && file[0]) {
        char *real = realpath(file, NULL);
        ic->passphrase_file = arena_strdup(c->arena, real ? real : file);
        free(real);
        if (!read_secret(c, &m->passphrase, file))
            return false;
        ic->passphrase = &m->passphrase;
    } else if (!cli_has(c, "generate-passphrase") && isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        bool given;
        if (!ask_twice(c, &m->passphrase, &given))
            return false;
        ic->passphrase = &m->passphrase;
    }
    if (root) {
        if (!read_secret(c, &m->root_passphrase, root))
            return false;
        ic->root_passphrase = &m->root_passphrase;
    }
    return true;
}

static bool fill(struct making *m, struct init_config *ic)
{
    struct cli *c = m->cli;
    *ic = (struct init_config){
        .home = c->home,
        .organization = cli_get(c, "organization"),
        .public_base = cli_get(c, "public-base"),
        .origin = cli_get(c, "origin"),
        .root_key = cli_get(c, "root-key"),
        .ca_key = cli_get(c, "ca-key"),
        .demo_ports = cli_has(c, "demo-ports"),
        .also = invite_admin,
        .also_arg = m,
    };
    const char **names = arena_calloc(c->arena, NAMES_MAX, sizeof *names);
    if (!names)
        return false;
    size_t n = 0;
    for (const char *s; n < NAMES_MAX && (s = cli_get_nth(c, "server-name", (int)n)); n++)
        names[n] = s;
    ic->server_names = names;
    ic->n_server_names = n;
    const char *anchors = cli_get(c, "factory-anchors");
    if (anchors && !cli_read_file(c, anchors, ANCHORS_MAX, &ic->factory_anchors))
        return false;
    return choose_passphrases(m, ic);
}

/* Copies for reading and changing; the house itself has them as resources. */
static bool write_profiles(struct cli *c, const char *home)
{
    for (const struct ready_profile *p = ready_profiles; p->name; p++) {
        json_t *doc = NULL;
        struct diag diag = {0};
        tm_err e = json_parse(&doc, slice_str(p->json), YAML_TEXT_MAX, &diag);
        if (e != TM_OK) {
            cli_fail_diag(c, e, &diag, p->name);
            return false;
        }
        struct buf b;
        buf_init(&b, YAML_TEXT_MAX);
        buf_printf(
            &b,
            "# A copy for reading. To change the profile: edit it, then touchmark apply -f profiles/%s.yaml\n",
            p->name);
        yaml_dump(&b, doc);
        json_decref(doc);
        const char *path = arena_printf(c->arena, "%s/profiles/%s.yaml", home, p->name);
        bool ok = path && buf_err(&b) == TM_OK && cli_write_file(c, path, buf_slice(&b), 0644);
        buf_done(&b);
        if (!ok)
            return false;
    }
    return true;
}

static void print_json(const struct init_result *r, const char *invite)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "home", r->home, "config", r->config_file,
                          "public_base", r->public_base, "origin", r->origin, "root_fingerprint",
                          r->root_fingerprint, "root_bundle", r->root_bundle ? r->root_bundle : "",
                          "admin_token_file", r->admin_token_file ? r->admin_token_file : "");
    if (o)
        json_object_set_new(o, "invite", json_string(invite));
    if (o && r->register_vkey)
        json_object_set_new(o, "register_vkey", json_string(r->register_vkey));
    if (o)
        json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
}

static const char listening_everywhere[] =
    "Listeners          8443 (TLS: enrollment, API) and 8080 (plain HTTP: CRLs, CA certificates) will listen on every address\n"
    "                   of this machine, console and metrics on 127.0.0.1: change listen: in touchmark.yaml\n";
static const char listening_local[] =
    "Listeners          on 127.0.0.1 and free ports, which run/ports.json names\n";

static void print_result(const struct init_result *r, const char *invite, const char *console,
                         const char *listening, bool assumed_base, bool next)
{
    printf("A house in %s\n\n", r->home);
    printf("Root fingerprint (SHA-256)\n  %s\n\nAuthorities\n", r->root_fingerprint);
    for (size_t i = 0; i < sizeof r->authorities / sizeof *r->authorities; i++) {
        if (!r->authorities[i].name)
            continue;
        char until[21] = "never";
        if (r->authorities[i].not_after < TM_TIME_NEVER)
            clock_format_rfc3339(until, r->authorities[i].not_after);
        printf("  %-12s %s, expires %.10s\n", r->authorities[i].name, r->authorities[i].subject, until);
    }
    printf("\nPublic base        %s\nRegister           %s\nAdmin token        %s\n", r->public_base,
           r->origin, r->admin_token_file ? r->admin_token_file : "");
    printf(
        "First sign-in      %s/#/welcome?invite=%s\n                   good once, within two days; another: "
        "touchmark user invite admin\n",
        console, invite);
    if (r->passphrase_file)
        printf("Passphrase         %s\n", r->passphrase_file);
    if (r->root_bundle)
        printf(
            "Root key           %s\n                   carry it away, and keep its passphrase elsewhere%s%s\n",
            r->root_bundle, r->root_passphrase_file ? ": " : "",
            r->root_passphrase_file ? r->root_passphrase_file : "");
    if (assumed_base)
        printf(
            "\nPublic base is this machine's own name, since --public-base was not given. It stands in every certificate:\n"
            "if others can't reach the machine by it, begin again with --public-base in an empty directory.\n");
    printf("\n%s", listening);
    if (!next)
        return;
    printf("\nNext\n");
    for (size_t i = 0; i < sizeof r->next / sizeof *r->next; i++)
        if (r->next[i])
            printf("  %s\n", r->next[i]);
}

static int init(struct cli *c)
{
    struct making m = {.cli = c};
    struct init_config ic;
    struct init_result result = {0};
    struct diag diag = {0};
    int status = 1;
    log_configure(LOG_ERROR, LOG_AUTO);
    if (fill(&m, &ic)) {
        cli_progress_begin(&m.bar, c, "Making the house", PERCENT);
        tm_err e = house_init(&result, c->arena, &ic, on_progress, &m, &diag);
        if (e == TM_OK)
            m.bar.done = PERCENT;
        cli_progress_end(&m.bar);
        status = e == TM_OK ? 0 : cli_fail_diag(c, e, &diag, NULL);
    }
    secret_done(&m.passphrase);
    secret_done(&m.root_passphrase);
    if (status == 0 && !write_profiles(c, result.home))
        status = 1;
    if (status == 0 && c->output == OUTPUT_JSON)
        print_json(&result, m.invite);
    else if (status == 0)
        print_result(&result, m.invite,
                     cli_has(c, "demo-ports") ? "https://localhost:(console port)" : "https://localhost:9443",
                     cli_has(c, "demo-ports") ? listening_local : listening_everywhere,
                     !cli_has(c, "public-base") && !cli_has(c, "demo-ports"), !cli_has(c, "no-next"));
    return status;
}

static const struct cli_option init_options[] = {
    {"public-base", 0, "URL",
     "plain http:// address of CRLs and CA certificates; stands in every certificate", false},
    {"organization", 0, "NAME", "O of the CAs' names", false},
    {"server-name", 0, "NAME", "further DNS name or IP address of the server's certificate", true},
    {"factory-anchors", 0, "FILE", "PEM: CAs of birth certificates that devices bring along", false},
    {"passphrase-file", 0, "FILE", "passphrase of the keys", false},
    {"generate-passphrase", 0, NULL, "make one up and keep it in the home (0400)", false},
    {"root-passphrase-file", 0, "FILE", "passphrase of the offline root's bundle; generated without", false},
    {"origin", 0, "NAME", "the register's name; never changes", false},
    {"root-key", 0, "TYPE", "key type of the root (ec-p384)", false},
    {"ca-key", 0, "TYPE", "key type of the issuing CAs (ec-p256)", false},
    {"no-next", 0, NULL, "leave out what to do next, for scripts that go on by themselves", false},
    {"demo-ports", 0, NULL, "listeners on free loopback ports, written to run/ports.json", false},
    {0},
};

const struct command init_commands[] = {
    {
        .noun = "init",
        .verb = "",
        .summary = "make a house in an empty directory",
        .arguments = "",
        .description =
            "Makes an offline root, the authorities issuing-ca and device-ca, the ready profiles, endpoints, the register and\n"
            "an administrator. Nothing that exists is ever overwritten. Without a passphrase source it asks on a terminal, and\n"
            "makes one up elsewhere.",
        .example =
            "touchmark init --home /var/lib/touchmark --public-base http://pki.example.org --organization \"Example Corp\"",
        .options = init_options,
        .run = init,
    },
    {0},
};
