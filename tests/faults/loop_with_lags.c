/*
 * The example loop, and when each of its rows was known to be durable.
 *
 *     loop_with_lags FILE SOCKET SECONDS HZ ACTUATOR...
 *
 * The loop itself is the shipped one, unchanged.  Its pump notes after each turn which rows were acknowledged in it, on the
 * pump's own thread: a thread that samples would take the processor from what is measured.  FILE gets two u64 for each
 * durable row, in the machine's byte order: when it was pushed, and the beginning of the turn of the pump in which its receipt
 * was read (CLOCK_BOOTTIME).  So a lag has the whole way in it: ring, pump, socket, window, sync and receipt; what it lacks is the
 * length of one turn, some 0.1 ms.
 */
#define LINEAGE_IMPLEMENTATION
#include "lineage.h"

#include <string.h>

static FILE *lags;
static uint64_t noted[LIN_STREAMS_MAX];

static void note(const lin_client *of, uint64_t known_ns)
{
    uint64_t at;
    for (at = 0; at < lini_load(&of->stream_count); at++) {
        const lini_feed *feed = &of->streams[at]->feed;
        uint64_t acknowledged = lini_load(&feed->acknowledged);
        /* The slots are free by now, but their producer comes round to them only after a whole ring: seconds. */
        for (; noted[at] < acknowledged; noted[at]++) {
            uint64_t pair[2];
            memcpy(&pair[0], lini_slot(&feed->ring, noted[at]), 8);
            pair[1] = known_ns;
            if (fwrite(pair, sizeof pair, 1, lags) != 1) {
                perror("lags");
                exit(1);
            }
        }
    }
}

static int noting_pump(lin_client *of, int timeout_ms)
{
    uint64_t began_ns = lin_now_ns();
    int answers = lin_pump(of, timeout_ms);
    note(of, began_ns);
    return answers;
}

/* What is left is delivered here, so that no row is without its lag. */
static lin_result noting_close(lin_client *of, int timeout_ms, lin_counts *left)
{
    uint64_t until_ns = lin_now_ns() + (uint64_t)timeout_ms * 1000000u;
    do {
        noting_pump(of, 1);
        lin_counts_of(of, left);
    } while (left->rows_pending > 0 && lin_now_ns() < until_ns);
    noting_pump(of, 0);
    return lin_close(of, timeout_ms, left);
}

#define lin_pump noting_pump
#define lin_close noting_close
#define main loop_main
#include "examples/loop.c"
#undef main

int main(int argc, char **argv)
{
    int status;
    if (argc < 2 || (lags = fopen(argv[1], "wb")) == NULL) {
        perror(argc < 2 ? "no file named" : argv[1]);
        return 2;
    }
    status = loop_main(argc - 1, argv + 1);
    return fclose(lags) == 0 ? status : 1;
}
