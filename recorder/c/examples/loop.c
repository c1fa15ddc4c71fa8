/*
 * A control loop with eight joints that records every tick, and tells how long that took.
 *
 *     cc -std=c99 -O2 -I.. loop.c -o loop -pthread
 *     ./loop /var/lib/lineage/recorder.sock 10 1000 arm
 *     ./loop - 10 1000 arm                              the same loop without a recorder, to compare
 *
 * arguments: socket, seconds, rate in Hz, actuators: one name for each joint, or one for all.
 *
 * Three threads: main is the control loop; the planner opens a cycle before the one in force ends, and hands its number
 * over; the pump talks to the recorder.  Only the loop may be real-time: run as root, or with CAP_SYS_NICE and
 * CAP_IPC_LOCK, and it is.
 */
#define LINEAGE_IMPLEMENTATION
#include "lineage.h"

#include <sched.h>
#include <sys/mman.h>

enum { JOINTS = 8, TICKS_MAX = 10 * 1000 * 1000, VALID_MS = 5000, CYCLE_COMMITS = 100000 };

/* One row: packed, little-endian, without its time, which lin_push takes by itself. */
typedef struct joint_row {
    float position_rad, velocity_rad_s, effort_nm, target_rad;
    uint32_t tick;
} joint_row;

static const lin_field FIELDS[] = {
    {"position", "<f4", 1, "rad"}, {"velocity", "<f4", 1, "rad/s"}, {"effort", "<f4", 1, "N.m"},
    {"target", "<f4", 1, "rad"},   {"tick", "<u4", 1, "1"},
};

static lin_client *client;
static const char *actuators[JOINTS];
static size_t actuator_count;
static bool stopping;   /* atomic */
static uint64_t carrier; /* atomic: seq of the newest cycle, 0 before the first */

/* ---- Claims ------------------------------------------------------------------------------------------------------ */

static unsigned char what_room[256], who_room[128], why_room[512];

static lin_claims what_claims(void)
{
    lin_buf buf;
    lin_begin(&buf, what_room, sizeof what_room);
    lin_map(&buf, 7);
    lin_text(&buf, "mode"), lin_text(&buf, "position");
    lin_text(&buf, "target"), lin_text(&buf, "pick station 3");
    lin_text(&buf, "magnitude"), lin_f64(&buf, 0.4);
    lin_text(&buf, "unit"), lin_text(&buf, "rad");
    lin_text(&buf, "duration_ms"), lin_u64(&buf, VALID_MS);
    lin_text(&buf, "reversibility"), lin_text(&buf, "reversible");
    lin_text(&buf, "confirm_by_ms"), lin_null(&buf);
    return lin_done(&buf);
}

static lin_claims who_claims(void)
{
    lin_buf buf;
    lin_begin(&buf, who_room, sizeof who_room);
    lin_map(&buf, 2);
    lin_text(&buf, "operator"), lin_text(&buf, "ann");
    lin_text(&buf, "delegation"), lin_null(&buf);
    return lin_done(&buf);
}

static lin_claims why_claims(double nearest_m)
{
    lin_buf buf;
    lin_begin(&buf, why_room, sizeof why_room);
    lin_map(&buf, 4);
    lin_text(&buf, "evaluator"), lin_text(&buf, "planner 2.1");
    lin_text(&buf, "clauses"), lin_list(&buf, 1), lin_text(&buf, "clear_path");
    lin_text(&buf, "inputs"), lin_list(&buf, 1), lin_map(&buf, 2);
    lin_text(&buf, "name"), lin_text(&buf, "lidar.nearest_m");
    lin_text(&buf, "value"), lin_f64(&buf, nearest_m);
    lin_text(&buf, "alternatives"), lin_list(&buf, 0);
    return lin_done(&buf);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------- */

static void sleep_until(uint64_t due_ns)
{
    struct timespec due;
    due.tv_sec = (time_t)(due_ns / 1000000000u);
    due.tv_nsec = (long)(due_ns % 1000000000u);
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &due, NULL) == EINTR)
        continue;
}

static void *pump(void *unused)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
        lin_pump(client, 100);
    return unused;
}

/* Decides, and has the decision recorded before anyone acts on it; again when the last one is half over. */
static void *plan(void *unused)
{
    static const char *const classes[] = {"motion"};
    lin_cycle cycle;
    lin_cycle_options options;
    lin_receipt receipt;
    uint64_t due_ns = 0, before = 0;
    memset(&options, 0, sizeof options);
    options.who = who_claims();
    options.actuators = actuators;
    options.actuator_count = actuator_count;
    options.action_classes = classes;
    options.class_count = 1;
    options.max_commits = CYCLE_COMMITS;
    options.valid_ms = VALID_MS;
    while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
        if (lin_now_ns() >= due_ns) {
            options.why = why_claims(2.4);
            options.supersedes = before == 0 ? NULL : &before;
            if (lin_open_cycle(client, &options, 500, &cycle, &receipt) == LIN_OK) {
                before = cycle.seq;
                __atomic_store_n(&carrier, cycle.seq, __ATOMIC_RELEASE);
                due_ns = lin_now_ns() + VALID_MS * UINT64_C(1000000) / 2;
            } else {
                fprintf(stderr, "planner: %s\n", receipt.detail);
                before = 0; /* perhaps the recorder does not know it any more */
            }
        }
        sleep_until(lin_now_ns() + 10000000);
    }
    return unused;
}

/* A thread inherits the scheduling of its maker unless told otherwise: these two must not be real-time. */
static void start(pthread_t *thread, void *(*run)(void *))
{
    pthread_attr_t attributes;
    struct sched_param ordinary;
    memset(&ordinary, 0, sizeof ordinary);
    pthread_attr_init(&attributes);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_OTHER);
    pthread_attr_setschedparam(&attributes, &ordinary);
    if (pthread_create(thread, &attributes, run, NULL) != 0) {
        fprintf(stderr, "no thread\n");
        exit(1);
    }
    pthread_attr_destroy(&attributes);
}

static void become_real_time(void)
{
    struct sched_param first;
    memset(&first, 0, sizeof first);
    first.sched_priority = 50;
    if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &first) != 0 || mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        fprintf(stderr, "not real-time here: the figures are those of an ordinary process\n");
}

/* ---- The loop ---------------------------------------------------------------------------------------------------- */

static int by_size(const void *one, const void *other)
{
    uint32_t left, right;
    memcpy(&left, one, sizeof left);
    memcpy(&right, other, sizeof right);
    return left < right ? -1 : left > right;
}

static void tell(const char *name, uint32_t *ns, size_t count)
{
    if (count == 0)
        return;
    qsort(ns, count, sizeof *ns, by_size);
    printf("%s_us p50 %.1f p99 %.1f p99.9 %.1f max %.1f\n", name, ns[count / 2] / 1e3, ns[count * 99 / 100] / 1e3,
           ns[count * 999 / 1000] / 1e3, ns[count - 1] / 1e3);
}

static lin_stream *open_stream(const char *actuator, uint64_t hz)
{
    lin_stream_options options;
    lin_stream *stream;
    lin_receipt receipt;
    memset(&options, 0, sizeof options);
    options.actuator = actuator;
    options.fields = FIELDS;
    options.field_count = sizeof FIELDS / sizeof FIELDS[0];
    options.what = what_claims();
    options.row_bytes = sizeof(joint_row);
    options.capacity_rows = (size_t)(5 * hz); /* so long the recorder may be away before rows are lost, and declared */
    if (lin_stream_open(client, &options, &stream, &receipt) != LIN_OK) {
        fprintf(stderr, "no stream: %s\n", receipt.detail);
        exit(1);
    }
    return stream;
}

int main(int argc, char **argv)
{
    lin_stream *streams[JOINTS];
    lin_lane *lane = NULL;
    lin_counts counts;
    pthread_t pumper, planner;
    uint32_t *took_ns, *tick_ns;
    uint64_t hz, ticks, tick, due_ns, used = 0;
    size_t joint, calls = 0;
    bool recording;
    if (argc < 5 || argc > 4 + JOINTS) {
        fprintf(stderr, "usage: loop SOCKET SECONDS HZ ACTUATOR...\n");
        return 2;
    }
    recording = strcmp(argv[1], "-") != 0;
    hz = (uint64_t)atoll(argv[3]);
    ticks = (uint64_t)atoll(argv[2]) * hz;
    if (hz == 0 || hz > 100000 || ticks == 0 || ticks > TICKS_MAX) {
        fprintf(stderr, "seconds and rate make 1 to %d ticks, at most 100000 Hz\n", TICKS_MAX);
        return 2;
    }
    for (actuator_count = 0; (int)actuator_count < argc - 4; actuator_count++)
        actuators[actuator_count] = argv[4 + actuator_count];
    took_ns = (uint32_t *)calloc((size_t)ticks * JOINTS, sizeof *took_ns);
    tick_ns = (uint32_t *)calloc((size_t)ticks, sizeof *tick_ns);
    if (took_ns == NULL || tick_ns == NULL)
        return 1;
    if (recording) {
        lin_lane_options options;
        client = lin_open(argv[1], "loop");
        if (client == NULL) {
            fprintf(stderr, "no client: %s\n", strerror(errno));
            return 1;
        }
        memset(&options, 0, sizeof options);
        options.action_class = "emergency_stop";
        options.actuators = actuators;
        options.actuator_count = actuator_count;
        if (lin_lane_open(client, &options, &lane, NULL) != LIN_OK)
            return 1;
        for (joint = 0; joint < JOINTS; joint++)
            streams[joint] = open_stream(actuators[joint % actuator_count], hz);
        start(&pumper, pump);
        start(&planner, plan);
        while (__atomic_load_n(&carrier, __ATOMIC_ACQUIRE) == 0) /* no motion before there is a why */
            sleep_until(lin_now_ns() + 1000000);
    }
    become_real_time();
    due_ns = lin_now_ns();
    for (tick = 0; tick < ticks; tick++) {
        uint64_t now_ns, newest;
        joint_row row;
        due_ns += 1000000000u / hz;
        sleep_until(due_ns);
        if (recording) {
            newest = __atomic_load_n(&carrier, __ATOMIC_ACQUIRE);
            for (joint = 0; newest != used && joint < JOINTS; joint++)
                if (!lin_use(streams[joint], newest))
                    break; /* far behind: again at the next tick */
            used = joint == JOINTS ? newest : used;
        }
        for (joint = 0; joint < JOINTS; joint++) { /* here would be: read the joint, control it, command it */
            row.position_rad = (float)tick * 0.001f;
            row.velocity_rad_s = row.effort_nm = 0.0f;
            row.target_rad = (float)joint;
            row.tick = (uint32_t)tick;
            now_ns = lin_now_ns();
            if (recording) {
                lin_push(streams[joint], now_ns, &row); /* LIN_FULL needs no care: it is counted, and declared */
                took_ns[calls++] = (uint32_t)(lin_now_ns() - now_ns);
            }
        }
        if (recording && tick == ticks / 2) { /* the light curtain was broken */
            lin_claims none;
            memset(&none, 0, sizeof none);
            lin_event(lane, lin_now_ns(), none, none, "light curtain");
        }
        tick_ns[tick] = (uint32_t)(lin_now_ns() - due_ns);
    }
    tell("tick", tick_ns, (size_t)ticks);
    tell("push", took_ns, calls);
    if (recording) {
        lin_result closed;
        __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
        lin_wake(client);
        pthread_join(planner, NULL);
        pthread_join(pumper, NULL);
        closed = lin_close(client, 10000, &counts);
        printf("rows recorded %lu durable %lu dropped %lu pending %lu, events durable %lu\n",
            (unsigned long)counts.rows_recorded,
               (unsigned long)counts.rows_acknowledged, (unsigned long)counts.rows_dropped,
                   (unsigned long)counts.rows_pending,
               (unsigned long)counts.events_acknowledged);
        if (closed != LIN_OK)
            fprintf(stderr, "not everything is durable\n");
    }
    free(took_ns);
    free(tick_ns);
    return 0;
}
