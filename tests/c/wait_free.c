/* What a control loop calls, where any system call but write and exit ends the process (seccomp's strict mode). */
#define LINEAGE_IMPLEMENTATION
#include "lineage.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

int main(void)
{
    static const char *const arm = "arm";
    static const char done[] = "no system call\n";
    unsigned char what_room[128];
    lin_client *client = lin_open("/nowhere", "wait free");
    lin_field field;
    lin_stream_options rows;
    lin_lane_options stops;
    lin_stream *stream;
    lin_lane *lane;
    lin_claims none;
    lin_buf buf;
    uint64_t tick;
    float value = 1.0f;
    field.name = "position", field.type = "<f4", field.count = 1, field.unit = "rad";
    memset(&rows, 0, sizeof rows);
    memset(&stops, 0, sizeof stops);
    memset(&none, 0, sizeof none);
    lin_begin(&buf, what_room, sizeof what_room);
    lin_map(&buf, 7);
    lin_text(&buf, "mode"), lin_null(&buf), lin_text(&buf, "target"), lin_null(&buf);
    lin_text(&buf, "magnitude"), lin_null(&buf), lin_text(&buf, "unit"), lin_null(&buf);
    lin_text(&buf, "duration_ms"), lin_null(&buf), lin_text(&buf, "reversibility"), lin_null(&buf);
    lin_text(&buf, "confirm_by_ms"), lin_null(&buf);
    rows.actuator = arm;
    rows.fields = &field;
    rows.field_count = 1;
    rows.what = lin_done(&buf);
    rows.row_bytes = sizeof value;
    rows.capacity_rows = 4096;
    stops.action_class = "emergency_stop";
    stops.actuators = &arm;
    stops.actuator_count = 1;
    if (client == NULL || lin_stream_open(client, &rows, &stream, NULL) != LIN_OK ||
        lin_lane_open(client, &stops, &lane, NULL) != LIN_OK)
        return 1;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
        return 77;
    for (tick = 1; tick <= 10000; tick++) { /* more than there is room for, too */
        if (tick % 100 == 1)
            lin_use(stream, tick);
        lin_push(stream, tick, &value);
        if (tick % 10 == 0)
            lin_event(lane, tick, lin_done(&buf), none, "light curtain");
    }
    tick = stream->feed.ring.written + stream->feed.ring.dropped;
    if (tick != 10000 || lane->feed.ring.written + lane->feed.ring.dropped != 1000)
        syscall(SYS_exit, 1);
    (void)!write(1, done, sizeof done - 1);
    syscall(SYS_exit, 0);
    return 0;
}
