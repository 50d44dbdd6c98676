/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/pack.h"

#include "common/err.h"

const char *const portal_settings[] = {"user-blades", "writes", "all", NULL};
const char *const pack_clouds[] = {"world", "gcc-high", "dod", "china", NULL};

static const char *const confidences[] = {"documented", "seen", "inferred", NULL};
const char *rule_confidence_name(enum rule_confidence confidence)
{
    return confidences[confidence];
}

static const char *const answers[] = {"page", "graph", "soap", NULL};
static const char *const facts[] = {"none", "unreadable", "port", "host", "sni", NULL};
static const char *const unsures[] = {"block", "pass", NULL};
static const char *const bearers[] = {"no", "alone", "only", NULL};
static const char *const profiles[] = {"standard", "light", NULL};

static size_t children(const struct toml_node *node)
{
    size_t n = 0;
    for (const struct toml_node *c = node->child; c != NULL; c = c->next) {
        n++;
    }
    return n;
}

/* True, or a fault: `value` is a list, and `what` says of what. */
static bool is_list(struct schema_reader *r, const struct toml_node *value, const char *what)
{
    if (value->kind == TOML_ARRAY) {
        return true;
    }
    diag_error(r->diag, toml_at(r->doc, value), "%s wants %s, not %s", value->key.ptr, what,
               toml_kind_name(value->kind));
    return false;
}

static void read_date(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct schema_str *out = member;
    if (value->kind != TOML_DATE || value->string.len != 10) {
        diag_error(r->diag, toml_at(r->doc, value), "date wants a date such as 2026-11-23");
        return;
    }
    *out = (struct schema_str){.text = arena_str(r->arena, value->string)};
}

static void read_methods(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct rule_when *w = member;
    if (value->kind == TOML_STRING && str_eq(value->string, STR("write"))) {
        w->methods = METHODS_WRITE;
    } else if (value->kind == TOML_STRING && str_eq(value->string, STR("any"))) {
        w->methods = METHODS_ANY;
    } else if (value->kind == TOML_ARRAY && value->child != NULL) {
        w->methods = METHODS_LIST;
        w->method.item = arena_zalloc(r->arena, children(value) * sizeof(*w->method.item));
        for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
            if (schema_string(r, c, &w->method.item[w->method.count])) {
                w->method.count++;
            }
        }
    } else {
        diag_error(r->diag, toml_at(r->doc, value),
                   "methods is \"write\", \"any\" or a list such as [\"PUT\", \"DELETE\"]");
    }
}

static void read_conds(struct schema_reader *r, const struct toml_node *value,
                       struct rule_conds *out, char separator, const char *form)
{
    if (!is_list(r, value, "a list of strings")) {
        return;
    }
    out->item = arena_zalloc(r->arena, children(value) * sizeof(*out->item));
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct schema_str text;
        struct str rest, name;
        if (!schema_string(r, c, &text)) {
            continue;
        }
        rest = arena_lower(r->arena, text.text);
        if (!str_cut(&rest, separator, &name) || rest.ptr == NULL || str_trim(name).len == 0) {
            diag_error(r->diag, text.at, "\"%s\" is no condition; write %s", text.text.ptr, form);
            continue;
        }
        out->item[out->count++] =
            (struct rule_cond){.name = str_trim(name), .pattern = str_trim(rest)};
    }
}

static void read_query(struct schema_reader *r, const struct toml_node *value, void *member)
{
    read_conds(r, value, member, '=', "\"name=pattern\"");
}

static void read_header(struct schema_reader *r, const struct toml_node *value, void *member)
{
    read_conds(r, value, member, ':', "\"name: pattern\"");
}

/* A list of settings of [filters] portal, as bits. */
static void read_portal(struct schema_reader *r, const struct toml_node *value, void *member)
{
    unsigned *out = member;
    if (!is_list(r, value, "a list of settings of [filters] portal")) {
        return;
    }
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct schema_str name;
        unsigned i = 0;
        if (!schema_string(r, c, &name)) {
            continue;
        }
        while (portal_settings[i] != NULL && !str_eq(name.text, str_z(portal_settings[i]))) {
            i++;
        }
        if (portal_settings[i] == NULL) {
            diag_error(r->diag, name.at, "there is no portal setting \"%s\"", name.text.ptr);
        } else {
            *out |= 1u << i;
        }
    }
}

static void read_words(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct owner_words *out = member;
    if (!is_list(r, value, "a list of words")) {
        return;
    }
    out->item = arena_zalloc(r->arena, children(value) * sizeof(*out->item));
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct schema_str word;
        if (schema_string(r, c, &word)) {
            struct str text = arena_lower(r->arena, word.text);
            out->item[out->count++] = (struct owner_word){.hash = path_hash(text), .text = text};
        }
    }
    owner_words_sort(out);
}

/* A string whose name has no other meaning than itself. */
#define WHEN_FIELDS(base)                                                              \
    {.key = "methods", .kind = SCHEMA_CUSTOM, .offset = (base), .read = read_methods}, \
        {.key = "path",                                                                \
         .kind = SCHEMA_STRINGS,                                                       \
         .offset = (base) + offsetof(struct rule_when, path)},                         \
        {.key = "query",                                                               \
         .kind = SCHEMA_CUSTOM,                                                        \
         .offset = (base) + offsetof(struct rule_when, query),                         \
         .read = read_query},                                                          \
        {.key = "header",                                                              \
         .kind = SCHEMA_CUSTOM,                                                        \
         .offset = (base) + offsetof(struct rule_when, header),                        \
         .read = read_header},                                                         \
    {                                                                                  \
        .key = "owner", .kind = SCHEMA_STRING,                                         \
        .offset = (base) + offsetof(struct rule_when, owner_name)                      \
    }

static const struct schema_field when_fields[] = {WHEN_FIELDS(0), {.key = NULL}};

/*
 * The tables of a list, each by `fields` into an element of `size`; `first` is copied into each
 * before. Returns the elements and their number.
 */
static void *read_tables(struct schema_reader *r, const struct toml_node *value, const char *path,
                         const struct schema_field *fields, size_t size, const void *first,
                         size_t *count)
{
    *count = 0;
    if (!is_list(r, value, "tables in double brackets")) {
        return NULL;
    }
    char *out = arena_zalloc(r->arena, children(value) * size);
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        if (c->kind != TOML_TABLE) {
            diag_error(r->diag, toml_at(r->doc, c), "[[%s]] is a table", path);
            continue;
        }
        memcpy(out + *count * size, first, size);
        int err = schema_read(r, c, path, fields, out + *count * size);
        (void)err; /* counted in the diag */
        ++*count;
    }
    return out;
}

static void read_whens(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct rule *rule = member;
    static const struct rule_when first;
    rule->whens_given = true;
    rule->when =
        read_tables(r, value, "rule.when", when_fields, sizeof(first), &first, &rule->whens);
}

#define STRING_FIELD(type, name, member)                                              \
    {                                                                                 \
        .key = (name), .kind = SCHEMA_STRING, .offset = offsetof(struct type, member) \
    }
#define STRINGS_FIELD(type, name, member)                                              \
    {                                                                                  \
        .key = (name), .kind = SCHEMA_STRINGS, .offset = offsetof(struct type, member) \
    }
#define ENUM_FIELD(type, name, member, list)                                         \
    {                                                                                \
        .key = (name), .kind = SCHEMA_ENUM, .offset = offsetof(struct type, member), \
        .names = (list)                                                              \
    }
#define BOOL_FIELD(type, name, member)                                              \
    {                                                                               \
        .key = (name), .kind = SCHEMA_BOOL, .offset = offsetof(struct type, member) \
    }

static const struct schema_field rule_fields[] = {
    STRING_FIELD(rule, "id", id),
    STRING_FIELD(rule, "why", why),
    STRING_FIELD(rule, "source", source),
    {.key = "date",
     .kind = SCHEMA_CUSTOM,
     .offset = offsetof(struct rule, date),
     .read = read_date},
    ENUM_FIELD(rule, "confidence", confidence, confidences),
    ENUM_FIELD(rule, "answer", answer, answers),
    ENUM_FIELD(rule, "fact", fact, facts),
    BOOL_FIELD(rule, "bypass", bypass),
    STRINGS_FIELD(rule, "hosts", hosts),
    WHEN_FIELDS(offsetof(struct rule, own)),
    {.key = "when", .kind = SCHEMA_CUSTOM, .offset = 0, .read = read_whens},
    STRING_FIELD(rule, "inspect", inspect),
    STRINGS_FIELD(rule, "act", act),
    ENUM_FIELD(rule, "unsure", unsure, unsures),
    STRING_FIELD(rule, "spare", spare),
    {.key = "portal",
     .kind = SCHEMA_CUSTOM,
     .offset = offsetof(struct rule, portal),
     .read = read_portal},
    {.key = "hold",
     .kind = SCHEMA_SIZE,
     .offset = offsetof(struct rule, hold),
     .min = 1024,
     .max = 256 << 20},
    STRINGS_FIELD(rule, "block", block),
    STRINGS_FIELD(rule, "pass", pass),
    {.key = NULL},
};

static const struct schema_field relay_fields[] = {
    STRING_FIELD(relay, "id", id),
    STRING_FIELD(relay, "source", source),
    STRINGS_FIELD(relay, "hosts", hosts),
    STRINGS_FIELD(relay, "path", own.path),
    STRINGS_FIELD(relay, "url", url),
    STRING_FIELD(relay, "method", method),
    {.key = NULL},
};

static const struct schema_field class_fields[] = {
    STRING_FIELD(host_class, "name", name),
    STRING_FIELD(host_class, "what", what),
    BOOL_FIELD(host_class, "photo", photo),
    BOOL_FIELD(host_class, "cookies", cookies),
    BOOL_FIELD(host_class, "drives", drives),
    ENUM_FIELD(host_class, "bearer", bearer, bearers),
    {.key = NULL},
};

static const struct schema_field host_fields[] = {
    STRINGS_FIELD(host_fact, "names", names),
    STRINGS_FIELD(host_fact, "tenant", tenant),
    STRINGS_FIELD(host_fact, "no_tenant", no_tenant),
    STRING_FIELD(host_fact, "class", class_name),
    ENUM_FIELD(host_fact, "cloud", cloud, pack_clouds),
    ENUM_FIELD(host_fact, "profile", profile, profiles),
    STRING_FIELD(host_fact, "optional", optional),
    BOOL_FIELD(host_fact, "open", open),
    {.key = "portal",
     .kind = SCHEMA_CUSTOM,
     .offset = offsetof(struct host_fact, portal),
     .read = read_portal},
    STRING_FIELD(host_fact, "source", source),
    {.key = NULL},
};

#define WORDS_FIELD(name)                                                            \
    {                                                                                \
        .key = #name, .kind = SCHEMA_CUSTOM, .offset = offsetof(struct owner, name), \
        .read = read_words                                                           \
    }

static void read_owner_name(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct schema_str name;
    if (schema_string(r, value, &name)) {
        *(struct str *)member = name.text;
    }
}

static const struct schema_field owner_fields[] = {
    {.key = "name",
     .kind = SCHEMA_CUSTOM,
     .offset = offsetof(struct owner, name),
     .read = read_owner_name},
    WORDS_FIELD(property),
    WORDS_FIELD(people),
    WORDS_FIELD(person),
    WORDS_FIELD(others),
    WORDS_FIELD(other),
    WORDS_FIELD(many),
    {.key = NULL},
};

static void read_rules(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct pack *p = member;
    static const struct rule first = {
        .confidence = -1, .bypass = true, .on = true, .hold = 4u << 20};
    p->rules.item =
        read_tables(r, value, "rule", rule_fields, sizeof(first), &first, &p->rules.count);
    const struct toml_node *c = p->rules.item != NULL ? value->child : NULL;
    for (size_t i = 0; i < p->rules.count && c != NULL; c = c->next) {
        if (c->kind == TOML_TABLE) { /* a rule that has no id still has a place */
            struct rule *rule = &p->rules.item[i++];
            rule->info.file = p->file;
            rule->info.line = c->line;
        }
    }
}

static void read_relays(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct pack *p = member;
    static const struct relay first;
    p->relays.item =
        read_tables(r, value, "relay", relay_fields, sizeof(first), &first, &p->relays.count);
}

static void read_classes(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct pack *p = member;
    static const struct host_class first = {.photo = true, .cookies = true};
    p->classes.item =
        read_tables(r, value, "class", class_fields, sizeof(first), &first, &p->classes.count);
}

static void read_hosts(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct pack *p = member;
    static const struct host_fact first = {.open = true};
    p->hosts.item =
        read_tables(r, value, "host", host_fields, sizeof(first), &first, &p->hosts.count);
}

static void read_owners(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct pack *p = member;
    static const struct owner first;
    p->owners.item =
        read_tables(r, value, "owner", owner_fields, sizeof(first), &first, &p->owners.count);
}

static const struct schema_field pack_fields[] = {
    STRING_FIELD(pack, "pack", name),
    {.key = "rule", .kind = SCHEMA_CUSTOM, .offset = 0, .read = read_rules},
    {.key = "relay", .kind = SCHEMA_CUSTOM, .offset = 0, .read = read_relays},
    {.key = "class", .kind = SCHEMA_CUSTOM, .offset = 0, .read = read_classes},
    {.key = "host", .kind = SCHEMA_CUSTOM, .offset = 0, .read = read_hosts},
    {.key = "owner", .kind = SCHEMA_CUSTOM, .offset = 0, .read = read_owners},
    {.key = NULL},
};

static struct diag_at rule_at(const struct rule *rule)
{
    return (struct diag_at){.file = rule->info.file, .line = rule->info.line, .column = 1};
}

static bool is_id(struct str id)
{
    bool dot = false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        dot |= c == '.';
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) {
            return false;
        }
    }
    return dot && id.len <= 64;
}

static bool is_bare(const struct rule_when *w)
{
    return w->path.count == 0 && w->query.count == 0 && w->header.count == 0 &&
           w->owner_name.text.len == 0;
}

static void check_rule(struct rule *rule, struct diag *d)
{
    struct diag_at at = rule_at(rule);
    const char *missing = rule->id.text.len == 0       ? "id"
                          : rule->why.text.len == 0    ? "why"
                          : rule->source.text.len == 0 ? "source"
                          : rule->date.text.len == 0   ? "date"
                          : rule->confidence < 0       ? "confidence"
                          : rule->block.count == 0     ? "block"
                          : rule->hosts.count == 0     ? "hosts"
                                                       : NULL;
    if (missing != NULL) {
        diag_error(d, at, "[[rule]] has no %s", missing);
        return;
    }
    if (!is_id(rule->id.text)) {
        diag_error(d, rule->id.at,
                   "\"%s\" is no id; write words of a-z 0-9 - with a dot between, such as "
                   "\"graph.user-photo\"",
                   rule->id.text.ptr);
    }
    if (rule->fact != FACT_NONE) {
        if (rule->whens_given || !is_bare(&rule->own)) {
            diag_error(d, at, "a rule about a fact has no path, query, header or owner");
        }
        return;
    }
    if (rule->whens_given && !is_bare(&rule->own)) {
        diag_error(d, at, "conditions stand in the rule or in its [[rule.when]], not in both");
        return;
    }
    if (!rule->whens_given) {
        rule->when = &rule->own;
        rule->whens = 1;
    }
    for (size_t i = 0; i < rule->whens; i++) {
        struct rule_when *w = &rule->when[i];
        if (w->methods == METHODS_UNSET) {
            w->methods = rule->own.methods;
            w->method = rule->own.method;
        }
        w->rule = rule;
        if (w->path.count == 0) {
            diag_error(d, at, "a rule needs a path; \"**\" is every one");
        } else if (w->methods == METHODS_UNSET) {
            diag_error(d, at, "a rule needs methods: \"write\", \"any\" or a list");
        }
    }
}

static void fill_info(struct rule *rule)
{
    rule->info.id = rule->id.text.ptr;
    rule->info.why = rule->why.text.ptr;
    rule->info.source = rule->source.text.ptr;
    rule->info.date = rule->date.text.ptr;
    rule->info.confidence = (enum rule_confidence)MAX(rule->confidence, 0);
    rule->info.answer = (enum filter_answer)rule->answer;
}

int pack_read(struct pack *p, struct str text, const char *file, struct arena *a, struct diag *d)
{
    struct toml_doc *doc;
    const unsigned before = d->errors;
    *p = (struct pack){.file = arena_strz(a, str_z(file))};
    int err = toml_parse(text, file, &doc, d);
    if (err != 0) {
        return err;
    }
    struct schema_reader r = {.doc = doc, .arena = a, .diag = d};
    err = schema_read(&r, toml_root(doc), "", pack_fields, p);
    if (err == 0 && p->name.text.len == 0) {
        diag_error(d, DIAG_FILE(p->file), "has no name; write pack = \"…\" on top");
    }
    for (size_t i = 0; i < p->rules.count; i++) {
        check_rule(&p->rules.item[i], d);
        fill_info(&p->rules.item[i]);
    }
    toml_free(doc);
    return d->errors > before ? ERR_CONFIG : 0;
}
