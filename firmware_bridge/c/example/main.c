/* A joint that takes part in a lineage: it asks for a move under each grant, moves once that is admitted, and confirms where
 * it came to stand.  Only board.h is of the board. */
#include "board.h"
#include "lineage_device.h"
#include "lineage_ed25519.h"

enum { ANGLE_RAD = 2, EVENT_LATE = 7, EVENT_REFUSED = 8, MOVE_MS = 400, CONFIRM_BY_MS = 1000, EVERY_US = 500000 };

static uint8_t seed[32], key[32];
static lineage_device device;

static lineage_grant granted;  /* commits counts down */
static uint64_t asked;         /* number of the request that waits for its receipt */
static lineage_commit commit;  /* what it is moving for */
static bool waits, moving, at_once;
static lineage_value angle = {ANGLE_RAD, 0.0f}, target = {ANGLE_RAD, 0.0f};

static bool on_send(void *user, const uint8_t *bytes, size_t size)
{
    (void)user;
    return board_write(bytes, size);
}

static uint64_t on_tick(void *user)
{
    (void)user;
    return board_micros();
}

static void on_sign(void *user, uint8_t signature[64], const uint8_t *message, size_t size)
{
    (void)user;
    lineage_ed25519_sign(signature, seed, key, message, size);
}

static void on_grant(void *user, const lineage_grant *grant)
{
    (void)user;
    granted = *grant;
    waits = false;
}

static void on_receipt(void *user, const lineage_receipt *receipt)
{
    (void)user;
    if (!receipt->has_request || receipt->request != asked)
        return; /* not ours, or one that a reset has forgotten */
    waits = false;
    if (receipt->verdict == LINEAGE_ADMITTED) {
        commit = receipt->commit;
        at_once = receipt->irreversible;
        moving = true;
    } else if (receipt->verdict != LINEAGE_UNAVAILABLE) { /* what the class of act says: here, stay where it is */
        (void)lineage_event(&device, receipt->verdict == LINEAGE_LATE ? EVENT_LATE : EVENT_REFUSED, NULL, 0, true);
    }
}

/* The motor: here it turns by itself, four radians a second. */
static bool has_arrived(uint64_t now_us)
{
    static uint64_t before_us;
    float left = target.value - angle.value, step = (float)(uint32_t)(now_us - before_us) * 4e-6f;
    before_us = now_us;
    if (moving)
        angle.value += left > step ? step : left < -step ? -step : left;
    return moving && angle.value == target.value;
}

int main(void)
{
    const lineage_hooks hooks = {NULL, on_send, on_tick, on_sign, on_grant, on_receipt};
    uint64_t next_us = 0;
    uint32_t boot;
    board_begin();
    if (!board_flash(seed, &boot)) {
        board_say("no key: 32 random bytes and a boot number are wanted\n");
        board_end(1);
    }
    lineage_ed25519_key(key, seed);
    lineage_init(&device, &hooks, key, boot);
    for (;;) {
        uint8_t bytes[64];
        size_t size;
        uint64_t now_us = board_micros();
        while ((size = board_read(bytes, sizeof bytes)) > 0) /* all of it: only what was said last is answered */
            lineage_receive(&device, bytes, size);
        if (has_arrived(now_us)) {
            moving = false;
            (void)lineage_confirm(&device, &commit, LINEAGE_REACHED, &angle, 1, at_once);
        }
        if (granted.commits > 0 && !waits && !moving && now_us >= next_us) {
            next_us = now_us + EVERY_US;
            target.value = angle.value < 0.25f ? 0.5f : 0.0f;
            waits = lineage_request(&device, &granted, &target, 1, MOVE_MS, CONFIRM_BY_MS, &asked);
            granted.commits -= waits;
        }
        lineage_poll(&device);
    }
}
