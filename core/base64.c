/* Base64: three bytes are four characters. */
#include "core/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_length(size_t n)
{
    return (n + 2) / 3 * 4;
}

void base64_encode(char *out, const uint8_t *bytes, size_t n)
{
    for (; n; out += 4) {
        size_t taken = n < 3 ? n : 3;
        uint32_t bits = (uint32_t)bytes[0] << 16 | (uint32_t)(taken > 1 ? bytes[1] : 0) << 8 | (uint32_t)(taken > 2 ? bytes[2] : 0);
        out[0] = alphabet[bits >> 18];
        out[1] = alphabet[bits >> 12 & 63];
        out[2] = taken > 1 ? alphabet[bits >> 6 & 63] : '=';
        out[3] = taken > 2 ? alphabet[bits & 63] : '=';
        bytes += taken;
        n -= taken;
    }
}

size_t base64_most(size_t length)
{
    return length / 4 * 3;
}

static int value_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(uint8_t *out, size_t *n, const char *text, size_t length)
{
    *n = 0;
    if (length % 4)
        return false;
    for (size_t i = 0; i < length; i += 4) {
        bool last = i + 4 == length;
        int padding = last && text[i + 3] == '=' ? 1 + (text[i + 2] == '=') : 0;
        uint32_t bits = 0;
        for (int k = 0; k < 4; k++) {
            int value = k >= 4 - padding ? 0 : value_of(text[i + (size_t)k]);
            if (value < 0)
                return false;
            bits = bits << 6 | (uint32_t)value;
        }
        if ((padding == 1 && bits & 0xff) || (padding == 2 && bits & 0xffff))
            return false;
        for (int k = 0; k < 3 - padding; k++)
            out[(*n)++] = (uint8_t)(bits >> (16 - 8 * k));
    }
    return true;
}
