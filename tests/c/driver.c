/* What tests/c drives: a client under load, which tells on stdout what it did and what became of it. */
#define LINEAGE_IMPLEMENTATION
#include "lineage.h"

#include <stdlib.h>

static lin_client *client;
static bool stopping; /* atomic */

static bool is_set(const bool *flag) { return __atomic_load_n(flag, __ATOMIC_ACQUIRE); }

static void *pump(void *unused)
{
    while (!is_set(&stopping))
        lin_pump(client, 50);
    return unused;
}

static void sleep_until(uint64_t due_ns)
{
    struct timespec due;
    due.tv_sec = (time_t)(due_ns / 1000000000u);
    due.tv_nsec = (long)(due_ns % 1000000000u);
    while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &due, NULL) == EINTR)
        continue;
}

static lin_claims what_of(void *room, size_t size, double magnitude)
{
    lin_buf buf;
    lin_begin(&buf, room, size);
    lin_map(&buf, 7);
    lin_text(&buf, "mode"), lin_text(&buf, "position");
    lin_text(&buf, "target"), lin_f64(&buf, 1.57);
    lin_text(&buf, "magnitude"), lin_f64(&buf, magnitude);
    lin_text(&buf, "unit"), lin_text(&buf, "rad");
    lin_text(&buf, "duration_ms"), lin_u64(&buf, 200);
    lin_text(&buf, "reversibility"), lin_text(&buf, "reversible");
    lin_text(&buf, "confirm_by_ms"), lin_null(&buf);
    return lin_done(&buf);
}

static unsigned char who_room[128], why_room[256];
static lin_claims who, why;

static void state_claims(void)
{
    lin_buf buf;
    lin_begin(&buf, who_room, sizeof who_room);
    lin_map(&buf, 2);
    lin_text(&buf, "operator"), lin_text(&buf, "ann");
    lin_text(&buf, "delegation"), lin_null(&buf);
    who = lin_done(&buf);
    lin_begin(&buf, why_room, sizeof why_room);
    lin_map(&buf, 4);
    lin_text(&buf, "evaluator"), lin_text(&buf, "planner 2.1");
    lin_text(&buf, "clauses"), lin_list(&buf, 1), lin_text(&buf, "clear_path");
    lin_text(&buf, "inputs"), lin_list(&buf, 1), lin_map(&buf, 2);
    lin_text(&buf, "name"), lin_text(&buf, "lidar.nearest_m"), lin_text(&buf, "value"), lin_f64(&buf, 2.4);
    lin_text(&buf, "alternatives"), lin_list(&buf, 0);
    why = lin_done(&buf);
}

static lin_result open_cycle(lin_cycle *cycle, const char *action_class, uint64_t max_commits, int timeout_ms,
    lin_receipt *receipt)
{
    static const char *const actuators[] = {"arm", "arm.joint1"};
    lin_cycle_options options;
    memset(&options, 0, sizeof options);
    options.who = who;
    options.why = why;
    options.actuators = actuators;
    options.actuator_count = 2;
    options.action_classes = &action_class;
    options.class_count = 1;
    options.max_commits = max_commits;
    options.valid_ms = 60000;
    return lin_open_cycle(client, &options, timeout_ms, cycle, receipt);
}

/* A contemplated act, by the recorder's policy: a stage of it, after another one or none. */
static lin_result open_stage(lin_cycle *cycle, const char *stage, int timeout_ms, lin_receipt *receipt)
{
    static const char *const names[] = {"direct", "tentative", "witnessed", "executed", "aborted"};
    static const char *const actuators[] = {"arm"}, *const classes[] = {"motion"};
    static unsigned char room[256], where_room[32];
    uint64_t before = cycle->seq;
    unsigned number = 0;
    lin_cycle_options options;
    lin_buf buf;
    while (strcmp(names[number], stage) != 0)
        number++;
    memset(&options, 0, sizeof options);
    options.who = who;
    options.actuators = actuators, options.actuator_count = 1;
    options.action_classes = classes, options.class_count = 1;
    options.max_commits = 100, options.valid_ms = 60000;
    options.what = what_of(room, sizeof room, 0.5);
    lin_begin(&buf, where_room, sizeof where_room);
    lin_map(&buf, 1), lin_text(&buf, "frame"), lin_text(&buf, "base");
    options.where = lin_done(&buf);
    options.grant = number == LIN_EXECUTED ? "signed" : NULL;
    options.grant_size = number == LIN_EXECUTED ? 6 : 0;
    options.stage = (lin_stage)number;
    options.predecessor = before == 0 ? NULL : &before;
    return lin_open_cycle(client, &options, timeout_ms, cycle, receipt);
}

typedef struct row {
    float position_rad[6];
    uint32_t tick;
} row;

static lin_stream *open_stream(const char *actuator, const char *unit, size_t capacity, lin_receipt *receipt)
{
    static unsigned char room[256];
    lin_field fields[2];
    lin_stream_options options;
    lin_stream *stream = NULL;
    memset(&options, 0, sizeof options);
    fields[0].name = "position_rad", fields[0].type = "<f4", fields[0].count = 6, fields[0].unit = "rad";
    fields[1].name = "tick", fields[1].type = "<u4", fields[1].count = 1, fields[1].unit = unit;
    options.actuator = actuator;
    options.fields = fields;
    options.field_count = 2;
    options.what = what_of(room, sizeof room, 0.4);
    options.row_bytes = sizeof(row);
    options.capacity_rows = capacity;
    if (lin_stream_open(client, &options, &stream, receipt) != LIN_OK)
        fprintf(stderr, "no stream: %s\n", receipt->detail), exit(3);
    return stream;
}

static lin_lane *open_lane(const char *actuator, size_t capacity)
{
    lin_lane_options options;
    lin_lane *lane = NULL;
    memset(&options, 0, sizeof options);
    options.action_class = "emergency_stop";
    options.actuators = &actuator;
    options.actuator_count = 1;
    options.capacity = capacity;
    if (lin_lane_open(client, &options, &lane, NULL) != LIN_OK)
        exit(3);
    return lane;
}

static void tell(const char *name, uint64_t value) { printf("%s %llu\n", name, (unsigned long long)value); }

static void tell_counts(const lin_counts *counts)
{
    tell("rows_recorded", counts->rows_recorded), tell("rows_acknowledged", counts->rows_acknowledged);
    tell("rows_rejected", counts->rows_rejected), tell("rows_dropped", counts->rows_dropped);
    tell("rows_pending", counts->rows_pending), tell("events_recorded", counts->events_recorded);
    tell("events_acknowledged", counts->events_acknowledged), tell("events_rejected", counts->events_rejected);
    tell("events_dropped", counts->events_dropped), tell("events_pending", counts->events_pending);
    tell("losses_pending", counts->losses_pending), tell("lost_declared", counts->lost_declared);
    tell("lost_undeclared", counts->lost_undeclared), tell("lagging", counts->lagging);
}

/* ---- mixed: a loop at `hz`, a planner, a watcher ----------------------------------------------------------------- */

static uint64_t carrier; /* atomic: the planner's newest cycle */
static uint64_t commits[8];

static void *plan(void *unused)
{
    lin_cycle cycle;
    lin_receipt receipt;
    unsigned char room[256];
    unsigned number = 0;
    bool open = false;
    while (!is_set(&stopping)) {
        lin_act act;
        lin_result result;
        if (!open || number % 32 == 0) {
            lin_cycle opened;
            result = open_cycle(&opened, "motion", 100000, 200, &receipt);
            if (result == LIN_OK) {
                cycle = opened;
                open = true;
                __atomic_store_n(&carrier, cycle.seq, __ATOMIC_RELEASE);
            } else {
                fprintf(stderr, "no cycle: %d %s\n", result, receipt.detail);
            }
        }
        number++;
        if (!open)
            continue;
        memset(&act, 0, sizeof act);
        act.actuator = "arm.joint1";
        act.what = what_of(room, sizeof room, number);
        result = lin_commit(client, &cycle, &act, 100, &receipt);
        commits[result]++;
        if (result == LIN_OK)
            printf("durable %u %llu %llu\n", number, (unsigned long long)receipt.seq,
                (unsigned long long)receipt.index);
        else
            fprintf(stderr, "commit %u: %d %s\n", number, result, receipt.detail);
    }
    return unused;
}

static void *watch(void *unused)
{
    lin_counts counts;
    char trouble[LIN_DETAIL_BYTES];
    while (!is_set(&stopping)) {
        lin_counts_of(client, &counts);
        if (counts.rows_pending > counts.rows_recorded ||
            counts.losses_pending > counts.rows_dropped + counts.rows_rejected + counts.events_dropped + counts.events_rejected)
            fprintf(stderr, "counts that cannot be\n"), exit(4);
        lin_trouble(client, trouble);
        sleep_until(lin_now_ns() + 2000000);
    }
    return unused;
}

static int mixed(uint64_t ticks, uint64_t hz, size_t capacity)
{
    lin_receipt receipt;
    lin_stream *streams[2];
    lin_lane *lane;
    pthread_t planner, watcher;
    uint64_t used = 0, due_ns, tick, taken[2] = {0, 0}, events = 0;
    streams[0] = open_stream("arm", "1", capacity, &receipt);
    streams[1] = open_stream("arm.joint1", "tick", capacity, &receipt);
    lane = open_lane("arm", 64);
    pthread_create(&planner, NULL, plan, NULL);
    pthread_create(&watcher, NULL, watch, NULL);
    while (__atomic_load_n(&carrier, __ATOMIC_ACQUIRE) == 0)
        sleep_until(lin_now_ns() + 1000000);
    printf("started\n"), fflush(stdout);
    due_ns = lin_now_ns();
    for (tick = 0; tick < ticks; tick++) {
        uint64_t newest = __atomic_load_n(&carrier, __ATOMIC_ACQUIRE);
        unsigned char room[256];
        row values;
        size_t at;
        memset(&values, 0, sizeof values);
        values.tick = (uint32_t)tick;
        if (newest != used && lin_use(streams[0], newest) && lin_use(streams[1], newest))
            used = newest;
        for (at = 0; at < 2; at++)
            taken[at] += lin_push(streams[at], lin_now_ns(), &values) == LIN_OK;
        if (tick % 50 == 0) {
            lin_claims none;
            memset(&none, 0, sizeof none);
            events += lin_event(lane, lin_now_ns(), what_of(room, sizeof room, (double)tick), none,
                "light curtain") == LIN_OK;
        }
        due_ns += 1000000000u / hz;
        sleep_until(due_ns);
    }
    __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
    pthread_join(planner, NULL);
    pthread_join(watcher, NULL);
    tell("taken", taken[0] + taken[1]);
    tell("offered", 2 * ticks);
    tell("events_taken", events);
    tell("commits_ok", commits[LIN_OK]);
    tell("commits_unavailable", commits[LIN_UNAVAILABLE]);
    tell("commits_other",
        commits[LIN_REFUSED] + commits[LIN_NOT_RECORDED] + commits[LIN_MISUSE] + commits[LIN_UNGATED_PENDING]);
    return 0;
}

/* ---- commits: one after the other, each told --------------------------------------------------------------------- */

static void say(const char *what, lin_result result, const lin_receipt *receipt)
{
    static const char *const names[] = {"ok", "ungated_pending", "full", "refused", "unavailable", "not_recorded",
        "misuse"};
    printf("%s %s late=%d rule=%d decision=%d duplicate=%d %s\n", what, names[result], receipt->late,
        receipt->on_unavailable,
           receipt->decision, receipt->duplicate, receipt->detail);
    fflush(stdout);
}

/* Reads from stdin what to do next, so that a test can stop and start the recorder in between. */
static int scripted(void)
{
    static char line[512];
    lin_cycle cycle;
    lin_stream *stream = NULL;
    lin_lane *lane = NULL;
    lin_receipt receipt, asked;
    lin_result result;
    lin_counts counts;
    unsigned char room[256];
    uint32_t tick = 0;
    memset(&cycle, 0, sizeof cycle);
    memset(&asked, 0, sizeof asked);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char word[64] = "", argument[256] = "";
        int number = 0;
        if (sscanf(line, "%63s %255s %d", word, argument, &number) < 1)
            continue;
        memset(&receipt, 0, sizeof receipt);
        if (strcmp(word, "open") == 0) { /* CLASS TIMEOUT_MS */
            result = open_cycle(&cycle, argument, 100000, number, &receipt);
            if (result == LIN_OK) {
                char id[LIN_ID_BYTES];
                lin_cycle_id(&cycle, id);
                lini_say(receipt.detail, sizeof receipt.detail, id, "");
            }
            say("open", result, &receipt);
        } else if (strcmp(word, "join") == 0) { /* ID TIMEOUT_MS */
            say("join", lin_join_cycle(client, argument, who, number, &cycle, &receipt), &receipt);
        } else if (strcmp(word, "stage") == 0) { /* STAGE TIMEOUT_MS */
            say("stage", open_stage(&cycle, argument, number, &receipt), &receipt);
        } else if (strcmp(word, "abort") == 0) { /* REASON AT_MONO_NS */
            lin_act instead;
            memset(&instead, 0, sizeof instead);
            instead.what = what_of(room, sizeof room, 0);
            instead.at_mono_ns = (uint64_t)number;
            say("abort", lin_abort_cycle(client, &cycle, &instead, argument, &receipt), &receipt);
        } else if (strcmp(word, "close") == 0) { /* REASON TIMEOUT_MS */
            say("close", lin_close_cycle(client, &cycle, argument, number, &receipt), &receipt);
        } else if (strcmp(word, "commit") == 0) { /* MAGNITUDE TIMEOUT_MS */
            lin_act act;
            memset(&act, 0, sizeof act);
            act.actuator = "arm";
            act.what = what_of(room, sizeof room, atof(argument));
            result = lin_commit(client, &cycle, &act, number, &receipt);
            if (result == LIN_OK)
                lin_receipt_id(&receipt, receipt.detail);
            say("commit", result, &receipt);
        } else if (strcmp(word, "ask") == 0) { /* MAGNITUDE TIMEOUT_MS: a commit that two are to witness */
            lin_act act;
            memset(&act, 0, sizeof act);
            act.actuator = "arm";
            act.what = what_of(room, sizeof room, atof(argument));
            act.witnesses = 2;
            act.within_ms = 60000;
            result = lin_commit(client, &cycle, &act, number, &asked);
            if (result == LIN_OK)
                lin_receipt_id(&asked, asked.detail);
            say("ask", result, &asked);
        } else if (strcmp(word, "witnessed") == 0) { /* - WAIT_MS: of the last that asked */
            lin_signatures found;
            result = lin_witnessed(client, &asked, (unsigned)number, &found, &receipt);
            if (result == LIN_OK)
                snprintf(receipt.detail, sizeof receipt.detail, "%d of %d, %d asked, %d in time: %s",
                    (int)found.signed_count, (int)found.wanted, (int)found.asked, (int)found.in_time, found.names[0]);
            say("witnessed", result, &receipt);
        } else if (strcmp(word, "bare") == 0) { /* a commit that lacks claims: - TIMEOUT_MS */
            lin_act act;
            lin_buf buf;
            memset(&act, 0, sizeof act);
            act.actuator = "arm";
            lin_begin(&buf, room, sizeof room);
            lin_map(&buf, 1), lin_text(&buf, "mode"), lin_text(&buf, "position");
            act.what = lin_done(&buf);
            result = lin_commit(client, &cycle, &act, number, &receipt);
            say("bare", result, &receipt);
        } else if (strcmp(word, "stream") == 0) { /* ACTUATOR CAPACITY */
            stream = open_stream(argument, "1", (size_t)number, &receipt);
            say("stream", lin_use(stream, cycle.seq == 0 ? 1 : cycle.seq) ? LIN_OK : LIN_FULL, &receipt);
        } else if (strcmp(word, "use") == 0) { /* - CARRIER */
            say("use", lin_use(stream, (uint64_t)number) ? LIN_OK : LIN_FULL, &receipt);
        } else if (strcmp(word, "push") == 0 || strcmp(word, "back") == 0) { /* - COUNT; back: each before the last */
            row values;
            int taken = 0;
            uint64_t back_ns = 0;
            memset(&values, 0, sizeof values);
            for (; number > 0; number--) {
                values.tick = tick++;
                back_ns += word[0] == 'b' ? 1000000000u : 0;
                taken += lin_push(stream, lin_now_ns() - back_ns, &values) == LIN_OK;
            }
            printf("push %d\n", taken), fflush(stdout);
        } else if (strcmp(word, "lane") == 0) { /* ACTUATOR CAPACITY */
            lane = open_lane(argument, (size_t)number);
            say("lane", LIN_OK, &receipt);
        } else if (strcmp(word, "event") == 0) { /* REASON COUNT */
            lin_claims none;
            int taken = 0;
            memset(&none, 0, sizeof none);
            for (; number > 0; number--)
                taken += lin_event(lane, lin_now_ns(), what_of(room, sizeof room, number), none, argument) == LIN_OK;
            printf("event %d\n", taken), fflush(stdout);
        } else if (strcmp(word, "gap") == 0) { /* REASON COUNT */
            const char *actuator = "arm";
            say("gap", lin_gap(client, &actuator, 1, (uint64_t)number, 5, 9, argument), &receipt);
        } else if (strcmp(word, "flush") == 0) { /* - TIMEOUT_MS */
            say("flush", lin_flush(client, number), &receipt);
        } else if (strcmp(word, "trouble") == 0) {
            lin_trouble(client, receipt.detail);
            say("trouble", LIN_OK, &receipt);
        } else if (strcmp(word, "counts") == 0) {
            lin_counts_of(client, &counts);
            tell_counts(&counts);
            printf("end\n"), fflush(stdout);
        } else {
            fprintf(stderr, "what is %s?\n", word);
            return 3;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t pumper;
    lin_counts left;
    lin_result result;
    int status = 3;
    if (argc < 3)
        return 3;
    state_claims();
    client = lin_open(argv[1], "driver");
    if (client == NULL)
        return 3;
    pthread_create(&pumper, NULL, pump, NULL);
    if (strcmp(argv[2], "mixed") == 0 && argc == 6)
        status = mixed((uint64_t)atoll(argv[3]), (uint64_t)atoll(argv[4]), (size_t)atoll(argv[5]));
    else if (strcmp(argv[2], "script") == 0)
        status = scripted();
    __atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
    lin_wake(client);
    pthread_join(pumper, NULL);
    result = lin_close(client, argc == 4 ? atoi(argv[3]) : 30000, &left);
    tell_counts(&left);
    tell("closed", result == LIN_OK);
    return status;
}
