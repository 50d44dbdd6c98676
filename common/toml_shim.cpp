// SPDX-License-Identifier: Apache-2.0
// The only C++ in the project: toml++ is the one well-kept TOML library in both Debian 12 and 13.
// Built without exceptions and RTTI; nothing of the C++ runtime is needed beyond what it inlines and operator new.
// toml++ asserts, and with NDEBUG lets the compiler assume, what a malformed file can make false ("[" and a control
// character); the code behind those asserts copes, so they are left out.
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 1
#include "common/toml_shim.h"

#include <toml++/toml.h>

#include <sstream>

namespace
{

enum { TABLE, ARRAY, STRING, INTEGER, FLOAT, BOOLEAN, DATE };

unsigned place(toml::source_index at)
{
    return static_cast<unsigned>(at);
}

void walk(const toml::node &node, const toml::key *key, const toml_walker *w)
{
    toml_event e = {};
    std::string text;
    e.line = place(node.source().begin.line);
    e.column = place(node.source().begin.column);
    e.key_line = e.line;
    e.key_column = e.column;
    if (key != nullptr) {
        e.key = key->data();
        e.key_len = key->length();
        e.key_line = place(key->source().begin.line);
        e.key_column = place(key->source().begin.column);
    }
    if (const toml::table *t = node.as_table()) {
        e.kind = TABLE;
        e.one_line = t->is_inline();
        w->enter(w->ctx, &e);
        for (const auto &[k, v] : *t)
            walk(v, &k, w);
        w->leave(w->ctx);
        return;
    }
    if (const toml::array *a = node.as_array()) {
        e.kind = ARRAY;
        w->enter(w->ctx, &e);
        for (const toml::node &v : *a)
            walk(v, nullptr, w);
        w->leave(w->ctx);
        return;
    }
    if (const auto *s = node.as_string()) {
        e.kind = STRING;
        e.string = s->get().data();
        e.string_len = s->get().size();
    } else if (const auto *i = node.as_integer()) {
        e.kind = INTEGER;
        e.integer = i->get();
    } else if (const auto *f = node.as_floating_point()) {
        e.kind = FLOAT;
        e.real = f->get();
    } else if (const auto *b = node.as_boolean()) {
        e.kind = BOOLEAN;
        e.boolean = b->get();
    } else {
        std::ostringstream out;
        e.kind = DATE;
        if (const auto *d = node.as_date())
            out << *d;
        else if (const auto *c = node.as_time())
            out << *c;
        else if (const auto *dt = node.as_date_time())
            out << *dt;
        text = out.str();
        e.string = text.data();
        e.string_len = text.size();
    }
    w->enter(w->ctx, &e);
    w->leave(w->ctx);
}

} // namespace

extern "C" void toml_shim_walk(const char *text, size_t len, const toml_walker *w)
{
    toml::parse_result result = toml::parse(std::string_view(text, len));
    if (!result) {
        const toml::parse_error &err = result.error();
        std::string_view what = err.description();
        w->fail(w->ctx, place(err.source().begin.line), place(err.source().begin.column), what.data(), what.size());
        return;
    }
    walk(result.table(), nullptr, w);
}
