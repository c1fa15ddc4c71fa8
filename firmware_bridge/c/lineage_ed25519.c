/* lineage_hooks.sign with Monocypher 4: Ed25519 (RFC 8032 section 5.1.6), curve and scalars by monocypher.c.
 *
 * Monocypher's own crypto_ed25519_sign does the same where its optional monocypher-ed25519.c is at hand; the packages that
 * have Monocypher often leave that file out, and what it adds, SHA-512 (FIPS 180-4), is here. */
#include "lineage_ed25519.h"

#include <monocypher.h>
#include <string.h>

static const uint64_t K[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

typedef struct {
    uint64_t state[8];
    uint8_t block[128];
    size_t filled, size;
} sha512;

static uint64_t rotated(uint64_t x, unsigned by)
{
    return x >> by | x << (64 - by);
}

static void compress(sha512 *s)
{
    uint64_t w[16], v[8]; /* a to h of the standard lie in v; instead of moving them, each round begins one place further down */
    unsigned i, j;
    memcpy(v, s->state, sizeof v);
    for (i = 0; i < 80; i++) {
        uint64_t a, b, c, e, t1;
        if (i < 16) {
            w[i] = 0;
            for (j = 0; j < 8; j++)
                w[i] = w[i] << 8 | s->block[8 * i + j];
        } else {
            a = w[(i + 1) & 15];
            b = w[(i + 14) & 15];
            w[i & 15] += (rotated(a, 1) ^ rotated(a, 8) ^ a >> 7) + w[(i + 9) & 15] +
                         (rotated(b, 19) ^ rotated(b, 61) ^ b >> 6);
        }
        e = v[(4 - i) & 7];
        t1 = v[(7 - i) & 7] + (rotated(e, 14) ^ rotated(e, 18) ^ rotated(e, 41)) +
             ((e & v[(5 - i) & 7]) ^ (~e & v[(6 - i) & 7])) + K[i] + w[i & 15];
        a = v[(0 - i) & 7];
        b = v[(1 - i) & 7];
        c = v[(2 - i) & 7];
        v[(3 - i) & 7] += t1;
        v[(7 - i) & 7] = t1 + (rotated(a, 28) ^ rotated(a, 34) ^ rotated(a, 39)) + ((a & b) ^ (a & c) ^ (b & c));
    }
    for (i = 0; i < 8; i++)
        s->state[i] += v[i];
    s->filled = 0;
    crypto_wipe(w, sizeof w); /* it hashes the secret key */
    crypto_wipe(v, sizeof v);
}

static void begin(sha512 *s)
{
    static const uint64_t start[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1, 0x510e527fade682d1,
        0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    memcpy(s->state, start, sizeof start);
    s->filled = s->size = 0;
}

static void update(sha512 *s, const uint8_t *bytes, size_t size)
{
    s->size += size;
    while (size--) {
        s->block[s->filled++] = *bytes++;
        if (s->filled == sizeof s->block)
            compress(s);
    }
}

static void finish(sha512 *s, uint8_t digest[64])
{
    uint64_t bits = (uint64_t)s->size * 8;
    unsigned i;
    s->block[s->filled++] = 0x80;
    if (s->filled > 112) {
        memset(s->block + s->filled, 0, sizeof s->block - s->filled);
        compress(s);
    }
    memset(s->block + s->filled, 0, 120 - s->filled);
    for (i = 0; i < 8; i++)
        s->block[120 + i] = (uint8_t)(bits >> (56 - 8 * i));
    compress(s);
    for (i = 0; i < 64; i++)
        digest[i] = (uint8_t)(s->state[i / 8] >> (56 - 8 * (i % 8)));
    crypto_wipe(s, sizeof *s);
}

void lineage_ed25519_key(uint8_t public_key[32], const uint8_t seed[32])
{
    sha512 s;
    uint8_t a[64];
    begin(&s);
    update(&s, seed, 32);
    finish(&s, a);
    crypto_eddsa_trim_scalar(a, a);
    crypto_eddsa_scalarbase(public_key, a);
    crypto_wipe(a, sizeof a);
}

void lineage_ed25519_sign(uint8_t signature[64], const uint8_t seed[32], const uint8_t public_key[32],
                          const uint8_t *message, size_t size)
{
    sha512 s;
    uint8_t a[64], r[64], h[64];
    begin(&s);
    update(&s, seed, 32);
    finish(&s, a);
    crypto_eddsa_trim_scalar(a, a); /* its second half is the prefix */
    begin(&s);
    update(&s, a + 32, 32);
    update(&s, message, size);
    finish(&s, r);
    crypto_eddsa_reduce(r, r);
    crypto_eddsa_scalarbase(signature, r);
    begin(&s);
    update(&s, signature, 32);
    update(&s, public_key, 32);
    update(&s, message, size);
    finish(&s, h);
    crypto_eddsa_reduce(h, h);
    crypto_eddsa_mul_add(signature + 32, h, a, r);
    crypto_wipe(a, sizeof a);
    crypto_wipe(r, sizeof r);
}
