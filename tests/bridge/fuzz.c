/* libFuzzer on the device's parser: the first byte says whether the rest is put into frames or is the line itself. */
#include "lineage_device.h"

#include <string.h>

static uint64_t now_us;

static bool on_send(void *user, const uint8_t *bytes, size_t size)
{
    (void)user;
    if (size < 2 || bytes[size - 1] != 0 || memchr(bytes, 0, size) != bytes + size - 1)
        __builtin_trap(); /* a frame has one zero, at its end */
    return true;
}

static uint64_t on_tick(void *user)
{
    (void)user;
    return now_us += 10000;
}

static void on_sign(void *user, uint8_t signature[64], const uint8_t *message, size_t size)
{
    (void)user;
    memset(signature, message[size - 1], 64);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t size)
{
    uint32_t crc = 0xffffffffu;
    while (size--) {
        unsigned bit;
        crc ^= *bytes++;
        for (bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* COBS in its plainest form: runs of at most 200 */
static void framed(lineage_device *device, const uint8_t *message, size_t size)
{
    uint8_t plain[260], code, zero = 0;
    size_t at = 0, run;
    uint32_t crc = crc32_of(message, size);
    memcpy(plain, message, size);
    for (run = 0; run < 4; run++)
        plain[size + run] = (uint8_t)(crc >> 8 * run);
    while (at <= size + 4) {
        for (run = 0; at + run < size + 4 && plain[at + run] != 0; run++) {
        }
        if (run > 253)
            return;
        code = (uint8_t)(run + 1);
        lineage_receive(device, &code, 1);
        lineage_receive(device, plain + at, run);
        at += run + 1;
    }
    lineage_receive(device, &zero, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const lineage_hooks hooks = {NULL, on_send, on_tick, on_sign, NULL, NULL};
    static lineage_device device;
    static const uint8_t key[32];
    static const lineage_value value = {2, 0.5f};
    lineage_commit commit;
    if (size == 0)
        return 0;
    memset(&commit, 0, sizeof commit);
    lineage_init(&device, &hooks, key, 1);
    (void)lineage_confirm(&device, &commit, LINEAGE_REACHED, &value, 1, false);
    if (bytes[0] & 1) {
        lineage_receive(&device, bytes + 1, size - 1);
    } else { /* messages of a length byte and that many bytes each */
        size_t at = 1;
        while (at < size) {
            size_t length = bytes[at++];
            if (length > size - at)
                length = size - at;
            if (length > 0)
                framed(&device, bytes + at, length);
            at += length;
            lineage_poll(&device);
        }
    }
    lineage_poll(&device);
    if (device.oldest > device.next || device.sent > device.next || device.signed_to > device.next ||
        device.next - device.oldest > LINEAGE_RING || device.sent < device.oldest)
        __builtin_trap(); /* the ring holds what it says */
    return 0;
}
