/* discover pcap: certificates that servers showed in recorded traffic. */
#include "base/arena.h"
#include "base/digest.h"
#include "cli/commands.h"
#include "cli/discover_report.h"
#include "discover/capture.h"
#include "discover/streams.h"
#include "inventory/place.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 << 10, MET_MAX = 1 << 20 };

struct reading {
    struct discover_report *report;
    struct streams *streams;
    const char *file;
    uint8_t (*met)[16]; /* what was reported already: beginnings of hashes, open addressing */
    size_t n_met, cap;
    bool go_on;
    struct streams_counts counts;
};

/* The same at the same place again? A busy server shows its certificate a million times. */
static bool met_before(struct reading *r, const char *place, struct slice der)
{
    uint8_t hash[SHA256_LEN];
    static const uint8_t none[16];
    const struct slice parts[] = {slice_str(place), SLICE_LIT("\0"), der};
    if (sha256_many(hash, parts, 3) != TM_OK || r->n_met >= r->cap / 2)
        return false;
    size_t at = ((size_t)hash[0] << 16 | (size_t)hash[1] << 8 | hash[2]) % r->cap;
    for (; memcmp(r->met[at], none, sizeof none) != 0; at = (at + 1) % r->cap)
        if (memcmp(r->met[at], hash, sizeof none) == 0)
            return true;
    memcpy(r->met[at], hash, sizeof none);
    r->n_met++;
    return false;
}

static const char *protocol_name(int version)
{
    return version == 0x0303   ? "TLSv1.2"
           : version == 0x0302 ? "TLSv1.1"
           : version == 0x0301 ? "TLSv1"
           : version == 0x0300 ? "SSLv3"
                               : "";
}

static void on_certs(void *arg, const struct stream_certs *c)
{
    struct reading *r = arg;
    struct arena *a = arena_new(16 << 10);
    bool v6 = strchr(c->server, ':') != NULL;
    const char *place = !a ? NULL
                        : c->of_client
                            ? arena_printf(a, "pcap:%s/client/%s", r->file, c->client)
                            : arena_printf(a, "pcap:%s/%s%s%s:%d%s%s", r->file, v6 ? "[" : "", c->server,
                                           v6 ? "]" : "", c->server_port, c->name[0] ? "/" : "", c->name);
    const char *details =
        place ? arena_printf(
                    a, "{\"protocol\":\"%s\",\"server\":\"%s\",\"port\":%d,\"name\":\"%s\",\"starttls\":%s}",
                    protocol_name(c->version), c->server, c->server_port, c->name,
                    c->starttls ? "true" : "false")
              : NULL;
    if (!details)
        r->go_on = false;
    else if (r->go_on && !met_before(r, place, c->chain[0]))
        r->go_on = discover_add(r->report, place, c->at, details, c->chain, c->n_chain);
    arena_free(a);
}

static void on_packet(void *arg, int link, int64_t at, struct slice data)
{
    struct reading *r = arg;
    streams_packet(r->streams, link, at, data);
}

static bool read_packets(struct reading *r, int fd, struct diag *diag)
{
    struct capture c;
    uint8_t *piece = malloc(PIECE);
    tm_err e = piece ? TM_OK : TM_ENOMEM;
    capture_init(&c, on_packet, r);
    while (e == TM_OK && r->go_on) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            e = diag_fail(diag, TM_EIO, NULL, "file", "%s", strerror(errno));
        if (n <= 0)
            break;
        e = capture_feed(&c, slice_of(piece, (size_t)n), diag);
    }
    if (e == TM_OK && r->go_on)
        e = capture_end(&c, diag);
    capture_done(&c);
    free(piece);
    return e == TM_OK;
}

/* The file's name as a place has it: its last part, in plain characters. */
static const char *plain_name(struct arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = arena_strdup(a, slash ? slash + 1 : path);
    for (char *s = name; s && *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == '#')
            *s = '_';
    return name && name[0] ? name : "capture";
}

/* False: it makes no sense to go on. */
static bool read_file(struct reading *r, const char *path)
{
    struct cli *c = r->report->c;
    struct diag diag = {0};
    bool in = strcmp(path, "-") == 0;
    int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    r->report->total++;
    if (fd < 0) {
        r->report->failed++;
        cli_fail(c, "%s: %s", path, strerror(errno));
        return true;
    }
    r->file = in ? "stdin" : plain_name(c->arena, path);
    bool ok = streams_new(&r->streams, on_certs, r) == TM_OK && read_packets(r, fd, &diag);
    if (!in)
        close(fd);
    if (r->streams)
        streams_counts_get(r->streams, &r->counts);
    streams_free(r->streams);
    r->streams = NULL;
    r->report->done++;
    r->report->answered += r->counts.chains > 0;
    if (!ok) { /* what came before the damage counts all the same */
        r->report->failed++;
        cli_fail(c, "%s: %s", path, diag.message[0] ? diag.message : "out of memory");
    }
    if (!c->quiet)
        fprintf(
            stderr,
            "%s: %llu packets, %llu connections, %llu with TLS (%llu of them 1.3, whose certificates are encrypted)\n",
            path, (unsigned long long)r->counts.packets, (unsigned long long)r->counts.connections,
            (unsigned long long)r->counts.tls, (unsigned long long)r->counts.tls13);
    return r->go_on;
}

static int pcap(struct cli *c)
{
    struct discover_report report;
    struct reading r = {.report = &report, .go_on = true, .cap = 2 * (size_t)MET_MAX};
    json_t *files = json_array();
    r.met = calloc(r.cap, sizeof *r.met);
    if (!r.met || !files) {
        free(r.met);
        json_decref(files);
        return cli_fail(c, "out of memory");
    }
    for (int i = 0; i < c->n_args; i++)
        json_array_append_new(files, json_string(c->args[i]));
    int status = 1;
    if (discover_begin(&report, c, "pcap", json_pack("{s:o}", "files", files))) {
        bool go_on = true;
        for (int i = 0; i < c->n_args && go_on; i++)
            go_on = read_file(&r, c->args[i]);
        bool bad = report.failed > 0;
        status = discover_end(&report, go_on ? NULL : "it ended early");
        status = status == 0 && bad ? 1 : status;
    }
    free(r.met);
    return status;
}

static const struct cli_option pcap_options[] = {
    {"dry-run", 0, NULL, "show what is there and report nothing", false},
    REMOTE_OPTIONS,
    {0},
};

const struct command discover_pcap_commands[] = {
    {
        .noun = "discover",
        .verb = "pcap",
        .summary = "find certificates in recorded traffic",
        .arguments = "FILE...",
        .description =
            "pcap and pcapng files, as tcpdump and Wireshark write them. TLS up to 1.2 shows certificates in the clear, also after STARTTLS:\n"
            "servers' become places pcap:FILE/ADDRESS:PORT[/NAME], clients' pcap:FILE/client/ADDRESS. TLS 1.3 encrypts them.",
        .example = "touchmark discover pcap office.pcapng\n"
                   "tcpdump -w - 'tcp port 443' -c 100000 | touchmark discover pcap -",
        .options = pcap_options,
        .min_args = 1,
        .max_args = 1000,
        .run = pcap,
    },
    {0},
};
