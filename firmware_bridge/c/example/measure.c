/* What the device's part costs on a Cortex-M3: instructions and stack of its calls, said by semihosting.
 *
 * For QEMU with -icount shift=0, where an instruction takes a nanosecond and board_micros counts 1,000 of them. */
#include "board.h"
#include "lineage_device.h"
#include "lineage_ed25519.h"

#include <string.h>

enum { TIMES = 1000, PAINT = 0x5a5a5a5a };

extern uint32_t bss_end[];

static uint8_t seed[32], key[32], line[LINEAGE_LINE_MAX];
static size_t line_size;
static lineage_device device;
static uint64_t now_us;
static bool signs;

static bool on_send(void *user, const uint8_t *bytes, size_t size)
{
    (void)user;
    memcpy(line, bytes, size);
    line_size = size;
    return true;
}

static uint64_t on_tick(void *user)
{
    (void)user;
    return now_us;
}

static void on_sign(void *user, uint8_t signature[64], const uint8_t *message, size_t size)
{
    (void)user;
    if (signs)
        lineage_ed25519_sign(signature, seed, key, message, size);
}

static void say_number(uint64_t number)
{
    char digits[21];
    unsigned at = sizeof digits - 1;
    digits[at] = 0;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    board_say(digits + at);
}

static void say(const char *what, uint64_t number, const char *unit)
{
    board_say(what);
    board_say(" ");
    say_number(number);
    board_say(unit);
    board_say("\n");
}

/* Both have the frame that any call from main has. */
static uint32_t stack_now(void)
{
    uint32_t now;
    __asm__ volatile("mov %0, sp" : "=r"(now));
    return now;
}

static void paint(void)
{
    volatile uint32_t *at = bss_end;
    uint32_t end = stack_now() - 128;
    while ((uintptr_t)at < end)
        *at++ = PAINT;
}

/* How deep the stack has gone since it was painted. */
static uint32_t deep(void)
{
    volatile uint32_t *at = bss_end;
    while (*at == PAINT)
        at++;
    return (uint32_t)(stack_now() - (uintptr_t)at);
}

/* A host's message as it stands on the line; none of those here is long enough to want a second full run of COBS. */
static size_t framed(uint8_t *to, const uint8_t *message, size_t size)
{
    uint8_t plain[128];
    uint32_t crc = 0xffffffffu;
    size_t i, bit, code = 0;
    memcpy(plain, message, size);
    for (i = 0; i < size; i++)
        for (crc ^= message[i], bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    for (i = 0; i < 4; i++)
        plain[size++] = (uint8_t)(~crc >> 8 * i);
    for (i = 0; i < size; i++) {
        to[i + 1] = plain[i];
        if (plain[i] == 0) {
            to[code] = (uint8_t)(i + 1 - code);
            code = i + 1;
        }
    }
    to[code] = (uint8_t)(size + 1 - code);
    to[size + 1] = 0;
    return size + 2;
}

static size_t hello(uint8_t *to)
{
    uint8_t message[64] = {0x86, 1, 1, 0x50}; /* a nonce of zeros */
    static const char origin[] = "\x78\x1b" "acme/arm-7/00112233aabbccdd" "\x10\x18\x64"; /* 16 frames, 100 ms */
    memcpy(message + 20, origin, sizeof origin - 1);
    return framed(to, message, 20 + sizeof origin - 1);
}

static size_t ack(uint8_t *to, uint8_t recorded)
{
    uint8_t message[12] = {0x87, 1, 3, 0x44};
    memcpy(message + 4, device.session, 4);
    message[8] = message[9] = message[10] = recorded; /* below 24: one byte each */
    return framed(to, message, sizeof message);
}

static uint64_t since_us;

static void begin(void)
{
    since_us = board_micros();
}

static void end(const char *what, unsigned times)
{
    say(what, (board_micros() - since_us) * 1000 / times, " instructions");
}

int main(void)
{
    static const lineage_hooks hooks = {NULL, on_send, on_tick, on_sign, NULL, NULL};
    static const lineage_value angle = {2, 0.1234567f};
    static const lineage_commit commit = {1000000, 0, {1}};
    uint8_t bytes[LINEAGE_LINE_MAX], signature[64];
    size_t size;
    unsigned i;
    board_begin();
    begin();
    lineage_ed25519_key(key, seed);
    end("lineage_ed25519_key", 1);
    begin();
    for (i = 0; i < 4; i++)
        lineage_ed25519_sign(signature, seed, key, bytes, 160);
    end("lineage_ed25519_sign, 160 bytes", 4);

    lineage_init(&device, &hooks, key, 300);
    size = hello(bytes);
    lineage_receive(&device, bytes, size);
    lineage_poll(&device); /* booted, and the answer */
    lineage_receive(&device, bytes, ack(bytes, 0));
    begin();
    for (i = 0; i < 16; i++)
        (void)lineage_confirm(&device, &commit, LINEAGE_REACHED, &angle, 1, false);
    end("lineage_confirm, one value", 16);
    begin();
    lineage_poll(&device);
    end("lineage_poll, sending 16 frames and their batch, without the signature", 1);
    say("a batch on the line", line_size, " bytes");
    size = ack(bytes, 16);
    begin();
    lineage_receive(&device, bytes, size);
    end("lineage_receive, an ack", 1);
    begin();
    for (i = 0; i < TIMES; i++)
        lineage_poll(&device);
    end("lineage_poll, nothing to do", TIMES);

    paint();
    (void)lineage_confirm(&device, &commit, LINEAGE_REACHED, &angle, 1, true);
    say("stack below lineage_confirm", deep(), " bytes");
    paint();
    lineage_poll(&device);
    say("stack below lineage_poll, without the signature", deep(), " bytes");
    paint();
    lineage_ed25519_sign(signature, seed, key, bytes, 160);
    say("stack below lineage_ed25519_sign", deep(), " bytes");
    (void)lineage_confirm(&device, &commit, LINEAGE_REACHED, &angle, 1, true);
    signs = true;
    paint();
    lineage_poll(&device);
    say("stack below lineage_poll, with it", deep(), " bytes");
    say("lineage_device", sizeof device, " bytes");
    board_end(0);
    return 0;
}
