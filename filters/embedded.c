/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/embedded.h"

#define PACKS(X) \
    X(request)   \
    X(hosts) X(batch) X(graph) X(exchange) X(sharepoint) X(teams) X(portals) X(tamper) X(optional)

#define PACK_EXTERN(name)                     \
    extern const unsigned char pack_##name[]; \
    extern const size_t pack_##name##_len;
PACKS(PACK_EXTERN)

static const struct {
    const char *file;
    const unsigned char *text;
    const size_t *len;
} packs[] = {
#define PACK_ROW(name) {"filters/packs/" #name ".toml", pack_##name, &pack_##name##_len},
    PACKS(PACK_ROW)
#undef PACK_ROW
};

const size_t embedded_count = ARRAY_LEN(packs);

struct pack_source embedded_pack(size_t at)
{
    return (struct pack_source){
        .text = {(const char *)packs[at].text, *packs[at].len},
        .file = packs[at].file,
    };
}
