/* See lineage_device.h.  The parts in order: SHA-256, the line (COBS, CRC-32), CBOR, the ring of frames, signing, the
 * messages of the host, the loop. */
#include "lineage_device.h"

#include <string.h>

#define RESEND_AFTER_US 300000u
#define BOOTED_EVERY_US 500000u
#define TAKEN_AFTER_US 30000u /* one answer for several: at 115,200 baud one each would take a seventh of the line */
#define TAKEN_AFTER 3u

enum { DOWN, GREETED, UP };
enum { HELLO = 1, HERE, ACK, BATCH, GRANT, RECEIPT, TAKEN, TIME, TIME_IS, BOOTED };
enum { REQUEST = 16, CONFIRMATION, EVENT, OBSERVATION, FAULT, DROPPED };
enum { UINT = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4 }; /* major types of CBOR */

/* --- SHA-256 (FIPS 180-4) ------------------------------------------------------------------------------------------- */

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotated(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static void sha256_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[16], v[8]; /* a to h of the standard lie in v; instead of moving them, each round begins one place further down */
    size_t i;
    memcpy(v, state, sizeof v);
    for (i = 0; i < 64; i++) {
        uint32_t a, b, c, e, t1;
        if (i < 16) {
            const uint8_t *at = block + 4 * i;
            w[i] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        } else {
            a = w[(i + 1) & 15];
            b = w[(i + 14) & 15];
            w[i & 15] += (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) + w[(i + 9) & 15] +
                         (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
        }
        e = v[(4 - i) & 7];
        t1 = v[(7 - i) & 7] + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) +
             ((e & v[(5 - i) & 7]) ^ (~e & v[(6 - i) & 7])) + K[i] + w[i & 15];
        a = v[(0 - i) & 7];
        b = v[(1 - i) & 7];
        c = v[(2 - i) & 7];
        v[(3 - i) & 7] += t1;
        v[(7 - i) & 7] = t1 + (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    }
    for (i = 0; i < 8; i++)
        state[i] += v[i];
}

/* H(tag ‖ bytes), or H(bytes) with a tag below 0; at most 1 KiB. */
static void hashed(uint8_t digest[32], int tag, const uint8_t *bytes, size_t size)
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t block[64];
    size_t filled = 0, i, bits;
    if (tag >= 0)
        block[filled++] = (uint8_t)tag;
    bits = (filled + size) * 8;
    for (i = 0; i < size; i++) {
        block[filled++] = bytes[i];
        if (filled == 64) {
            sha256_block(state, block);
            filled = 0;
        }
    }
    block[filled++] = 0x80;
    if (filled > 56) {
        memset(block + filled, 0, 64 - filled);
        sha256_block(state, block);
        filled = 0;
    }
    memset(block + filled, 0, 62 - filled);
    block[62] = (uint8_t)(bits >> 8);
    block[63] = (uint8_t)bits;
    sha256_block(state, block);
    for (i = 0; i < 32; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

/* --- The line (PROTOCOL.md section 1) ------------------------------------------------------------------------------- */

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    static const uint32_t of_nibble[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    uint32_t crc = 0xffffffffu;
    while (size--) {
        crc ^= *bytes++;
        crc = crc >> 4 ^ of_nibble[crc & 15];
        crc = crc >> 4 ^ of_nibble[crc & 15];
    }
    return ~crc;
}

static bool send_message(lineage_device *d, const uint8_t *message, size_t size)
{
    uint8_t line[LINEAGE_LINE_MAX];
    uint32_t crc = crc32_of(message, size);
    size_t code_at = 0, end = 1, i;
    for (i = 0; i < size + 4; i++) {
        uint8_t byte = (uint8_t)(i < size ? message[i] : crc >> 8 * (i - size));
        if (byte != 0)
            line[end++] = byte;
        if (byte == 0 || end - code_at == 255) {
            line[code_at] = (uint8_t)(end - code_at);
            if (byte != 0 && i + 1 == size + 4) {
                line[end] = 0;
                return d->hooks.send(d->hooks.user, line, end + 1);
            }
            code_at = end++;
        }
    }
    line[code_at] = (uint8_t)(end - code_at);
    line[end] = 0;
    return d->hooks.send(d->hooks.user, line, end + 1);
}

/* COBS undone in place; the size, or 0 for what is no frame with a sound CRC. */
static size_t unstuffed(uint8_t *bytes, size_t size)
{
    size_t from = 0, to = 0;
    uint32_t crc;
    while (from < size) {
        size_t code = bytes[from], run = code - 1;
        if (code == 0 || from + code > size)
            return 0;
        memmove(bytes + to, bytes + from + 1, run);
        to += run;
        from += code;
        if (code < 255 && from < size)
            bytes[to++] = 0;
    }
    if (to <= 4)
        return 0;
    to -= 4;
    crc = (uint32_t)bytes[to] | (uint32_t)bytes[to + 1] << 8 | (uint32_t)bytes[to + 2] << 16 | (uint32_t)bytes[to + 3] << 24;
    return crc == crc32_of(bytes, to) ? to : 0;
}

/* --- CBOR: heads in their shortest form, and nothing else ----------------------------------------------------------- */

typedef struct {
    uint8_t *at, *end;
    bool full;
} writer;

static void put(writer *w, const void *bytes, size_t size)
{
    if ((size_t)(w->end - w->at) < size) {
        w->full = true;
        return;
    }
    memcpy(w->at, bytes, size);
    w->at += size;
}

static void put_sized(writer *w, unsigned first, uint64_t argument, unsigned bytes)
{
    uint8_t head[9];
    unsigned i;
    head[0] = (uint8_t)first;
    for (i = 0; i < bytes; i++)
        head[1 + i] = (uint8_t)(argument >> 8 * (bytes - 1 - i));
    put(w, head, 1 + bytes);
}

static void put_head(writer *w, unsigned major, uint64_t argument)
{
    if (argument < 24)
        put_sized(w, major << 5 | (unsigned)argument, 0, 0);
    else if (argument <= 0xff)
        put_sized(w, major << 5 | 24, argument, 1);
    else if (argument <= 0xffff)
        put_sized(w, major << 5 | 25, argument, 2);
    else if (argument <= 0xffffffffu)
        put_sized(w, major << 5 | 26, argument, 4);
    else
        put_sized(w, major << 5 | 27, argument, 8);
}

static void put_string(writer *w, unsigned major, const void *bytes, size_t size)
{
    put_head(w, major, size);
    put(w, bytes, size);
}

static void put_optional(writer *w, uint64_t value)
{
    if (value == UINT64_MAX)
        put_sized(w, 0xf6, 0, 0);
    else
        put_head(w, UINT, value);
}

/* The shortest float that keeps the value (RFC 8949 section 4.2.2): half where it does, else single. */
static void put_float(writer *w, float value)
{
    uint32_t bits, sign, fraction;
    int exponent;
    memcpy(&bits, &value, sizeof bits);
    sign = bits >> 16 & 0x8000u;
    exponent = (int)(bits >> 23 & 0xff) - 127;
    fraction = bits & 0x7fffffu;
    if (exponent == 128) {
        w->full = true; /* a NaN or an infinity has no place in the format */
    } else if (exponent == -127 && fraction == 0) {
        put_sized(w, 0xf9, sign, 2);
    } else if (exponent >= -14 && exponent <= 15 && (fraction & 0x1fff) == 0) {
        put_sized(w, 0xf9, sign | (uint32_t)(exponent + 15) << 10 | fraction >> 13, 2);
    } else if (exponent >= -24 && exponent < -14 && ((fraction | 0x800000u) & ((1u << (-1 - exponent)) - 1)) == 0) {
        put_sized(w, 0xf9, sign | (fraction | 0x800000u) >> (-1 - exponent), 2);
    } else {
        put_sized(w, 0xfa, bits, 4);
    }
}

static void put_code(writer *w, uint8_t code)
{
    if (code == 0) /* stands for nothing */
        w->full = true;
    put_head(w, UINT, code);
}

static void put_values(writer *w, const lineage_value *values, size_t count)
{
    size_t i;
    if (count > LINEAGE_VALUES_MAX) {
        w->full = true;
        return;
    }
    put_head(w, ARRAY, count);
    for (i = 0; i < count; i++) {
        put_head(w, ARRAY, 2);
        put_code(w, values[i].quantity);
        put_float(w, values[i].value);
    }
}

typedef struct {
    const uint8_t *at, *end;
    bool bad;
} reader;

static uint64_t take_head(reader *r, unsigned major)
{
    unsigned info, size, i;
    uint64_t argument = 0;
    if (r->bad || r->at == r->end || *r->at >> 5 != major) {
        r->bad = true;
        return 0;
    }
    info = *r->at++ & 31;
    if (info < 24)
        return info;
    size = 1u << (info - 24);
    if (info > 27 || (size_t)(r->end - r->at) < size) {
        r->bad = true;
        return 0;
    }
    for (i = 0; i < size; i++)
        argument = argument << 8 | *r->at++;
    if (argument < (size == 1 ? 24 : (uint64_t)1 << size * 4)) /* a shorter head would do */
        r->bad = true;
    return r->bad ? 0 : argument;
}

static const uint8_t *take_string(reader *r, unsigned major, size_t least, size_t most, size_t *size)
{
    uint64_t said = take_head(r, major);
    const uint8_t *bytes = r->at;
    if (r->bad || said < least || said > most || said > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    *size = (size_t)said;
    r->at += said;
    return bytes;
}

static bool take_simple(reader *r, uint8_t simple)
{
    if (r->bad || r->at == r->end || *r->at != simple)
        return false;
    r->at++;
    return true;
}

static bool take_bool(reader *r)
{
    if (take_simple(r, 0xf5))
        return true;
    if (!take_simple(r, 0xf4))
        r->bad = true;
    return false;
}

static bool done(const reader *r)
{
    return !r->bad && r->at == r->end;
}

/* --- The ring of frames (FORMAT.md section 6, "Confirmation") -------------------------------------------------------- */

static uint64_t tick(lineage_device *d)
{
    uint64_t now = d->hooks.tick_us(d->hooks.user);
    if (now > d->last_tick_us) /* a clock that falls stands still here: a frame's tick never falls */
        d->last_tick_us = now;
    return d->last_tick_us;
}

static lineage_slot *slot(lineage_device *d, uint64_t seq)
{
    return &d->ring[seq % LINEAGE_RING];
}

static writer begin_frame(lineage_device *d, unsigned type, unsigned elements)
{
    lineage_slot *s = slot(d, d->next);
    writer w;
    w.at = s->bytes;
    w.end = s->bytes + LINEAGE_FRAME_MAX;
    w.full = false;
    put_head(&w, ARRAY, 7 + elements);
    put_head(&w, UINT, 1);
    put_head(&w, UINT, type);
    put_string(&w, BYTES, d->kid, 8);
    put_head(&w, UINT, d->boot);
    put_head(&w, UINT, d->next);
    put_head(&w, UINT, d->last_tick_us);
    put_string(&w, BYTES, d->prev, 8);
    return w;
}

static void end_frame(lineage_device *d, const writer *w, bool at_once)
{
    lineage_slot *s = slot(d, d->next);
    s->size = (uint8_t)(w->at - s->bytes);
    hashed(s->leaf, 0, s->bytes, s->size);
    memcpy(d->prev, s->leaf, 8);
    if (d->next == d->signed_to)
        d->unsigned_since_us = d->last_tick_us;
    d->next++;
    if (at_once)
        d->urgent_to = d->next;
}

static bool has_room(const lineage_device *d, unsigned frames)
{
    return d->next - d->oldest + frames <= LINEAGE_RING;
}

static void drop(lineage_device *d)
{
    if (d->dropped++ == 0)
        d->dropped_first_us = d->last_tick_us;
    d->dropped_last_us = d->last_tick_us;
}

static void tell_dropped(lineage_device *d)
{
    writer w = begin_frame(d, DROPPED, 3);
    put_head(&w, UINT, d->dropped);
    put_head(&w, UINT, d->dropped_first_us);
    put_head(&w, UINT, d->dropped_last_us);
    end_frame(d, &w, false);
    d->dropped = 0;
}

/* Whether a frame may begin now: what found no room before is told first, in order. */
static bool may_begin(lineage_device *d)
{
    (void)tick(d);
    if (!has_room(d, d->dropped > 0 ? 2 : 1)) {
        drop(d);
        return false;
    }
    if (d->dropped > 0)
        tell_dropped(d);
    return true;
}

static bool finished(lineage_device *d, const writer *w, bool at_once)
{
    if (w->full) { /* what the format cannot say is lost, and counted; its slot is for the next frame */
        drop(d);
        return false;
    }
    end_frame(d, w, at_once);
    return true;
}

bool lineage_confirm(lineage_device *d, const lineage_commit *commit, enum lineage_outcome outcome,
                     const lineage_value *values, size_t count, bool at_once)
{
    writer w;
    if (!may_begin(d))
        return false;
    w = begin_frame(d, CONFIRMATION, 3);
    put_head(&w, ARRAY, 3);
    put_head(&w, UINT, commit->seq);
    put_head(&w, UINT, commit->place);
    put_string(&w, BYTES, commit->hash, 16);
    if (outcome < LINEAGE_REACHED || outcome > LINEAGE_EXPIRED) /* no reader takes a frame with it */
        w.full = true;
    put_head(&w, UINT, (uint64_t)outcome);
    put_values(&w, values, count);
    return finished(d, &w, at_once);
}

bool lineage_request(lineage_device *d, const lineage_grant *grant, const lineage_value *values, size_t count,
                     uint64_t duration_ms, uint64_t confirm_by_ms, uint64_t *number)
{
    writer w;
    if (!may_begin(d))
        return false;
    w = begin_frame(d, REQUEST, 5);
    put_head(&w, UINT, grant->grant);
    put_head(&w, UINT, grant->actuator);
    put_values(&w, values, count);
    put_optional(&w, duration_ms);
    put_optional(&w, confirm_by_ms);
    *number = d->next;
    return finished(d, &w, grant->irreversible);
}

bool lineage_event(lineage_device *d, uint8_t event, const lineage_value *values, size_t count, bool at_once)
{
    writer w;
    if (!may_begin(d))
        return false;
    w = begin_frame(d, EVENT, 2);
    put_code(&w, event);
    put_values(&w, values, count);
    return finished(d, &w, at_once);
}

bool lineage_observe(lineage_device *d, const lineage_value *values, size_t count)
{
    writer w;
    if (!may_begin(d))
        return false;
    w = begin_frame(d, OBSERVATION, 1);
    put_values(&w, values, count);
    return finished(d, &w, false);
}

bool lineage_fault(lineage_device *d, uint8_t fault, int32_t detail)
{
    writer w;
    if (!may_begin(d))
        return false;
    w = begin_frame(d, FAULT, 2);
    put_code(&w, fault);
    if (detail < 0)
        put_head(&w, NEGATIVE, (uint64_t)(-1 - (int64_t)detail));
    else
        put_head(&w, UINT, (uint64_t)detail);
    return finished(d, &w, false);
}

/* --- Signing --------------------------------------------------------------------------------------------------------- */

static void root_of(lineage_device *d, uint64_t first, uint64_t after, uint8_t root[32])
{
    uint8_t stack[9][64]; /* roots of complete subtrees, largest first; 2^8 leaves at most. 64: a pair to hash */
    unsigned depth = 0;
    uint64_t seq, merges;
    for (seq = first; seq != after; seq++) {
        memcpy(stack[depth++], slot(d, seq)->leaf, 32);
        for (merges = seq - first; merges & 1; merges >>= 1) {
            depth--;
            memcpy(stack[depth - 1] + 32, stack[depth], 32);
            hashed(stack[depth - 1], 1, stack[depth - 1], 64);
        }
    }
    while (--depth > 0) {
        memcpy(stack[depth - 1] + 32, stack[depth], 32);
        hashed(stack[depth - 1], 1, stack[depth - 1], 64);
    }
    memcpy(root, stack[0], 32);
}

/* COSE_Sign1's Sig_structure (RFC 9052 section 4.4) of [origin, nonce, boot, *numbers, ? root] under a label. */
static void sign(lineage_device *d, const char *label, const uint64_t *numbers, unsigned count, const uint8_t *root,
                 uint8_t signature[64])
{
    static const uint8_t opening[] = {0x84, 0x6a, 'S', 'i', 'g', 'n', 'a', 't', 'u', 'r', 'e', '1',
                                      0x4d, 0xa2, 0x01, 0x32, 0x04, 0x48};
    uint8_t payload[LINEAGE_TO_SIGN_MAX - 64], message[LINEAGE_TO_SIGN_MAX];
    writer p, m;
    unsigned i;
    p.at = payload;
    p.end = payload + sizeof payload;
    m.at = message;
    m.end = message + sizeof message;
    p.full = m.full = false;
    put_head(&p, ARRAY, 3 + count + (root != NULL));
    put_string(&p, TEXT, d->origin, d->origin_size);
    put_string(&p, BYTES, d->nonce, 16);
    put_head(&p, UINT, d->boot);
    for (i = 0; i < count; i++)
        put_head(&p, UINT, numbers[i]);
    if (root != NULL)
        put_string(&p, BYTES, root, 32);
    put(&m, opening, sizeof opening);
    put(&m, d->kid, 8);
    put_string(&m, BYTES, label, strlen(label));
    put_string(&m, BYTES, payload, (size_t)(p.at - payload));
    d->hooks.sign(d->hooks.user, signature, message, (size_t)(m.at - message));
}

static writer begin_message(uint8_t *room, unsigned type, unsigned elements)
{
    writer w;
    w.at = room;
    w.end = room + LINEAGE_MESSAGE_MAX;
    w.full = false;
    put_head(&w, ARRAY, 2 + elements);
    put_head(&w, UINT, 1);
    put_head(&w, UINT, type);
    return w;
}

static bool send_written(lineage_device *d, const uint8_t *room, const writer *w)
{
    return send_message(d, room, (size_t)(w->at - room));
}

static bool send_here(lineage_device *d)
{
    uint8_t room[LINEAGE_MESSAGE_MAX], signature[64];
    uint64_t numbers[3];
    writer w = begin_message(room, HERE, 6);
    numbers[0] = d->oldest;
    numbers[1] = d->next;
    numbers[2] = tick(d);
    sign(d, "lineage/device/1\n", numbers, 3, NULL, signature);
    put_string(&w, BYTES, d->key, 32);
    put_head(&w, UINT, d->boot);
    put_head(&w, UINT, numbers[0]);
    put_head(&w, UINT, numbers[1]);
    put_head(&w, UINT, numbers[2]);
    put_string(&w, BYTES, signature, 64);
    return send_written(d, room, &w);
}

static bool send_batch(lineage_device *d, uint64_t after)
{
    uint8_t room[LINEAGE_MESSAGE_MAX], signature[64], root[32];
    uint64_t numbers[2];
    writer w = begin_message(room, BATCH, 4);
    numbers[0] = d->signed_to;
    numbers[1] = after - 1;
    root_of(d, d->signed_to, after, root);
    sign(d, "lineage/confirmation/1\n", numbers, 2, root, signature);
    put_string(&w, BYTES, d->session, 4);
    put_head(&w, UINT, numbers[0]);
    put_head(&w, UINT, numbers[1]);
    put_string(&w, BYTES, signature, 64);
    return send_written(d, room, &w);
}

/* --- Messages of the host (PROTOCOL.md section 3) -------------------------------------------------------------------- */

/* H(nonce ‖ kid ‖ u32be boot): nothing that was said to another boot is taken for this one. */
static void begin_session(lineage_device *d)
{
    uint8_t of[28], digest[32];
    unsigned i;
    memcpy(of, d->nonce, 16);
    memcpy(of + 16, d->kid, 8);
    for (i = 0; i < 4; i++)
        of[24 + i] = (uint8_t)(d->boot >> (24 - 8 * i));
    hashed(digest, -1, of, sizeof of);
    memcpy(d->session, digest, 4);
}

static void on_hello(lineage_device *d, reader *r)
{
    size_t nonce_size = 0, origin_size = 0;
    const uint8_t *nonce = take_string(r, BYTES, 16, 16, &nonce_size);
    const uint8_t *origin = take_string(r, TEXT, 1, LINEAGE_ORIGIN_MAX, &origin_size);
    uint64_t frames = take_head(r, UINT), ms = take_head(r, UINT);
    if (!done(r) || frames < 1 || frames > 64 || ms < 1 || ms > 60000)
        return;
    d->answer_hello = true;
    if (d->state != DOWN && memcmp(d->nonce, nonce, 16) == 0 && d->origin_size == origin_size &&
        memcmp(d->origin, origin, origin_size) == 0)
        return; /* the same session: the host only asks again */
    memcpy(d->nonce, nonce, 16);
    memcpy(d->origin, origin, origin_size);
    d->origin_size = (uint8_t)origin_size;
    d->batch_frames = (uint8_t)(frames < LINEAGE_RING / 2 ? frames : LINEAGE_RING / 2);
    d->batch_us = (uint32_t)ms * 1000;
    begin_session(d);
    d->state = GREETED;
    d->taken = d->told_taken = 0;
    d->answer_taken = d->answer_time = false;
}

static void on_ack(lineage_device *d, reader *r)
{
    uint64_t received = take_head(r, UINT), signed_to = take_head(r, UINT), recorded = take_head(r, UINT);
    uint64_t resend = take_head(r, UINT);
    if (!done(r) || resend > 2 || received > d->next || signed_to > received || recorded > signed_to || received < d->oldest)
        return;
    if (d->state == GREETED) {
        d->state = UP;
        d->sent = received;
        d->signed_to = signed_to;
    }
    if (d->acked_received != received || d->acked_signed != signed_to || resend != 0)
        d->progress_us = tick(d);
    d->acked_received = received;
    d->acked_signed = signed_to;
    if (resend != 0 || d->sent < received)
        d->sent = received;
    if (resend == 2 || d->signed_to < signed_to)
        d->signed_to = signed_to;
    if (recorded > d->oldest)
        d->oldest = recorded;
    if (d->signed_to < d->oldest) /* another host has recorded, and this one does not know it */
        d->signed_to = d->oldest;
}

static bool is_next(lineage_device *d, uint64_t number)
{
    if (!d->answer_taken)
        d->taken_us = tick(d);
    d->answer_taken = true;
    if (number != d->taken)
        return false;
    d->taken++;
    return true;
}

static void on_grant(lineage_device *d, reader *r)
{
    lineage_grant grant;
    uint64_t number = take_head(r, UINT);
    grant.grant = take_head(r, UINT);
    grant.actuator = take_head(r, UINT);
    grant.commits = take_head(r, UINT);
    grant.valid_ms = take_head(r, UINT);
    grant.irreversible = take_bool(r);
    if (done(r) && is_next(d, number) && d->hooks.granted != NULL)
        d->hooks.granted(d->hooks.user, &grant);
}

static void on_receipt(lineage_device *d, reader *r)
{
    lineage_receipt receipt;
    uint64_t number = take_head(r, UINT), verdict;
    memset(&receipt, 0, sizeof receipt);
    receipt.has_request = !take_simple(r, 0xf6);
    if (receipt.has_request)
        receipt.request = take_head(r, UINT);
    receipt.actuator = take_head(r, UINT);
    verdict = take_head(r, UINT);
    receipt.has_commit = !take_simple(r, 0xf6);
    if (receipt.has_commit) {
        size_t size = 0;
        const uint8_t *hash;
        if (take_head(r, ARRAY) != 3)
            return;
        receipt.commit.seq = take_head(r, UINT);
        receipt.commit.place = take_head(r, UINT);
        hash = take_string(r, BYTES, 16, 16, &size);
        if (hash == NULL)
            return;
        memcpy(receipt.commit.hash, hash, 16);
    }
    receipt.irreversible = take_bool(r);
    if (!done(r) || verdict > LINEAGE_UNAVAILABLE ||
        receipt.has_commit != (verdict == LINEAGE_ADMITTED || verdict == LINEAGE_LATE))
        return;
    receipt.verdict = (uint8_t)verdict;
    if (is_next(d, number) && d->hooks.receipt != NULL)
        d->hooks.receipt(d->hooks.user, &receipt);
}

static void on_message(lineage_device *d, const uint8_t *bytes, size_t size)
{
    reader r;
    uint64_t elements, type;
    size_t session_size = 0;
    const uint8_t *session;
    static const uint8_t counts[] = {0, 4, 0, 5, 0, 7, 7, 0, 2}; /* elements by type, of the host's messages */
    r.at = bytes;
    r.end = bytes + size;
    r.bad = false;
    elements = take_head(&r, ARRAY);
    if (take_head(&r, UINT) != 1)
        return;
    type = take_head(&r, UINT);
    if (r.bad || type >= sizeof counts || counts[type] == 0 || elements != 2u + counts[type])
        return;
    if (type == HELLO) {
        on_hello(d, &r);
        return;
    }
    session = take_string(&r, BYTES, 4, 4, &session_size);
    if (session == NULL || d->state == DOWN || memcmp(session, d->session, 4) != 0)
        return; /* of another session */
    if (type == ACK)
        on_ack(d, &r);
    else if (d->state != UP)
        return;
    else if (type == GRANT)
        on_grant(d, &r);
    else if (type == RECEIPT)
        on_receipt(d, &r);
    else {
        uint64_t asked = take_head(&r, UINT);
        if (done(&r)) {
            d->time_asked_us = asked;
            d->answer_time = true;
        }
    }
}

void lineage_receive(lineage_device *d, const uint8_t *bytes, size_t size)
{
    size_t i;
    for (i = 0; i < size; i++) {
        if (bytes[i] != 0) {
            if (d->in_size < sizeof d->in)
                d->in[d->in_size++] = bytes[i];
            else
                d->in_overlong = true;
            continue;
        }
        if (d->in_size > 0) {
            size_t message = d->in_overlong ? 0 : unstuffed(d->in, d->in_size);
            if (message > 0)
                on_message(d, d->in, message);
            else
                d->noise++;
        }
        d->in_size = 0;
        d->in_overlong = false;
    }
}

/* --- The loop -------------------------------------------------------------------------------------------------------- */

void lineage_init(lineage_device *d, const lineage_hooks *hooks, const uint8_t public_key[32], uint32_t boot)
{
    uint8_t digest[32], first[16];
    writer w;
    memset(d, 0, sizeof *d);
    d->hooks = *hooks;
    d->boot = boot;
    memcpy(d->key, public_key, 32);
    hashed(digest, -1, public_key, 32);
    memcpy(d->kid, digest, 8);
    w.at = first;
    w.end = first + sizeof first;
    w.full = false;
    put_head(&w, ARRAY, 2);
    put_string(&w, BYTES, d->kid, 8);
    put_head(&w, UINT, boot);
    hashed(digest, 0, first, (size_t)(w.at - first));
    memcpy(d->prev, digest, 8);
}

static void answer(lineage_device *d)
{
    uint8_t room[LINEAGE_MESSAGE_MAX];
    writer w;
    uint64_t now = tick(d);
    /* While nobody calls it says so again: at another rate a host that calls hears noise, and not silence. */
    if (d->state == DOWN && d->booted && now - d->booted_us >= BOOTED_EVERY_US)
        d->booted = false;
    if (!d->booted) {
        w = begin_message(room, BOOTED, 2);
        put_string(&w, BYTES, d->kid, 8);
        put_head(&w, UINT, d->boot);
        d->booted = send_written(d, room, &w);
        d->booted_us = now;
    }
    if (d->answer_hello)
        d->answer_hello = !send_here(d);
    if (d->answer_taken && (d->taken - d->told_taken >= TAKEN_AFTER || now - d->taken_us >= TAKEN_AFTER_US)) {
        w = begin_message(room, TAKEN, 2);
        put_string(&w, BYTES, d->session, 4);
        put_head(&w, UINT, d->taken);
        if (send_written(d, room, &w)) {
            d->answer_taken = false;
            d->told_taken = d->taken;
        }
    }
    if (d->answer_time) {
        w = begin_message(room, TIME_IS, 3);
        put_string(&w, BYTES, d->session, 4);
        put_head(&w, UINT, d->time_asked_us);
        put_head(&w, UINT, now);
        d->answer_time = !send_written(d, room, &w);
    }
}

void lineage_poll(lineage_device *d)
{
    uint64_t now = tick(d), pending;
    answer(d);
    if (d->dropped > 0 && has_room(d, 1))
        tell_dropped(d);
    if (d->state != UP)
        return;
    if (now - d->progress_us >= RESEND_AFTER_US && (d->sent > d->acked_received || d->signed_to > d->acked_signed)) {
        d->sent = d->acked_received < d->oldest ? d->oldest : d->acked_received;
        d->signed_to = d->acked_signed < d->oldest ? d->oldest : d->acked_signed;
        d->progress_us = now;
    }
    while (d->sent < d->next) {
        if (d->sent == d->acked_received && d->signed_to == d->acked_signed)
            d->progress_us = now; /* nothing was under way until now */
        if (!send_message(d, slot(d, d->sent)->bytes, slot(d, d->sent)->size))
            break;
        d->sent++;
    }
    pending = d->sent > d->signed_to ? d->sent - d->signed_to : 0;
    if (pending > 0 && (pending >= d->batch_frames || d->urgent_to > d->signed_to || now - d->unsigned_since_us >= d->batch_us)) {
        uint64_t after = d->signed_to + (pending < d->batch_frames ? pending : d->batch_frames);
        if (send_batch(d, after)) {
            d->signed_to = after;
            d->unsigned_since_us = now;
        }
    }
}
