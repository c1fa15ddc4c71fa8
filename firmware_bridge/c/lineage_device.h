/* The device's side of firmware_bridge/PROTOCOL.md, version 1: portable C99, no heap, no operating system.
 *
 * Add lineage_device.c and this header to a project, fill lineage_hooks, and call
 *   lineage_init     once after a reset, with a boot number that was never used before, from 1 on (lineage_boots.h has one);
 *   lineage_receive  with all bytes that came from the line, before lineage_poll: only the latest hello is worth an answer;
 *   lineage_poll     often: it sends, answers, and signs (the one slow call: hooks.sign);
 *   lineage_confirm and its kin for what is to be evidence.
 * All from one context: the library has no locks.
 */
#ifndef LINEAGE_DEVICE_H
#define LINEAGE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef LINEAGE_RING
#define LINEAGE_RING 32 /* frames held until the lineage has them, 4 to 256; about 168 bytes of RAM each */
#endif

enum {
    LINEAGE_FRAME_MAX = 128,
    LINEAGE_MESSAGE_MAX = 256,
    LINEAGE_LINE_MAX = LINEAGE_MESSAGE_MAX + 4 + 2 + 1, /* with CRC, COBS and the zero behind */
    LINEAGE_ORIGIN_MAX = 128,
    LINEAGE_VALUES_MAX = 8,
    LINEAGE_TO_SIGN_MAX = 320
};

enum lineage_outcome {
    LINEAGE_REACHED = 1, LINEAGE_PARTLY, LINEAGE_NOT_MOVED, LINEAGE_REFUSED, LINEAGE_ABORTED, LINEAGE_EXPIRED
};
enum lineage_verdict { LINEAGE_ADMITTED, LINEAGE_NOT_ADMITTED, LINEAGE_LATE, LINEAGE_UNAVAILABLE };

typedef struct {
    uint8_t quantity; /* FORMAT.md section 6: 1 m, 2 rad, 3 m/s, ... */
    float value;      /* finite; a NaN or an infinity makes the frame refused */
} lineage_value;

typedef struct {
    uint64_t seq, place;
    uint8_t hash[16];
} lineage_commit;

typedef struct {
    uint64_t grant, actuator, commits, valid_ms;
    bool irreversible;
} lineage_grant;

typedef struct {
    bool has_request, has_commit, irreversible;
    uint64_t request, actuator;
    uint8_t verdict;
    lineage_commit commit;
} lineage_receipt;

typedef struct {
    void *user;
    bool (*send)(void *user, const uint8_t *bytes, size_t size); /* all of it, or false and nothing of it: it comes again */
    uint64_t (*tick_us)(void *user);                              /* since the reset; never falls */
    /* Ed25519, RFC 8032, by the key that lineage_init got; at most LINEAGE_TO_SIGN_MAX bytes.  It should take less than 100 ms. */
    void (*sign)(void *user, uint8_t signature[64], const uint8_t *message, size_t size);
    /* Either may be NULL.  Called by lineage_receive; they may confirm, request and so on. */
    void (*granted)(void *user, const lineage_grant *grant);
    void (*receipt)(void *user, const lineage_receipt *receipt);
} lineage_hooks;

typedef struct {
    uint8_t bytes[LINEAGE_FRAME_MAX];
    uint8_t leaf[32];
    uint8_t size;
} lineage_slot;

typedef struct {
    lineage_hooks hooks;
    uint8_t key[32], kid[8];
    uint32_t boot;

    lineage_slot ring[LINEAGE_RING]; /* of frame seq: ring[seq % LINEAGE_RING] */
    uint64_t oldest, next, sent, signed_to;
    uint64_t urgent_to; /* frames below are signed without waiting */
    uint8_t prev[8];
    uint64_t last_tick_us, dropped, dropped_first_us, dropped_last_us;

    uint8_t state; /* 0 no session, 1 has answered a hello, 2 up */
    uint8_t nonce[16], session[4], origin[LINEAGE_ORIGIN_MAX];
    uint8_t origin_size, batch_frames;
    uint32_t batch_us;
    uint64_t taken, told_taken, taken_us; /* number of the next grant or receipt, what was said of it, since when not */
    uint64_t acked_received, acked_signed, progress_us, unsigned_since_us;
    bool answer_hello, answer_taken, answer_time, booted;
    uint64_t time_asked_us, booted_us;

    uint8_t in[LINEAGE_LINE_MAX];
    size_t in_size;
    bool in_overlong;
    uint32_t noise; /* pieces between zeros that were no frame */
} lineage_device;

void lineage_init(lineage_device *device, const lineage_hooks *hooks, const uint8_t public_key[32], uint32_t boot);
void lineage_receive(lineage_device *device, const uint8_t *bytes, size_t size);
void lineage_poll(lineage_device *device);

/* Evidence.  False: no room, or nothing that the format can say; it is counted, and the lineage will hear "dropped N".  `at_once`: do not wait for a batch.
 * lineage_request gives the number that its receipt will name; UINT64_MAX in place of a time that is not known. */
bool lineage_confirm(lineage_device *device, const lineage_commit *commit, enum lineage_outcome outcome,
                     const lineage_value *values, size_t count, bool at_once);
bool lineage_request(lineage_device *device, const lineage_grant *grant, const lineage_value *values, size_t count,
                     uint64_t duration_ms, uint64_t confirm_by_ms, uint64_t *number);
bool lineage_event(lineage_device *device, uint8_t event, const lineage_value *values, size_t count, bool at_once);
bool lineage_observe(lineage_device *device, const lineage_value *values, size_t count);
bool lineage_fault(lineage_device *device, uint8_t fault, int32_t detail);

#ifdef __cplusplus
}
#endif
#endif
