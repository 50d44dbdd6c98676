/* SPDX-License-Identifier: Apache-2.0 */
/* Content codings: each comes off whole and byte by byte, and what is not as it should be is said.
 */
#include "common/cc.h"
#include "filters/decode.h"
#include "tests/unit/check.h"
#include "tests/unit/coder.h"

static bool take(void *ctx, struct str piece)
{
    buf_str(ctx, piece);
    return true;
}

/* Decodes `in` in pieces of `cut` bytes; the fault, or NULL. */
static const char *decoded(enum coding coding, struct str in, size_t cut, struct buf *out)
{
    struct decoder *d = decode_new(coding);
    const char *fault = NULL;
    while (in.len > 0 && fault == NULL) {
        size_t len = MIN(cut, in.len);
        fault = decode_feed(d, str_of(in.ptr, len), take, out);
        in = str_skip(in, len);
    }
    fault = fault == NULL ? decode_end(d) : fault;
    decode_free(d);
    return fault;
}

static const enum coding coding_of[] = {CODING_NONE,    CODING_GZIP, CODING_DEFLATE,
                                        CODING_DEFLATE, CODING_BR,   CODING_ZSTD};

static void test_codings(void **state)
{
    (void)state;
    struct buf text = {0}, coded = {0}, out = {0};
    for (unsigned i = 0; i < 9000; i++) {
        buf_printf(&text, "%u,", i * 2654435761u);
    }
    for (int coder = 0; coder < CODERS; coder++) {
        static const size_t cuts[] = {SIZE_MAX, 1, 7, 4096};
        buf_clear(&coded);
        coder_put(&coded, buf_view(&text), (enum coder)coder);
        for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
            buf_clear(&out);
            assert_null(decoded(coding_of[coder], buf_view(&coded), cuts[i], &out));
            assert_true(str_eq(buf_view(&out), buf_view(&text)));
        }
        if (coder == CODER_NONE) {
            continue;
        }
        /* cut off, and with something behind */
        buf_clear(&out);
        struct str less = str_of(coded.ptr, coded.len - 1);
        assert_non_null(decoded(coding_of[coder], less, SIZE_MAX, &out));
        for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
            buf_char(&coded, 'x');
            assert_non_null(decoded(coding_of[coder], buf_view(&coded), cuts[i], &out));
            coded.len--;
        }
        assert_non_null(decoded(coding_of[coder], buf_view(&text), SIZE_MAX, &out));
    }
    buf_free(&text);
    buf_free(&coded);
    buf_free(&out);
}

/* 64 KiB are free, beyond that 256 times the size. */
static void test_ratio(void **state)
{
    (void)state;
    struct buf text = {0}, coded = {0}, out = {0};
    for (int coder = CODER_GZIP; coder < CODERS; coder++) {
        buf_clear(&text);
        memset(buf_room(&text, 60000), ' ', 60000);
        text.len = 60000;
        buf_clear(&coded);
        coder_put(&coded, buf_view(&text), (enum coder)coder);
        assert_null(decoded(coding_of[coder], buf_view(&coded), SIZE_MAX, &out));
        memset(buf_room(&text, 40 << 20), ' ', 40 << 20);
        text.len = 40 << 20;
        buf_clear(&coded);
        coder_put(&coded, buf_view(&text), (enum coder)coder);
        const char *fault = decoded(coding_of[coder], buf_view(&coded), SIZE_MAX, &out);
        assert_non_null(fault);
        assert_non_null(strstr(fault, "256 times"));
        buf_clear(&out);
    }
    buf_free(&text);
    buf_free(&coded);
    buf_free(&out);
}

/* A stored block whose length reads as a zlib header: 78 01 | 01 fe | fe … */
static void test_two_ways(void **state)
{
    (void)state;
    static const unsigned char both[] = {0x78, 0x01, 0x00, 0xfe, 0xff, 'x'};
    struct buf out = {0};
    const char *fault = decoded(CODING_DEFLATE, str_of((const char *)both, 6), 1, &out);
    assert_non_null(fault);
    assert_non_null(strstr(fault, "two ways"));
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void test_named(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two;
        bool ok;
        enum coding coding;
    } rows[] = {
        {NULL, NULL, true, CODING_NONE},
        {"gzip", NULL, true, CODING_GZIP},
        {" X-GZIP ", NULL, true, CODING_GZIP},
        {"identity", "br", true, CODING_BR},
        {"deflate,", NULL, true, CODING_DEFLATE},
        {"zstd, identity", NULL, true, CODING_ZSTD},
        {"gzip, gzip", NULL, false, 0},
        {"gzip", "br", false, 0},
        {"compress", NULL, false, 0},
        {"gzip;q=1", NULL, false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct filter_field field[] = {{STR("Content-Encoding"), str_z(rows[i].one)},
                                       {STR("content-ENCODING"), str_z(rows[i].two)}};
        struct filter_request r = {.field = field,
                                   .fields = rows[i].one == NULL ? 0
                                             : rows[i].two       ? 2
                                                                 : 1};
        enum coding coding;
        const char *fault = decode_coding(&r, &coding);
        assert_int_equal(fault == NULL, rows[i].ok);
        assert_true(fault != NULL || coding == rows[i].coding);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codings),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_two_ways),
        cmocka_unit_test(test_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
