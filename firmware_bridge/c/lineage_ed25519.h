/* Ed25519 for lineage_hooks.sign, by Monocypher 4 (link monocypher.c with lineage_ed25519.c). */
#ifndef LINEAGE_ED25519_H
#define LINEAGE_ED25519_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void lineage_ed25519_key(uint8_t public_key[32], const uint8_t seed[32]);
void lineage_ed25519_sign(uint8_t signature[64], const uint8_t seed[32], const uint8_t public_key[32],
                          const uint8_t *message, size_t size);

#ifdef __cplusplus
}
#endif
#endif
