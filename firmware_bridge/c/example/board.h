/* What main.c asks of a board: a line, a clock, and memory that outlives a reset. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void board_begin(void);
size_t board_read(uint8_t *bytes, size_t room);              /* what has come over the line; never waits */
bool board_write(const uint8_t *bytes, size_t size);         /* all of it, or false and nothing of it; never waits */
uint64_t board_micros(void);                                 /* since the reset; never falls */
bool board_flash(uint8_t seed[32], uint32_t *boot);          /* raises the boot number and gives it; false: no key here */
void board_say(const char *text);                            /* for whoever debugs; not the line */
void board_end(int status);

#endif
