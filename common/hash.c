/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hash.h"

#include <stdlib.h>
#include <sys/random.h>

static uint64_t key[2];

void hash_init(void)
{
    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
        abort(); /* the kernel gives small amounts whole or not at all (getrandom(2)) */
    }
}

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

static void sip_bytes(struct sip *s, struct str in)
{
    uint64_t word;
    while (in.len >= 8) {
        memcpy(&word, in.ptr, 8);
        sip_word(s, word);
        in = str_skip(in, 8);
    }
    word = 0;
    if (in.len > 0) {
        memcpy(&word, in.ptr, in.len);
    }
    sip_word(s, word | (uint64_t)in.len << 56);
}

static struct sip sip_start(void)
{
    return (struct sip){key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                        key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
}

static uint64_t sip_end(struct sip *s)
{
    s->c ^= 0xff;
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->a ^ s->b ^ s->c ^ s->d;
}

uint64_t hash_str(struct str s)
{
    struct sip state = sip_start();
    sip_bytes(&state, s);
    return sip_end(&state);
}

uint64_t hash_str2(struct str a, struct str b)
{
    struct sip state = sip_start();
    sip_bytes(&state, a);
    sip_bytes(&state, b);
    return sip_end(&state);
}
