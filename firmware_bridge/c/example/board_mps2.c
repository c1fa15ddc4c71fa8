/* board.h on Arm's MPS2 with the Cortex-M3 image AN385, as QEMU has it (-machine mps2-an385).
 *
 * The line is UART 0, both ways by interrupt: signing takes longer than a UART without a buffer can wait.  The memory that
 * outlives a reset is a file on the debugger's side, by semihosting; a real board has a page of flash or FRAM there. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#define UART_DATA REGISTER(0x40004000)
#define UART_CTRL REGISTER(0x40004008)
#define UART_INTERRUPT REGISTER(0x4000400c) /* bit 0 sent, bit 1 received; 1 clears */
#define UART_DIVIDER REGISTER(0x40004010)
#define SYSTICK_CTRL REGISTER(0xe000e010)
#define SYSTICK_RELOAD REGISTER(0xe000e014)
#define SYSTICK_NOW REGISTER(0xe000e018)
#define INTERRUPT_ENABLE REGISTER(0xe000e100)

enum { CLOCK_MHZ = 25, BAUD = 115200, TICKS_PER_MS = CLOCK_MHZ * 1000, FIFO = 2048 }; /* FIFO: a power of two */

typedef struct {
    uint8_t bytes[FIFO];
    volatile uint32_t in, out; /* counts; one side writes each */
} fifo;

static fifo incoming, outgoing;
static volatile bool sending;
static volatile uint32_t milliseconds, milliseconds_high;

void on_systick(void)
{
    if (++milliseconds == 0)
        milliseconds_high++;
}

void on_uart_received(void)
{
    uint8_t byte;
    UART_INTERRUPT = 2;
    byte = (uint8_t)UART_DATA;
    if (incoming.in - incoming.out < FIFO)
        incoming.bytes[incoming.in++ % FIFO] = byte; /* what finds no room is noise, and the host sends it again */
}

void on_uart_sent(void)
{
    UART_INTERRUPT = 1;
    sending = outgoing.out != outgoing.in;
    if (sending)
        UART_DATA = outgoing.bytes[outgoing.out++ % FIFO];
}

void board_begin(void)
{
    SYSTICK_RELOAD = TICKS_PER_MS - 1;
    SYSTICK_NOW = 0;
    SYSTICK_CTRL = 7; /* the core's clock, with its interrupt */
    UART_DIVIDER = CLOCK_MHZ * 1000000 / BAUD;
    UART_CTRL = 15;       /* both ways, both interrupts */
    INTERRUPT_ENABLE = 3; /* of UART 0 */
}

size_t board_read(uint8_t *bytes, size_t room)
{
    size_t size = 0;
    while (size < room && incoming.out != incoming.in)
        bytes[size++] = incoming.bytes[incoming.out++ % FIFO];
    return size;
}

bool board_write(const uint8_t *bytes, size_t size)
{
    size_t i;
    if (size > FIFO - (outgoing.in - outgoing.out))
        return false;
    for (i = 0; i < size; i++)
        outgoing.bytes[(outgoing.in + i) % FIFO] = bytes[i];
    __asm__ volatile("cpsid i" ::: "memory");
    outgoing.in += (uint32_t)size;
    if (!sending) {
        sending = true;
        UART_DATA = outgoing.bytes[outgoing.out++ % FIFO];
    }
    __asm__ volatile("cpsie i" ::: "memory");
    return true;
}

uint64_t board_micros(void)
{
    uint32_t high, low, ticks;
    do { /* again where a millisecond ended between the reads */
        low = milliseconds;
        high = milliseconds_high;
        ticks = SYSTICK_NOW;
    } while (low != milliseconds);
    /* It counts down, and the millisecond begins with its zero. */
    return ((uint64_t)high << 32 | low) * 1000 + (ticks == 0 ? 0 : TICKS_PER_MS - ticks) / CLOCK_MHZ;
}

/* --- Semihosting: a call to the debugger, which QEMU answers -------------------------------------------------------- */

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };

static int semihost(int call, const void *argument)
{
    register int r0 __asm__("r0") = call;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* All 36 bytes of the file: the seed, and the boots so far, big-endian. */
static bool file(int mode, int call, uint8_t page[36])
{
    static const char name[] = "flash.bin";
    const uintptr_t opened[] = {(uintptr_t)name, (uintptr_t)mode, sizeof name - 1};
    uintptr_t moved[] = {0, (uintptr_t)page, 36};
    int handle = semihost(SYS_OPEN, opened), left;
    if (handle < 0)
        return false;
    moved[0] = (uintptr_t)handle;
    left = semihost(call, moved); /* how many bytes were not read or written */
    (void)semihost(SYS_CLOSE, moved);
    return left == 0;
}

bool board_flash(uint8_t seed[32], uint32_t *boot)
{
    enum { READ_BINARY = 1, WRITE_BINARY = 5 };
    uint8_t page[36];
    unsigned i;
    if (!file(READ_BINARY, SYS_READ, page))
        return false;
    *boot = (uint32_t)page[32] << 24 | (uint32_t)page[33] << 16 | (uint32_t)page[34] << 8 | page[35];
    ++*boot;
    for (i = 0; i < 4; i++)
        page[32 + i] = (uint8_t)(*boot >> (24 - 8 * i));
    for (i = 0; i < 32; i++)
        seed[i] = page[i];
    return file(WRITE_BINARY, SYS_WRITE, page); /* before it is used: a number that was said once is never said again */
}

void board_say(const char *text)
{
    (void)semihost(SYS_WRITE0, text);
}

void board_end(int status)
{
    const uintptr_t stopped[] = {0x20026, (uintptr_t)status}; /* ADP_Stopped_ApplicationExit */
    (void)semihost(SYS_EXIT_EXTENDED, stopped);
    for (;;) {
    }
}
