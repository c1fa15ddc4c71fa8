/* The device's C part behind a pipe: one command a line, its effects as lines, "ok RESULT" at its end.
 * Time comes with the commands, signatures from whoever drives it: the same commands give the same lines. */
#include "lineage_device.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t now_us;
static bool line_full;
static lineage_device device;
static char line[65536];

static void print_hex(const char *word, const uint8_t *bytes, size_t size)
{
    printf("%s ", word);
    while (size--)
        printf("%02x", *bytes++);
    printf("\n");
}

static size_t hex_of(const char *text, uint8_t *bytes, size_t room)
{
    size_t size = 0;
    unsigned byte;
    while (size < room && sscanf(text, "%2x", &byte) == 1) {
        bytes[size++] = (uint8_t)byte;
        text += 2;
    }
    return size;
}

static bool on_send(void *user, const uint8_t *bytes, size_t size)
{
    (void)user;
    if (!line_full)
        print_hex("out", bytes, size);
    return !line_full;
}

static uint64_t on_tick(void *user)
{
    (void)user;
    return now_us;
}

static void on_sign(void *user, uint8_t signature[64], const uint8_t *message, size_t size)
{
    char answer[160];
    (void)user;
    print_hex("sign", message, size);
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL || hex_of(answer, signature, 64) != 64)
        exit(3);
}

static void on_granted(void *user, const lineage_grant *grant)
{
    (void)user;
    printf("granted %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n", grant->grant, grant->actuator, grant->commits,
           grant->valid_ms, grant->irreversible);
}

static void on_receipt(void *user, const lineage_receipt *receipt)
{
    (void)user;
    print_hex("hash", receipt->commit.hash, sizeof receipt->commit.hash);
    printf("receipt %d %" PRIu64 " %d %d %" PRIu64 " %" PRIu64 "\n", receipt->has_request, receipt->request,
           receipt->verdict, receipt->has_commit, receipt->commit.seq, receipt->commit.place);
}

/* "QUANTITY:VALUE", as many as there are */
static size_t values_of(lineage_value values[16])
{
    size_t count = 0;
    char *word;
    while (count < 16 && (word = strtok(NULL, " \n")) != NULL) {
        values[count].quantity = (uint8_t)strtoul(word, &word, 10);
        values[count++].value = strtof(word + 1, NULL);
    }
    return count;
}

static uint64_t number(void)
{
    const char *word = strtok(NULL, " \n");
    return word == NULL ? 0 : strtoull(word, NULL, 10);
}

int main(void)
{
    static const lineage_hooks hooks = {NULL, on_send, on_tick, on_sign, on_granted, on_receipt};
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *verb = strtok(line, " \n");
        lineage_value values[16];
        uint64_t result = 0;
        if (verb == NULL)
            continue;
        if (strcmp(verb, "init") == 0) {
            uint8_t key[32];
            uint32_t boot = (uint32_t)number();
            (void)hex_of(strtok(NULL, " \n"), key, 32);
            now_us = 0;
            lineage_init(&device, &hooks, key, boot);
        } else if (strcmp(verb, "now") == 0) {
            now_us = number();
        } else if (strcmp(verb, "full") == 0) {
            line_full = number() != 0;
        } else if (strcmp(verb, "in") == 0) {
            static uint8_t bytes[sizeof line / 2];
            lineage_receive(&device, bytes, hex_of(strtok(NULL, " \n"), bytes, sizeof bytes));
            result = device.noise;
        } else if (strcmp(verb, "noise") == 0) { /* of a seed, so many bytes, in pieces of 1 to 256 */
            uint64_t state = number(), left = number();
            uint8_t bytes[256];
            while (left > 0) {
                size_t size = 0, piece = 1 + (state >> 33) % sizeof bytes;
                while (size < piece && left > 0) {
                    state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
                    bytes[size++] = (uint8_t)(state >> 56);
                    left--;
                }
                lineage_receive(&device, bytes, size);
            }
            result = device.noise;
        } else if (strcmp(verb, "poll") == 0) {
            now_us = number();
            lineage_poll(&device);
        } else if (strcmp(verb, "confirm") == 0) {
            lineage_commit commit;
            enum lineage_outcome outcome;
            bool at_once;
            unsigned i;
            memset(&commit, 0, sizeof commit);
            commit.seq = number();
            for (i = 0; i < 8; i++)
                commit.hash[15 - i] = (uint8_t)(commit.seq >> 8 * i);
            outcome = (enum lineage_outcome)number();
            at_once = number() != 0;
            result = lineage_confirm(&device, &commit, outcome, values, values_of(values), at_once);
        } else if (strcmp(verb, "reached") == 0) {
            lineage_commit commit;
            memset(&commit, 0, sizeof commit);
            commit.seq = number();
            commit.place = number();
            (void)hex_of(strtok(NULL, " \n"), commit.hash, sizeof commit.hash);
            result = lineage_confirm(&device, &commit, LINEAGE_REACHED, values, values_of(values), false);
        } else if (strcmp(verb, "request") == 0) {
            lineage_grant grant;
            uint64_t said = 0;
            memset(&grant, 0, sizeof grant);
            grant.grant = number();
            grant.actuator = number();
            result = lineage_request(&device, &grant, values, values_of(values), 200, UINT64_MAX, &said);
            result = result ? said + 1 : 0;
        } else if (strcmp(verb, "held") == 0) {
            result = device.next - device.oldest;
        } else if (strcmp(verb, "event") == 0) {
            uint8_t event = (uint8_t)number();
            result = lineage_event(&device, event, values, values_of(values), true);
        } else if (strcmp(verb, "observe") == 0) {
            result = lineage_observe(&device, values, values_of(values));
        } else if (strcmp(verb, "fault") == 0) {
            uint8_t fault = (uint8_t)number();
            const char *detail = strtok(NULL, " \n");
            result = lineage_fault(&device, fault, (int32_t)strtol(detail, NULL, 10));
        } else {
            return 2;
        }
        printf("ok %" PRIu64 "\n", result);
        fflush(stdout);
    }
    return 0;
}
