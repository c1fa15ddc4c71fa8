/* Signs what stands in hex on standard input, one message a line, with the seed of its argument; the key comes first. */
#include "lineage_ed25519.h"

#include <stdio.h>

static void print_hex(const uint8_t *bytes, size_t size)
{
    while (size--)
        printf("%02x", *bytes++);
    printf("\n");
}

static size_t hex_of(const char *text, uint8_t *bytes, size_t room)
{
    size_t size = 0;
    unsigned byte;
    while (size < room && sscanf(text, "%2x", &byte) == 1) {
        bytes[size++] = (uint8_t)byte;
        text += 2;
    }
    return size;
}

int main(int count, char **arguments)
{
    uint8_t seed[32], key[32], signature[64];
    static uint8_t message[1024];
    static char line[2100];
    if (count != 2 || hex_of(arguments[1], seed, 32) != 32)
        return 2;
    lineage_ed25519_key(key, seed);
    print_hex(key, 32);
    while (fgets(line, sizeof line, stdin) != NULL) {
        lineage_ed25519_sign(signature, seed, key, message, hex_of(line, message, sizeof message));
        print_hex(signature, 64);
    }
    return 0;
}
