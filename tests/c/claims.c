/* Says of each line of hex whether the header would let these claims leave. */
#define LINEAGE_IMPLEMENTATION
#include "lineage.h"

int main(void)
{
    static char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t size = 0;
        unsigned byte;
        /* exactly as large as the claims, so that a sanitizer sees a read behind them */
        unsigned char *bytes;
        lin_claims claims;
        while (sscanf(line + 2 * size, "%2x", &byte) == 1)
            size++;
        bytes = (unsigned char *)malloc(size > 0 ? size : 1);
        if (bytes == NULL)
            return 1;
        for (claims.size = 0; claims.size < size; claims.size++) {
            sscanf(line + 2 * claims.size, "%2x", &byte);
            bytes[claims.size] = (unsigned char)byte;
        }
        claims.data = bytes;
        printf("%s\n", lini_claims_ok(claims) ? "ok" : "no");
        fflush(stdout);
        free(bytes);
    }
    return 0;
}
