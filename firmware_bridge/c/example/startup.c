/* From the reset to main, on a Cortex-M3: the vectors, and the memory as C has it. */
#include <stdint.h>

extern uint32_t image_data[], data_begin[], data_end[], bss_begin[], bss_end[], stack_end[];
int main(void);
void on_reset(void);
void on_fault(void);
void on_systick(void);
void on_uart_received(void);
void on_uart_sent(void);

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const vector vectors[16 + 2] = {
    (vector)stack_end, on_reset, on_fault, on_fault, on_fault, on_fault, on_fault, 0, 0, 0, 0, on_fault, on_fault, 0,
    on_fault, on_systick, on_uart_received, on_uart_sent};

void on_fault(void)
{
    for (;;) { /* a real board resets here; the boot number then says so */
    }
}

void on_reset(void)
{
    uint32_t *to, *from = image_data;
    for (to = data_begin; to < data_end; to++)
        *to = *from++;
    for (to = bss_begin; to < bss_end; to++)
        *to = 0;
    (void)main();
    on_fault();
}
