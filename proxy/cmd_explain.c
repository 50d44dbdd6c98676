/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cmd_explain.h"

#include "common/err.h"
#include "common/file.h"
#include "filters/canon.h"
#include "proxy/explain_case.h"
#include "proxy/explain_jsonl.h"
#include "proxy/filters_load.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <time.h>

#define BODY_BYTES (256u << 20)

static const char help[] =
    "usage: photogate explain METHOD URL [-H 'Name: value']... [options]\n"
    "       photogate explain --jsonl [--config FILE] <requests >verdicts\n"
    "\n"
    "Says what the proxy would do with a request, by which rule, and why.\n"
    "\n"
    "  -H, --header 'Name: value'  a header field of the request; may be repeated\n"
    "  --body FILE                 its body\n"
    "  --as USER                   as if proxy authentication had verified that user\n"
    "  --from IP                   as if it came from that address\n"
    "  --connect HOST[:PORT]       where the connection was asked to go, if not to the URL's host\n"
    "  --sni NAME                  what its ClientHello named\n"
    "  --config FILE               proxy.toml; without it the defaults hold\n"
    "  --json                      one JSON object instead of text\n"
    "  --jsonl                     one request a line on stdin, one verdict a line on stdout:\n"
    "                              "
    "{\"id\",\"method\",\"url\",\"headers\":{},\"body\",\"body_encoding\",\n"
    "                              \"actor\":{\"user\",\"ip\"},\"connect\",\"sni\",\"http\"} "
    "becomes\n"
    "                              {\"id\",\"verdict\",\"rule\",\"why\",\"evidence\",\"bypass\"}\n"
    "\n"
    "Exit status: 0 would pass, 3 would be blocked, 2 wrong usage, configuration or input.\n"
    "Quote a URL that holds a $ in single quotes, or the shell takes it for a variable.\n";

struct options {
    const char *config, *body, *user, *from, *connect, *sni;
    bool json, jsonl;
};

static int usage(const char *what)
{
    fprintf(stderr, "photogate: explain: %s; see photogate explain --help\n", what);
    return 2;
}

static const char *answer_name(enum filter_answer answer)
{
    switch (answer) {
    case ANSWER_GRAPH:
        return "a JSON error as Graph has it";
    case ANSWER_SOAP:
        return "a SOAP fault";
    case ANSWER_PAGE:
        break;
    }
    return "a page for a browser, JSON for a script";
}

static const char *verdict_name(enum verdict_kind kind)
{
    return kind == VERDICT_PASS ? "pass" : kind == VERDICT_BYPASS ? "bypass" : "block";
}

struct explained {
    const struct explain_case *c;
    const struct canon *canon;
    const struct host_entry *host;
    const struct verdict *v;
};

static void put_canonical(struct buf *b, const struct canon *c, size_t reading)
{
    buf_str(b, c->method);
    buf_printf(b, " %s://" STR_FMT, c->tls ? "https" : "http", STR_ARG(c->host));
    if (c->port != (c->tls ? 443u : 80u)) {
        buf_printf(b, ":%u", c->port);
    }
    path_put(b, &c->path.reading[reading]);
}

static void put_line(struct buf *b, const char *name, const char *value)
{
    buf_printf(b, "  %-10s %s\n", name, value);
}

static void put_str(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "  %-10s ", name);
    buf_str(b, value);
    buf_char(b, '\n');
}

static void put_text(struct buf *b, const struct explained *e)
{
    static const char *const heads[] = {"PASSES", "BLOCKED", "BLOCKED", "PASSES (bypass)"};
    const struct verdict *v = e->v;
    struct buf one = {0};
    buf_printf(b, "%s\n", heads[v->kind]);
    if (v->rule != NULL) {
        buf_printf(b, "  %-10s %s (%s:%u)\n", "rule", v->rule->id, v->rule->file, v->rule->line);
        put_line(b, "why", v->rule->why);
        put_str(b, "evidence", v->evidence);
        buf_printf(b, "  %-10s %s, %s, %s\n", "source", v->rule->source,
                   rule_confidence_name(v->rule->confidence), v->rule->date);
        put_line(b, "answer", answer_name(v->rule->answer));
    }
    if (v->kind == VERDICT_BYPASS) {
        put_str(b, "let by", v->bypass);
    }
    for (const struct verdict_item *item = v->item; item != NULL; item = item->next) {
        struct buf text = {0};
        buf_printf(&text, STR_FMT ": %s", STR_ARG(item->id),
                   item->rule != NULL ? item->rule->id : "passes");
        put_str(b, "item", buf_view(&text));
        buf_free(&text);
    }
    if (e->host == NULL) {
        put_line(b, "host", "not on the inspect list: the connection is not opened");
    } else {
        buf_printf(b, "  %-10s " STR_FMT " (%s, %s)\n", "host", STR_ARG(e->host->name),
                   e->host->class, e->host->cloud);
    }
    put_canonical(&one, e->canon, 0);
    put_str(b, "canonical", buf_view(&one));
    for (size_t i = 1; i < e->canon->path.count; i++) {
        buf_clear(&one);
        path_put(&one, &e->canon->path.reading[i]);
        put_str(b, "or read as", buf_view(&one));
    }
    if (e->canon->path.faults != 0) {
        put_line(b, "unreadable", path_fault_text(e->canon->path.faults));
    }
    buf_free(&one);
}

static void put_json(struct buf *b, const struct explained *e)
{
    const struct verdict *v = e->v;
    struct buf canonical = {0};
    put_canonical(&canonical, e->canon, 0);
    buf_printf(b, "{\"verdict\":\"%s\",\"canonical\":", verdict_name(v->kind));
    buf_json(b, buf_view(&canonical));
    buf_printf(b, ",\"write\":%s", e->canon->write ? "true" : "false");
    if (e->canon->path.faults != 0) {
        buf_z(b, ",\"unreadable\":");
        buf_json(b, str_z(path_fault_text(e->canon->path.faults)));
    }
    buf_z(b, ",\"host\":");
    if (e->host == NULL) {
        buf_z(b, "null");
    } else {
        buf_json(b, e->host->name);
    }
    if (v->rule != NULL) {
        const char *const member[][2] = {
            {"rule", v->rule->id},       {"why", v->rule->why},
            {"source", v->rule->source}, {"date", v->rule->date},
            {"file", v->rule->file},     {"confidence", rule_confidence_name(v->rule->confidence)},
        };
        for (size_t i = 0; i < ARRAY_LEN(member); i++) {
            buf_printf(b, ",\"%s\":", member[i][0]);
            buf_json(b, str_z(member[i][1]));
        }
        buf_printf(b, ",\"line\":%u,\"evidence\":", v->rule->line);
        buf_json(b, v->evidence);
    }
    if (v->kind == VERDICT_BYPASS) {
        buf_z(b, ",\"bypass\":");
        buf_json(b, v->bypass);
    }
    explain_items(b, v);
    buf_z(b, "}\n");
    buf_free(&canonical);
}

static int explain_one(const struct filters *f, struct explain_case *c, bool json)
{
    struct canon canon;
    struct buf out = {0};
    explain_case_done(c);
    c->request.now = (int64_t)time(NULL);
    struct verdict v = filters_decide(f, &c->request, &c->actor, c->arena);
    canon_make(&canon, &c->request, c->arena);
    struct explained e = {c, &canon, filters_host(f, canon.host), &v};
    if (json) {
        put_json(&out, &e);
    } else {
        put_text(&out, &e);
    }
    bool written = fwrite(out.ptr, 1, out.len, stdout) == out.len && fflush(stdout) == 0;
    buf_free(&out);
    return !written ? 1 : v.kind == VERDICT_BLOCK || v.kind == VERDICT_NEED_BODY ? 3 : 0;
}

static int read_options(int argc, char **argv, struct options *o, struct explain_case *c)
{
    enum {
        BODY = 256,
        AS,
        FROM,
        CONNECT,
        SNI,
        CONFIG,
        JSON,
        JSONL,
        HELP
    };
    static const struct option options[] = {
        {"header", required_argument, NULL, 'H'},
        {"body", required_argument, NULL, BODY},
        {"as", required_argument, NULL, AS},
        {"from", required_argument, NULL, FROM},
        {"connect", required_argument, NULL, CONNECT},
        {"sni", required_argument, NULL, SNI},
        {"config", required_argument, NULL, CONFIG},
        {"json", no_argument, NULL, JSON},
        {"jsonl", no_argument, NULL, JSONL},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    int option;
    optind = 0;
    while ((option = getopt_long(argc, argv, "H:", options, NULL)) != -1) {
        switch (option) {
        case 'H':
            if (!explain_case_header(c, str_z(optarg))) {
                return usage(c->fault);
            }
            break;
        case BODY:
            o->body = optarg;
            break;
        case AS:
            c->actor.user = str_z(optarg);
            break;
        case FROM:
            if (!explain_case_ip(c, str_z(optarg))) {
                return usage("--from wants an IP address");
            }
            break;
        case CONNECT:
            c->request.connect = str_z(optarg);
            break;
        case SNI:
            c->request.sni = str_z(optarg);
            break;
        case CONFIG:
            o->config = optarg;
            break;
        case JSON:
            o->json = true;
            break;
        case JSONL:
            o->jsonl = true;
            break;
        case HELP:
            return fputs(help, stdout) < 0 ? 1 : -1;
        default:
            return 2; /* getopt has said what is wrong */
        }
    }
    return 0;
}

static int explain_given(const struct filters *f, const struct options *o, struct explain_case *c,
                         char **rest)
{
    struct buf body = {0};
    int status;
    if (!explain_case_url(c, str_z(rest[0]), str_z(rest[1]))) {
        return usage(c->fault);
    }
    if (o->body != NULL) {
        int err = file_read(AT_FDCWD, o->body, BODY_BYTES, &body);
        if (err != 0) {
            fprintf(stderr, "photogate: %s: %s\n", o->body, err_str(err));
            buf_free(&body);
            return 2;
        }
        c->request.body = buf_view(&body);
    }
    status = explain_one(f, c, o->json);
    buf_free(&body);
    return status;
}

int cmd_explain(int argc, char **argv)
{
    struct options o = {0};
    struct arena arena = {0};
    struct explain_case c;
    struct diag d = {0};
    struct filters *f = NULL;
    explain_case_init(&c, &arena);
    int status = read_options(argc, argv, &o, &c);
    if (status == 0 && argc - optind != (o.jsonl ? 0 : 2)) {
        status = usage(o.jsonl ? "--jsonl reads requests from stdin" : "wants METHOD and URL");
    }
    if (status == 0) {
        status = filters_load(o.config, &f, &d) != 0 ? 2 : 0;
        diag_print(&d, "photogate");
    }
    if (status == 0) {
        if (o.jsonl) {
            long errors = explain_jsonl(f, stdin, stdout);
            status = errors < 0 ? 1 : errors > 0 ? 2 : 0;
        } else {
            status = explain_given(f, &o, &c, argv + optind);
        }
    }
    filters_free(f);
    diag_free(&d);
    arena_free(&arena);
    return status < 0 ? 0 : status;
}
