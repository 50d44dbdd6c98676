/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/constraints.h"

#include "common/err.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

static struct str text_of(const ASN1_STRING *s)
{
    return str_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static bool all_zero(const ASN1_STRING *s)
{
    const unsigned char *p = ASN1_STRING_get0_data(s);
    for (int i = 0; i < ASN1_STRING_length(s); i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

static int read_permitted(const GENERAL_NAME *base, struct constraints *out)
{
    switch (base->type) {
    case GEN_DNS:
        out->dns_limited = true;
        return names_add_constraint(&out->dns, text_of(base->d.dNSName));
    case GEN_IPADD:
        out->ip_limited = true; /* of one family: the other is then refused by most verifiers too */
        return 0;
    case GEN_EMAIL:
        out->email_limited = true;
        return 0;
    case GEN_URI:
        out->uri_limited = true;
        return 0;
    default:
        return 0;
    }
}

static int read_excluded(const GENERAL_NAME *base, struct constraints *out, unsigned *families)
{
    switch (base->type) {
    case GEN_DNS: {
        struct str name = text_of(base->d.dNSName);
        if (name.len == 0) {
            out->dns_limited = true;
            return 0;
        }
        return names_add_constraint(&out->denied, name);
    }
    case GEN_IPADD:
        if (all_zero(base->d.iPAddress)) {
            *families |= ASN1_STRING_length(base->d.iPAddress) == 8 ? 1u : 2u;
        }
        return 0;
    case GEN_EMAIL:
        out->email_limited = out->email_limited || ASN1_STRING_length(base->d.rfc822Name) == 0;
        return 0;
    case GEN_URI:
        out->uri_limited =
            out->uri_limited || ASN1_STRING_length(base->d.uniformResourceIdentifier) == 0;
        return 0;
    default:
        return 0;
    }
}

int constraints_read(const X509 *cert, struct constraints *out)
{
    int critical = -1, err = 0;
    unsigned families = 0;
    *out = (struct constraints){0};
    NAME_CONSTRAINTS *nc = X509_get_ext_d2i(cert, NID_name_constraints, &critical, NULL);
    ERR_clear_error();
    if (nc == NULL) {
        return critical == -1 ? 0 : ERR_SYNTAX; /* -1: there is none */
    }
    out->present = true;
    out->critical = critical == 1;
    for (int i = 0; err == 0 && i < sk_GENERAL_SUBTREE_num(nc->permittedSubtrees); i++) {
        err = read_permitted(sk_GENERAL_SUBTREE_value(nc->permittedSubtrees, i)->base, out);
    }
    for (int i = 0; err == 0 && i < sk_GENERAL_SUBTREE_num(nc->excludedSubtrees); i++) {
        err =
            read_excluded(sk_GENERAL_SUBTREE_value(nc->excludedSubtrees, i)->base, out, &families);
    }
    out->ip_limited = out->ip_limited || families == 3;
    NAME_CONSTRAINTS_free(nc);
    return err != 0 ? ERR_SYNTAX : 0;
}

bool constraints_permit(const struct constraints *c, struct str pattern)
{
    struct str plain = str_skip(pattern, str_starts(pattern, STR("*.")) ? 2 : 0);
    if (c->dns_limited && !names_cover(&c->dns, pattern)) {
        return false;
    }
    for (size_t i = 0; i < c->denied.count; i++) {
        struct str denied = str_z(c->denied.item[i]);
        if (name_within(denied, plain) || (plain.len < pattern.len && name_within(plain, denied))) {
            return false;
        }
    }
    return true;
}

void constraints_free(struct constraints *c)
{
    names_free(&c->dns);
    names_free(&c->denied);
    *c = (struct constraints){0};
}
