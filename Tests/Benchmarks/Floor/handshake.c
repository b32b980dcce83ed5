/* The answer to Sec-WebSocket-Key, with a SHA-1 for just this one length of input. */
#define _GNU_SOURCE 1
#include <string.h>
#include <strings.h>

#include "floor.h"

enum { KEY_LENGTH = 24, GUID_LENGTH = 36, BLOCK = 64, DIGEST = 20 };

static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static uint32_t rotated(uint32_t value, int by) { return value << by | value >> (32 - by); }

static void expand(const unsigned char *block, uint32_t words[80])
{
    for (int index = 0; index < 16; index++, block += 4)
        words[index] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | block[3];
    for (int index = 16; index < 80; index++)
        words[index] = rotated(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1);
}

static uint32_t mixed(int round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round / 20) {
    case 0:
        return ((b & c) | (~b & d)) + 0x5A827999;
    case 1:
        return (b ^ c ^ d) + 0x6ED9EBA1;
    case 2:
        return ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC;
    default:
        return (b ^ c ^ d) + 0xCA62C1D6;
    }
}

static void digest_block(uint32_t state[5], const unsigned char *block)
{
    uint32_t words[80];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    expand(block, words);
    for (int round = 0; round < 80; round++) {
        uint32_t next = rotated(a, 5) + mixed(round, b, c, d) + e + words[round];
        e = d;
        d = c;
        c = rotated(b, 30);
        b = a;
        a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* Key and GUID are 60 bytes: with SHA-1's padding always two blocks. */
static void digest_key(const char *key, unsigned char digest[DIGEST])
{
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char blocks[2 * BLOCK] = {0};
    int bits = (KEY_LENGTH + GUID_LENGTH) * 8;
    memcpy(blocks, key, KEY_LENGTH);
    memcpy(blocks + KEY_LENGTH, guid, GUID_LENGTH);
    blocks[KEY_LENGTH + GUID_LENGTH] = 0x80;
    blocks[2 * BLOCK - 2] = (unsigned char)(bits >> 8);
    blocks[2 * BLOCK - 1] = (unsigned char)bits;
    digest_block(state, blocks);
    digest_block(state, blocks + BLOCK);
    for (int index = 0; index < DIGEST; index++)
        digest[index] = (unsigned char)(state[index / 4] >> (24 - index % 4 * 8));
}

/* A zero byte behind the digest makes it 21 bytes, 28 digits; the last of them stands for padding. */
static void encode_base64(const unsigned char digest[DIGEST], char text[ACCEPT_LENGTH + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char padded[DIGEST + 1] = {0};
    memcpy(padded, digest, DIGEST);
    for (int from = 0, to = 0; from < DIGEST; from += 3, to += 4) {
        uint32_t group = (uint32_t)padded[from] << 16 | (uint32_t)padded[from + 1] << 8 | padded[from + 2];
        for (int digit = 0; digit < 4; digit++)
            text[to + digit] = digits[group >> (18 - 6 * digit) & 63];
    }
    text[ACCEPT_LENGTH - 1] = '=';
    text[ACCEPT_LENGTH] = '\0';
}

static const char *header_value(const char *head, const char *end, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = head; line != NULL && line < end;) {
        if ((size_t)(end - line) > length && strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *value = line + length + 1;
            while (value < end && (*value == ' ' || *value == '\t'))
                value++;
            return value;
        }
        line = memchr(line, '\n', (size_t)(end - line));
        line = line == NULL ? NULL : line + 1;
    }
    return NULL;
}

bool handshake_accept(const char *head, size_t length, char accept[ACCEPT_LENGTH + 1])
{
    const char *end = head + length;
    const char *key = header_value(head, end, "Sec-WebSocket-Key");
    unsigned char digest[DIGEST];
    if (length < 4 || memcmp(head, "GET ", 4) != 0 || key == NULL || end - key <= KEY_LENGTH)
        return false;
    if (key[KEY_LENGTH] != '\r' && key[KEY_LENGTH] != ' ')
        return false;
    digest_key(key, digest);
    encode_base64(digest, accept);
    return true;
}
