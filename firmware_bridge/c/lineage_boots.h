/* The boot number, in two pages of flash: raised at each start, and never the same twice, wherever the power is lost.
 *
 * Optional: a board with FRAM, or with a counter of its own, does not need it.  Each start takes one record of 8 bytes, and a page
 * is erased when the other one is full: with pages of 2 KB that stand 10,000 erasures, 5 million starts. */
#ifndef LINEAGE_BOOTS_H
#define LINEAGE_BOOTS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    void *user;
    uint32_t records; /* of 8 bytes in each of the pages 0 and 1; at least 2 */
    /* Erased memory reads as ones.  False: it cannot be read (a torn record where memory has an error code); that is no error here. */
    bool (*read)(void *user, unsigned page, uint32_t record, uint32_t words[2]);
    bool (*program)(void *user, unsigned page, uint32_t record, const uint32_t words[2]); /* an erased record, once */
    bool (*erase)(void *user, unsigned page);
} lineage_flash;

/* The number of this start, stored when it returns; 0 where memory takes no more records, or no number is left. */
uint32_t lineage_next_boot(const lineage_flash *flash);

#ifdef __cplusplus
}
#endif
#endif
