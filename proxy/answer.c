/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/answer.h"

#include "common/clock.h"
#include "common/err.h"
#include "proxy/contact.h"
#include "proxy/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

extern const unsigned char page_block_html[], page_error_html[], page_index_html[],
    page_style_css[];
extern const size_t page_block_html_len, page_error_html_len, page_index_html_len,
    page_style_css_len;

static struct str embedded(const unsigned char *data, size_t len)
{
    return str_of((const char *)data, len);
}

struct str page_style(void)
{
    return embedded(page_style_css, page_style_css_len);
}

struct str page_index(void)
{
    return embedded(page_index_html, page_index_html_len);
}

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 407:
        return "Proxy Authentication Required";
    case 408:
        return "Request Timeout";
    case 414:
        return "URI Too Long";
    case 421:
        return "Misdirected Request";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}

void answer_begin(struct exch *ex, unsigned status)
{
    struct buf date = {0};
    ex->res = (struct msg){
        .arena = &ex->arena, .minor = 1, .status = status, .reason = str_z(reason_of(status))};
    clock_http_date(&date, time(NULL));
    answer_field(ex, "Date", buf_view(&date));
    answer_field(ex, "Cache-Control", STR("no-store"));
    buf_free(&date);
}

void answer_field(struct exch *ex, const char *name, struct str value)
{
    msg_add(&ex->res, str_z(name), arena_str(&ex->arena, value));
}

void answer_end(struct exch *ex, const char *type, struct str body)
{
    answer_field(ex, "Content-Type", str_z(type));
    answer_field(ex, "X-Content-Type-Options", STR("nosniff"));
    exch_answer(ex, body);
}

void answer_text(struct exch *ex, unsigned status, const char *text)
{
    struct buf body = {0};
    buf_z(&body, text);
    buf_char(&body, '\n');
    answer_begin(ex, status);
    answer_end(ex, "text/plain; charset=utf-8", buf_view(&body));
    buf_free(&body);
}

/* Crockford's letters: none that are taken for another when read out on the telephone. */
void incident_new(struct incident *out)
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t random[10];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        abort(); /* never short for so few bytes (getrandom(2)) */
    }
    char *at = out->id;
    memcpy(at, "PG-", 3);
    at += 3;
    for (size_t i = 0; i < sizeof(random); i++) {
        if (i == 5) {
            *at++ = '-';
        }
        *at++ = letters[random[i] & 31];
    }
    *at = '\0';
}

/* Does a person look at the answer? Browsers say so since 2020 (Fetch Metadata); else what they
 * accept tells. */
static bool is_navigation(const struct msg *req)
{
    for (unsigned i = 0; i < req->field_count; i++) {
        if (str_ieq(req->fields[i].name, STR("sec-fetch-mode"))) {
            return str_eq(req->fields[i].value, STR("navigate"));
        }
    }
    const struct field *accept = msg_find(req, FIELD_ACCEPT);
    return accept != NULL && str_find(accept->value, STR("text/html")) >= 0;
}

/*
 * A page's script may see the text of a refusal only when the answer says so (Fetch, 3.2.3). Any
 * page that a person has open may provoke one, so it holds nothing that is not for all to know: see
 * is_for_strangers().
 */
static void add_cors(struct exch *ex)
{
    const struct field *origin = msg_find(&ex->req, FIELD_ORIGIN);
    if (origin != NULL && origin->value.len < 1024) {
        answer_field(ex, "Access-Control-Allow-Origin", origin->value);
        answer_field(ex, "Access-Control-Allow-Credentials", STR("true"));
        answer_field(ex, "Access-Control-Expose-Headers",
                     STR("X-Photogate-Incident, X-Photogate-Rule"));
        answer_field(ex, "Vary", STR("Origin"));
    }
}

/* Is the script that asked of a page other than the inspected sites' own? It could be anybody's,
 * and whom the people of this organisation ask for help is what someone who wants to pose as their
 * help desk would like to know. */
static bool is_for_strangers(const struct msg *req, const struct filters *filters)
{
    const struct field *origin = msg_find(req, FIELD_ORIGIN);
    if (origin == NULL) {
        return false;
    }
    return !str_starts(origin->value, STR("https://")) ||
           filters_host(filters, str_skip(origin->value, 8)) == NULL;
}

static void end_page(struct exch *ex, const struct buf *body)
{
    answer_field(
        ex, "Content-Security-Policy",
        STR("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"));
    answer_field(ex, "Referrer-Policy", STR("no-referrer"));
    answer_end(ex, "text/html; charset=utf-8", buf_view(body));
}

struct str answer_letterhead(const struct conf *conf)
{
    return conf->ui.organisation.at.file != NULL ? conf->ui.organisation.text : STR_NONE;
}

static const struct str anybodys_contact = STR_INIT("your IT help desk");

static struct str contact_of(const struct conf *conf)
{
    return conf->ui.contact.text.len > 0 ? conf->ui.contact.text : anybodys_contact;
}

/* "2026-01-31T12:00:00Z" for programs, "2026-01-31 12:00:00 UTC" for people. */
static void put_times(struct buf *machine, struct buf *people)
{
    clock_now_rfc3339(machine);
    machine->len = 19;
    buf_put(people, machine->ptr, 10);
    buf_char(people, ' ');
    buf_put(people, machine->ptr + 11, 8);
    buf_z(people, " UTC");
    buf_char(machine, 'Z');
}

static void put_block_page(struct buf *body, const struct conf *conf, const char *rule,
                           const char *why, struct str host, const struct incident *incident)
{
    struct buf machine = {0}, people = {0}, contact = {0};
    put_times(&machine, &people);
    contact_html(&contact, contact_of(conf), str_z(incident->id));
    const struct template_value values[] = {
        {.name = "style", .value = page_style(), .raw = true},
        {.name = "why", .value = str_z(why)},
        {.name = "organisation", .value = conf->ui.organisation.text},
        {.name = "from", .value = answer_letterhead(conf)},
        {.name = "contact", .value = buf_view(&contact), .raw = true},
        {.name = "incident", .value = str_z(incident->id)},
        {.name = "rule", .value = str_z(rule)},
        {.name = "host", .value = host},
        {.name = "time", .value = buf_view(&people)},
        {.name = "machine-time", .value = buf_view(&machine)},
        {.name = NULL},
    };
    template_fill(body, embedded(page_block_html, page_block_html_len), values);
    buf_free(&machine);
    buf_free(&people);
    buf_free(&contact);
}

/* One sentence with all that a user can act on, for answers without a layout. */
static void put_message(struct buf *out, struct str contact, const struct rule_info *rule,
                        const struct incident *incident)
{
    buf_printf(out, "%s Ask " STR_FMT " and give incident number %s (rule %s).", rule->why,
               STR_ARG(contact), incident->id, rule->id);
}

/* https://learn.microsoft.com/graph/errors: what Graph's own clients show is error.message. */
static void put_graph_error(struct buf *body, struct exch *ex, struct str message,
                            const struct rule_info *rule, const struct incident *incident)
{
    struct buf now = {0};
    struct str request_id = str_z(incident->id);
    for (unsigned i = 0; i < ex->req.field_count; i++) {
        const struct field *f = &ex->req.fields[i];
        if (str_ieq(f->name, STR("client-request-id")) && f->value.len <= 64) {
            request_id = f->value;
        }
    }
    clock_now_rfc3339(&now);
    buf_z(body, "{\"error\":{\"code\":\"accessDenied\",\"message\":");
    buf_json(body, message);
    buf_z(body, ",\"innerError\":{\"code\":\"photoChangeBlocked\",\"rule\":");
    buf_json(body, str_z(rule->id));
    buf_printf(
        body,
        ",\"incident\":\"%s\",\"date\":\"%.19s\",\"request-id\":\"%s\",\"client-request-id\":",
        incident->id, buf_cstr(&now), incident->id);
    buf_json(body, request_id);
    buf_z(body, "}}}");
    buf_free(&now);
}

/* SOAP 1.1, 4.4, with the detail that Exchange's clients read ([MS-OXWSCDATA] 2.2.5). */
static void put_soap_fault(struct buf *body, struct str message)
{
    buf_z(body,
          "<?xml version=\"1.0\" encoding=\"utf-8\"?>"
          "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault>"
          "<faultcode "
          "xmlns:a=\"http://schemas.microsoft.com/exchange/services/2006/"
          "types\">a:ErrorAccessDenied</faultcode>"
          "<faultstring xml:lang=\"en-US\">");
    buf_html(body, message);
    buf_z(body,
          "</faultstring><detail>"
          "<e:ResponseCode "
          "xmlns:e=\"http://schemas.microsoft.com/exchange/services/2006/"
          "errors\">ErrorAccessDenied</e:ResponseCode>"
          "<e:Message xmlns:e=\"http://schemas.microsoft.com/exchange/services/2006/errors\">");
    buf_html(body, message);
    buf_z(body, "</e:Message></detail></s:Fault></s:Body></s:Envelope>");
}

void answer_block(struct exch *ex, const struct snapshot *now, const struct rule_info *rule,
                  struct str host, const struct incident *incident)
{
    struct buf body = {0}, message = {0};
    bool soap = rule->answer == ANSWER_SOAP;
    /* SOAP 1.1, 6.2: a fault travels with 500, and .NET's clients read it only then. */
    answer_begin(ex, soap ? 500 : 403);
    answer_field(ex, "X-Photogate-Incident", str_z(incident->id));
    answer_field(ex, "X-Photogate-Rule", str_z(rule->id));
    if (!soap && is_navigation(&ex->req)) {
        put_block_page(&body, now->conf, rule->id, rule->why, host, incident);
        end_page(ex, &body);
        buf_free(&body);
        return;
    }
    add_cors(ex);
    put_message(&message,
                is_for_strangers(&ex->req, now->filters) ? anybodys_contact : contact_of(now->conf),
                rule, incident);
    if (soap) {
        put_soap_fault(&body, buf_view(&message));
        answer_end(ex, "text/xml; charset=utf-8", buf_view(&body));
    } else {
        put_graph_error(&body, ex, buf_view(&message), rule, incident);
        answer_end(ex, "application/json", buf_view(&body));
    }
    buf_free(&body);
    buf_free(&message);
}

void answer_sample_page(struct exch *ex, const struct conf *conf)
{
    struct buf body = {0};
    static const struct incident sample = {"PG-00000-00000"};
    answer_begin(ex, 200);
    put_block_page(
        &body, conf, "outlook.changephoto-page",
        "Profile photos are set by your organisation; the page for changing one is closed.",
        STR("outlook.office.com"), &sample);
    end_page(ex, &body);
    buf_free(&body);
}

const char *answer_proxy_error(int err, unsigned *status)
{
    static const struct {
        int err;
        unsigned status;
        const char *name;
    } table[] = {
        {ERR_DNS, 502, "dns_error"},
        {ERR_DNS_TIMEOUT, 504, "dns_timeout"},
        {ERR_TIMEOUT, 504, "connection_timeout"},
        {ERR_DENIED, 403, "destination_ip_prohibited"},
        {ERR_CERT, 502, "tls_certificate_error"},
        {ERR_TLS, 502, "tls_protocol_error"},
        {ERR_PROTOCOL, 502, "http_protocol_error"},
        {ERR_EOF, 502, "http_response_incomplete"},
        {ERR_NAME, 502, "destination_not_found"},
        {-ECONNREFUSED, 502, "connection_refused"},
        {-ETIMEDOUT, 504, "connection_timeout"},
        {-EHOSTUNREACH, 502, "destination_ip_unroutable"},
        {-ENETUNREACH, 502, "destination_ip_unroutable"},
        {-ECONNRESET, 502, "connection_terminated"},
        {-EPIPE, 502, "connection_terminated"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].err == err) {
            *status = table[i].status;
            return table[i].name;
        }
    }
    *status = 502;
    return "destination_unavailable";
}

/* RFC 9209, 2: a structured field; the detail is an sf-string (RFC 8941, 3.3.3), visible ASCII
 * only. */
static void add_proxy_status(struct exch *ex, const char *name, const char *detail)
{
    struct buf value = {0};
    buf_printf(&value, "photogate; error=%s; details=\"", name);
    for (const char *c = detail; *c != '\0' && value.len < 400; c++) {
        if (*c == '"' || *c == '\\') {
            buf_char(&value, '\\');
        }
        buf_char(&value, *c >= 0x20 && *c < 0x7f ? *c : '?');
    }
    buf_char(&value, '"');
    answer_field(ex, "Proxy-Status", buf_view(&value));
    buf_free(&value);
}

/* What an error says: "WHAT HOST." and the detail; `advice` begins a sentence that ends with the
 * contact. */
struct error_text {
    const char *title, *what, *advice;
};

/* Without add_cors(): why a name or an address cannot be reached is no page's business. */
static void put_error(struct exch *ex, const struct conf *conf, struct str host, unsigned status,
                      const char *proxy_error, const struct error_text *text, const char *detail)
{
    struct buf body = {0}, machine = {0}, people = {0}, contact = {0}, what = {0}, code = {0};
    answer_begin(ex, status);
    add_proxy_status(ex, proxy_error, detail);
    buf_z(&what, text->what);
    if (host.len > 0) {
        buf_char(&what, ' ');
        buf_str(&what, host);
    } else {
        buf_z(&what, " this address");
    }
    if (!is_navigation(&ex->req)) {
        buf_printf(&body, STR_FMT ": %s\n", STR_ARG(buf_view(&what)), detail);
        answer_end(ex, "text/plain; charset=utf-8", buf_view(&body));
    } else {
        buf_char(&what, '.');
        buf_printf(&code, "%u %s", status, proxy_error);
        put_times(&machine, &people);
        contact_html(&contact, contact_of(conf), STR("photogate"));
        const struct template_value values[] = {
            {.name = "style", .value = page_style(), .raw = true},
            {.name = "title", .value = str_z(text->title)},
            {.name = "what", .value = buf_view(&what)},
            {.name = "host", .value = host},
            {.name = "detail", .value = str_z(detail)},
            {.name = "advice", .value = str_z(text->advice)},
            {.name = "contact", .value = buf_view(&contact), .raw = true},
            {.name = "code", .value = buf_view(&code)},
            {.name = "time", .value = buf_view(&people)},
            {.name = "machine-time", .value = buf_view(&machine)},
            {.name = "organisation", .value = conf->ui.organisation.text},
            {.name = "from", .value = answer_letterhead(conf)},
            {.name = NULL},
        };
        template_fill(&body, embedded(page_error_html, page_error_html_len), values);
        end_page(ex, &body);
    }
    buf_free(&body);
    buf_free(&machine);
    buf_free(&people);
    buf_free(&contact);
    buf_free(&what);
    buf_free(&code);
}

#define NOT_YOURS "If you need this, ask"

void answer_gateway(struct exch *ex, const struct conf *conf, struct str host, int err,
                    const char *detail)
{
    static const struct error_text unreachable = {"The site cannot be reached",
                                                  "The proxy could not get an answer from",
                                                  "Try again in a moment. If this lasts, tell"};
    static const struct error_text prohibited = {"This address is not allowed",
                                                 "The proxy does not connect to", NOT_YOURS};
    unsigned status;
    const char *name = answer_proxy_error(err, &status);
    if (detail == NULL || detail[0] == '\0') {
        detail = err_str(err);
    }
    put_error(ex, conf, host, status, name, status == 403 ? &prohibited : &unreachable, detail);
}

void answer_refusal(struct exch *ex, const struct conf *conf, struct str host, unsigned status,
                    const char *proxy_error, const char *what)
{
    static const struct error_text refused = {"The proxy does not allow this",
                                              "The proxy refuses this request to", NOT_YOURS};
    static const struct error_text busy = {"The proxy is busy",
                                           "The proxy could not handle this request to",
                                           "Try again in a moment. If this lasts, tell"};
    put_error(ex, conf, host, status, proxy_error, status == 503 ? &busy : &refused, what);
}

void answer_challenge(struct exch *ex, const char *what)
{
    struct buf body = {0};
    buf_printf(&body, "%s\n", what);
    answer_begin(ex, 407);
    answer_field(ex, "Proxy-Authenticate", STR("Basic realm=\"photogate\", charset=\"UTF-8\""));
    answer_end(ex, "text/plain; charset=utf-8", buf_view(&body));
    buf_free(&body);
}
