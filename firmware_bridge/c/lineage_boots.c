/* See lineage_boots.h.  A record is a number and its complement.  A torn write or erasure moves bits one way only, so that it never
 * makes a record of another one: what it leaves is this number, or none. */
#include "lineage_boots.h"

#define ERASED 0xffffffffu

static bool is_erased(const lineage_flash *flash, unsigned page, uint32_t record)
{
    uint32_t words[2];
    return flash->read(flash->user, page, record, words) && words[0] == ERASED && words[1] == ERASED;
}

/* The number in a record; 0 for none. */
static uint32_t number_in(const lineage_flash *flash, unsigned page, uint32_t record)
{
    uint32_t words[2];
    if (!flash->read(flash->user, page, record, words) || words[0] == ERASED || words[1] != ~words[0])
        return 0;
    return words[0];
}

/* The first record of a page behind which nothing was ever written. */
static uint32_t end_of(const lineage_flash *flash, unsigned page)
{
    uint32_t record = flash->records;
    while (record > 0 && is_erased(flash, page, record - 1))
        record--;
    return record;
}

static bool stored(const lineage_flash *flash, unsigned page, uint32_t record, uint32_t number)
{
    uint32_t words[2];
    words[0] = number;
    words[1] = ~number;
    return flash->program(flash->user, page, record, words) && number_in(flash, page, record) == number;
}

uint32_t lineage_next_boot(const lineage_flash *flash)
{
    uint32_t last = 0, number, record;
    unsigned page, held = 0, tries;
    for (page = 0; page < 2; page++) {
        for (record = 0; record < flash->records; record++) {
            number = number_in(flash, page, record);
            if (number > last) {
                last = number;
                held = page;
            }
        }
    }
    if (last >= ERASED - 1)
        return 0;
    number = last + 1;
    for (tries = 0; tries < 2; tries++) {
        page = tries == 0 ? held : 1 - held;
        if (tries > 0 && !flash->erase(flash->user, page)) /* also one that looks erased: its erasure may have been cut short */
            return 0;
        for (record = end_of(flash, page); record < flash->records; record++)
            if (stored(flash, page, record, number))
                return number;
    }
    return 0;
}
