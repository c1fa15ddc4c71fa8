/*
 * lineage.h: a client of the lineage recorder for control loops in C99 and C++11.
 *
 * One header, in the manner of stb: in ONE source file
 *
 *     #define LINEAGE_IMPLEMENTATION
 *     #include "lineage.h"
 *
 * before any other header (or compile that file with -D_POSIX_C_SOURCE=200809L); everywhere else just include it.
 * It needs Linux, POSIX threads and the __atomic builtins of GCC or Clang (C99 has no atomics), and nothing else.
 * What goes over the socket is in ../PROTOCOL.md.
 *
 * WHO MAY CALL WHAT
 *
 *   lin_push lin_use      the one thread that owns the stream         wait-free, no system call, no lock, no malloc
 *   lin_event             the one thread that owns the events lane    wait-free, no system call, no lock, no malloc
 *   lin_counts_of         any thread                                  wait-free
 *   lin_pump              one thread for each client, not real-time   owns the sockets, sleeps for `timeout_ms` at most
 *   all others            any thread that may wait
 *
 *   A thread inherits the scheduling of its maker: give the one that pumps SCHED_OTHER (examples/loop.c shows it).
 *
 * WHAT IT PROMISES
 *
 *   A row or event that was taken stays in its ring until the recorder has it, durably, and is sent again with the same
 *   bytes and the same request id until then.  One that finds no room, or that the recorder will not take, is counted,
 *   and declared to the recorder as a gap.  So: recorded = acknowledged + rejected + pending, and what was dropped or
 *   rejected equals lost_declared once losses_pending is 0 (lost_undeclared says what could not even be declared).
 *
 * SHAPE
 *
 *   control loop ─lin_push──▶ ring of each stream ─┐
 *                ─lin_event─▶ ring of each lane ───┤ lin_pump ─▶ three sessions, three SEQPACKET sockets ─▶ recorder
 *   planner ─lin_commit, lin_open_cycle (wait)─────┘             control, events, rows: so that a stop overtakes rows
 *
 *   Rings have one producer and one consumer; all else stands under one lock, which producers never take.
 */
#ifndef LINEAGE_H
#define LINEAGE_H

#if defined(LINEAGE_IMPLEMENTATION) && !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L /* clock_gettime, sockets and threads under -std=c99 */
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Results ----------------------------------------------------------------------------------------------------- */

typedef enum lin_result {
    LIN_OK = 0,
    LIN_UNGATED_PENDING, /* recorder away or late, and the class goes on without it: act; an ungated event follows */
    LIN_FULL,            /* no room: the row or event is counted as lost, and will be declared */
    LIN_REFUSED,         /* not admitted; the refusal is recorded */
    LIN_UNAVAILABLE,     /* recorder away, late or unable to store: do not act */
    LIN_NOT_RECORDED,    /* not understood, permitted or possible; nothing was recorded */
    LIN_MISUSE           /* this call cannot be right, whatever the recorder says; nothing was sent */
} lin_result;

typedef enum lin_rule { LIN_RULE_UNKNOWN = 0, LIN_RULE_HOLD, LIN_RULE_CONTINUE } lin_rule;

enum { LIN_DETAIL_BYTES = 256, LIN_NAME_BYTES = 64, LIN_ID_BYTES = 64 };
enum { LIN_STREAMS_MAX = 64, LIN_LANES_MAX = 16, LIN_CYCLE_ACTUATORS_MAX = 64, LIN_CYCLE_CLASSES_MAX = 16 };
enum { LIN_WITNESSES_MAX = 64 };

/* Witnesses that a commit asked, and who has signed. */
typedef struct lin_signatures {
    uint64_t wanted, within_ms;
    size_t asked;                                   /* fewer than wanted where not as many could be */
    size_t signed_count, in_time;                   /* by now; of them within within_ms */
    char names[LIN_WITNESSES_MAX][LIN_NAME_BYTES];  /* of those that signed, cut where they are longer */
    uint64_t after_ms[LIN_WITNESSES_MAX];           /* from the durable commit to the durable evidence */
} lin_signatures;

/* What a call that waits has to say; its fields mean something only where the comment says so. */
typedef struct lin_receipt {
    uint64_t seq;                  /* LIN_OK, LIN_REFUSED: the entry */
    uint64_t index;                /* LIN_OK: which commit of the entry */
    unsigned char entry_hash[32];  /* LIN_OK, LIN_REFUSED */
    int decision;                  /* LIN_OK: 0 admitted ... 5 outside the grant (FORMAT.md key 16); -1 none */
    bool duplicate;                /* LIN_OK: a repeat over a reconnect; this is the first answer */
    bool late;                     /* LIN_UNAVAILABLE, LIN_UNGATED_PENDING: recorded or refused after the deadline */
    lin_rule on_unavailable;       /* LIN_UNAVAILABLE, LIN_UNGATED_PENDING: what the action class says */
    char detail[LIN_DETAIL_BYTES]; /* all but LIN_OK: one sentence; reasons of a refusal, joined by "; " */
} lin_receipt;

/* ---- Claims: CBOR written into a buffer of the caller's ---------------------------------------------------------- */

typedef struct lin_buf {
    unsigned char *data;
    size_t used, size;
    bool overflowed;
} lin_buf;

/* One map with text keys, encoded.  The bytes stay the caller's, and must stay as they are during the call. */
typedef struct lin_claims {
    const unsigned char *data;
    size_t size;
} lin_claims;

void lin_begin(lin_buf *buf, void *room, size_t size);
void lin_map(lin_buf *buf, size_t pairs);  /* then that many times: lin_text(key), a value */
void lin_list(lin_buf *buf, size_t items); /* then that many values */
void lin_text(lin_buf *buf, const char *text);
void lin_bytes(lin_buf *buf, const void *bytes, size_t size);
void lin_u64(lin_buf *buf, uint64_t value);
void lin_i64(lin_buf *buf, int64_t value);
void lin_f64(lin_buf *buf, double value);
void lin_bool(lin_buf *buf, bool value);
void lin_null(lin_buf *buf);
lin_claims lin_done(const lin_buf *buf); /* what did not fit gives claims that every call refuses as LIN_MISUSE */

/* ---- The client -------------------------------------------------------------------------------------------------- */

typedef struct lin_client lin_client;
typedef struct lin_stream lin_stream;
typedef struct lin_lane lin_lane;

/* CLOCK_BOOTTIME in ns, the clock of every *_mono_ns.  Through the vDSO since Linux 5.3: no system call. */
uint64_t lin_now_ns(void);

/*
 * Makes a client; does not touch the socket yet, so it does not matter whether the recorder is there.  `client_name` is
 * what gaps name.  NULL with errno: EINVAL for a path over 107 bytes or a name of 0 or over 64, else as malloc or
 * eventfd have it.
 */
lin_client *lin_open(const char *socket_path, const char *client_name);

/*
 * One turn: connects and reconnects, sends, receives; sleeps until there is something to do, or for timeout_ms.
 * Returns how many answers came.  Call it for ever in a thread of its own.
 */
int lin_pump(lin_client *client, int timeout_ms);

/* Makes the present or next sleep of lin_pump end at once. */
void lin_wake(lin_client *client);

/* Waits until all rows, events and gaps given so far are answered.  LIN_OK, or LIN_UNAVAILABLE after timeout_ms. */
lin_result lin_flush(lin_client *client, int timeout_ms);

/*
 * Ends a client, after its other threads have: pumps until all is answered, or for timeout_ms, and frees everything.
 * LIN_OK, or LIN_UNAVAILABLE where something is lost with this process; `left`, which may be NULL, says what.
 */
struct lin_counts;
lin_result lin_close(lin_client *client, int timeout_ms, struct lin_counts *left);

/* Why nothing moves, or "" where all is well. */
void lin_trouble(lin_client *client, char trouble[LIN_DETAIL_BYTES]);

/* ---- Cycles and commits: they wait ------------------------------------------------------------------------------- */

typedef struct lin_cycle {
    uint64_t seq; /* its carrier: what lin_use takes */
    unsigned char entry_hash[32];
    uint64_t not_after_mono_ns, max_commits;
    size_t actuator_count, class_count;
    uint64_t numbers[LIN_CYCLE_ACTUATORS_MAX];
    char actuators[LIN_CYCLE_ACTUATORS_MAX][LIN_NAME_BYTES];
    char classes[LIN_CYCLE_CLASSES_MAX][LIN_NAME_BYTES];
    lin_claims who; /* as given: these bytes must outlive the cycle, ungated events repeat them */
} lin_cycle;

typedef enum lin_stage { LIN_DIRECT = 0, LIN_TENTATIVE, LIN_WITNESSED, LIN_EXECUTED } lin_stage;

/*
 * Zero it first.  Under the configured table the controller decides, and why says how.  With a signed policy in force the
 * recorder decides about the contemplated act, what at where, or an external evaluator did, and its grant says so.  Then
 * why may be left zeroed: the recorder writes evaluator and clauses.  Inputs are a claim of why; `delegation`, a claim of
 * who, is the hash of the credential that lets this platform act, by lin_bytes.
 */
typedef struct lin_cycle_options {
    lin_claims who, why;
    const char *const *actuators;
    size_t actuator_count;
    const char *const *action_classes;
    size_t class_count;
    uint64_t max_commits, valid_ms;
    const uint64_t *supersedes;   /* carrier of a cycle that this one takes over from, or NULL */
    lin_claims what, where;       /* the contemplated act; where may be left zeroed */
    const void *grant;            /* as the external evaluator signed it, or NULL */
    size_t grant_size;
    lin_stage stage;
    const uint64_t *predecessor;  /* carrier of the cycle of the stage before, which ends with this opening, or NULL */
} lin_cycle_options;

typedef struct lin_act {
    const char *actuator;     /* NULL, in lin_abort_cycle: all of the cycle */
    const char *action_class; /* NULL: the only one of the cycle */
    lin_claims what, where;   /* where may be left zeroed: empty */
    uint64_t at_mono_ns;      /* 0: now */
    unsigned witnesses;       /* so many (1 to 64) are asked to witness it within so long; 0, 0: as its class's policy says, */
    unsigned within_ms;       /* which is the least anyway.  Nothing waits for them, unless that policy says so */
} lin_act;

/* The receipt of each of these may be NULL.  timeout_ms is the deadline too: what is durable after it is given up. */
lin_result lin_open_cycle(
    lin_client *client, const lin_cycle_options *options, int timeout_ms, lin_cycle *cycle, lin_receipt *receipt);
/* By its printed id, SEQ-HHHHHHHH.  who goes into ungated events; may be zeroed. */
lin_result lin_join_cycle(
    lin_client *client, const char *cycle_id, lin_claims who, int timeout_ms, lin_cycle *cycle, lin_receipt *receipt);
/* Flushes, then ends the cycle: stop pushing under it first, since rows behind its end stand outside the grant. */
lin_result lin_close_cycle(
    lin_client *client, const lin_cycle *cycle, const char *reason, int timeout_ms, lin_receipt *receipt);
/*
 * Ends a cycle by what is done instead, such as a halt: an event that names the cycle, is never refused, and does not wait
 * for the recorder.  Rows behind it stand outside the grant, so stop pushing under it first.  Claims may be missing.
 * LIN_OK; LIN_FULL where thousands wait: then it is counted, and declared, and the cycle goes on; LIN_MISUSE.
 */
lin_result lin_abort_cycle(
    lin_client *client, const lin_cycle *cycle, const lin_act *instead, const char *reason, lin_receipt *receipt);
/* LIN_OK: durable.  Else LIN_UNGATED_PENDING, LIN_REFUSED, LIN_UNAVAILABLE, LIN_NOT_RECORDED or LIN_MISUSE. */
lin_result lin_commit(
    lin_client *client, const lin_cycle *cycle, const lin_act *act, int timeout_ms, lin_receipt *receipt);
/*
 * Who has signed of the witnesses that a commit asked: when as many have as it wanted, or all that it asked, or after
 * wait_ms.  LIN_OK, LIN_UNAVAILABLE; LIN_NOT_RECORDED where it asked nobody, or before the recorder's last start.
 */
lin_result lin_witnessed(
    lin_client *client, const lin_receipt *commit, unsigned wait_ms, lin_signatures *found, lin_receipt *receipt);
/* Declares what was not recorded: count UINT64_MAX means unknown, times 0, 0 too.  LIN_FULL where thousands wait. */
lin_result lin_gap(
    lin_client *client, const char *const *actuators, size_t actuator_count, uint64_t count, uint64_t first_mono_ns,
    uint64_t last_mono_ns, const char *reason);
/* What the class does in the recorder's absence, as of the last hello. */
lin_rule lin_rule_of(lin_client *client, const char *action_class);
/* SEQ-HHHHHHHH */
void lin_cycle_id(const lin_cycle *cycle, char id[LIN_ID_BYTES]);
/* SEQ.IDX-HHHHHHHH */
void lin_receipt_id(const lin_receipt *receipt, char id[LIN_ID_BYTES]);

/* ---- Streams of rows: they never wait ---------------------------------------------------------------------------- */

typedef struct lin_field {
    const char *name, *type; /* type as numpy writes it: "<f4" */
    unsigned count;
    const char *unit;
} lin_field;

typedef struct lin_stream_options {
    const char *actuator;
    const char *action_class; /* NULL: the only one of the cycle */
    const lin_field *fields;
    size_t field_count;
    lin_claims what, where; /* shared by all rows; where may be left zeroed */
    size_t row_bytes;       /* sizeof of what is pushed: the sum of the fields, packed, without its time */
    size_t capacity_rows;   /* 0: 8192; rounded up to a power of two.  Rows wait here while the recorder is away */
} lin_stream_options;

/* Streams last as long as the client, at most LIN_STREAMS_MAX.  LIN_OK, LIN_MISUSE; LIN_FULL: no memory, no place. */
lin_result lin_stream_open(
    lin_client *client, const lin_stream_options *options, lin_stream **stream, lin_receipt *receipt);

/* Rows pushed from now on belong to this cycle.  False while 64 earlier changes wait: call again at the next tick. */
bool lin_use(lin_stream *stream, uint64_t carrier);

/*
 * Takes one row: LIN_OK, or LIN_FULL if the ring is full; then it is counted, and declared.  LIN_MISUSE before lin_use.
 * `row` has row_bytes bytes, little-endian.
 */
lin_result lin_push(lin_stream *stream, uint64_t at_mono_ns, const void *row);

/* ---- Events: they never wait and need no cycle ------------------------------------------------------------------- */

typedef struct lin_lane_options {
    const char *action_class; /* such as "emergency_stop" */
    const char *const *actuators;
    size_t actuator_count;
    lin_claims who;        /* may be left zeroed: nobody, a reflex */
    size_t capacity;       /* events; 0: 256; rounded up to a power of two */
    size_t event_bytes;    /* room for what, where and reason of one; 0: 1024, at most 32768 */
} lin_lane_options;

/* One lane for each thread that raises events; they last as long as the client. */
lin_result lin_lane_open(lin_client *client, const lin_lane_options *options, lin_lane **lane, lin_receipt *receipt);

/*
 * Takes one event, which leaves with the next turn of lin_pump (10 ms at most): LIN_OK, or LIN_FULL; then it is
 * counted, and declared.  LIN_MISUSE for claims that are no map or longer than event_bytes.  Keys may be missing; where
 * may be zeroed.
 */
lin_result lin_event(lin_lane *lane, uint64_t at_mono_ns, lin_claims what, lin_claims where, const char *reason);

/* ---- Counts ------------------------------------------------------------------------------------------------------ */

typedef struct lin_counts {
    uint64_t rows_recorded, rows_acknowledged, rows_rejected, rows_dropped, rows_pending;
    uint64_t events_recorded, events_acknowledged, events_rejected, events_dropped, events_pending; /* and gaps given */
    uint64_t losses_pending;  /* rows and events that were lost and whose gap is not durable yet */
    uint64_t lost_declared;   /* rows and events whose gap is durable */
    uint64_t lost_undeclared; /* whose gap the recorder would not take */
    uint64_t at_risk_rows, at_risk_ms; /* what the recorder's hello promised; 0 before the first */
    uint64_t oldest_pending_ms;        /* age of the oldest row that is not durable */
    bool lagging;                      /* more is at risk than was promised */
} lin_counts;

void lin_counts_of(const lin_client *client, lin_counts *counts);

#ifdef __cplusplus
}
#endif
#endif /* LINEAGE_H */

#ifdef LINEAGE_IMPLEMENTATION
#ifndef LINEAGE_IMPLEMENTED
#define LINEAGE_IMPLEMENTED

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef CLOCK_BOOTTIME
#error "include lineage.h before any other header in the file with LINEAGE_IMPLEMENTATION, or compile it with -D_POSIX_C_SOURCE=200809L"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows are sent as they lie in memory, little-endian (FORMAT.md section 4)"
#endif

/* ==== Limits; those of the recorder are named as in its own code ================================================== */

enum {
    LINI_CHUNK_BYTES = 32 * 1024,   /* rows in one message: an entry with them still fits one `read` reply */
    LINI_REQUEST_BYTES = 56 * 1024, /* core/limits REQUEST_MAX_BYTES */
    LINI_MESSAGE_BYTES = 64 * 1024, /* core/limits MESSAGE_MAX_BYTES: a reply */
    LINI_HEAD_BYTES = 16,           /* list head, verb and counter of a request */
    LINI_DEPTH = 11,                /* claims stand up to 5 deep in a record that nests 16 deep (FORMAT.md section 4) */
    LINI_REASON_BYTES = 1024,       /* kinds.Reason, in code points; so bytes are always few enough */
    LINI_GAP_ACTUATORS = 64,
    LINI_ABANDON = 1024,
    LINI_FIELDS = 256,
    LINI_ROW_BYTES = 4096,
    LINI_OUTBOX = 4096, /* ungated events and gaps of callers that may wait */
    LINI_READS = 64 /* replies taken in one go */
};
#ifndef LINI_MARKS
#define LINI_MARKS 256 /* in a ring: changes of cycle and runs of losses that the pump has not seen; at least 3 */
#define LINI_USES 64   /* of these, changes of cycle */
#endif

/* As client/pump.py and client/connection.py have them. */
#define LINI_MS UINT64_C(1000000)
#define LINI_BATCH_NS (20 * LINI_MS)   /* rows wait so long for company */
#define LINI_LIGHT_MS 10               /* an event waits so long at most, for nobody wakes the pump for it */
#define LINI_IDLE_MS 100               /* with neither streams nor lanes */
#define LINI_RETRY_FIRST_NS (10 * LINI_MS)
#define LINI_RETRY_MAX_NS (250 * LINI_MS)
#define LINI_STALL_NS (500 * LINI_MS)  /* between two tries when the recorder's disk is full */

enum lini_verb {
    LINI_HELLO = 1,
    LINI_OPEN_CYCLE = 2,
    LINI_JOIN_CYCLE = 3,
    LINI_CLOSE_CYCLE = 4,
    LINI_DECLARE_STREAM = 6,
    LINI_COMMIT = 7,
    LINI_ROWS = 8,
    LINI_EVENT = 9,
    LINI_GAP = 10,
    LINI_ABANDON_VERB = 11,
    LINI_WITNESSED = 19
};
enum { LINI_STATUS_OK = 0, LINI_STATUS_REFUSED = 1, LINI_STATUS_ERROR = 2, LINI_STATUS_PUSH = 3 };
enum { LINI_FLAG_DUPLICATE = 1, LINI_FLAG_LATE = 2 };
enum { LINI_CONTROL = 0, LINI_EVENTS = 1, LINI_ROWS_SESSION = 2, LINI_SESSIONS = 3 };

/* ==== Atomics: one writer each, so that plain loads of one's own fields suffice =================================== */

static uint64_t lini_load(const uint64_t *from) { return __atomic_load_n(from, __ATOMIC_ACQUIRE); }
static uint64_t lini_peek(const uint64_t *from) { return __atomic_load_n(from, __ATOMIC_RELAXED); }
static void lini_store(uint64_t *to, uint64_t value) { __atomic_store_n(to, value, __ATOMIC_RELEASE); }
static void lini_add(uint64_t *to, uint64_t value) { lini_store(to, lini_peek(to) + value); } /* its only writer's */

uint64_t lin_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ==== CBOR out (RFC 8949): definite lengths, shortest heads ======================================================= */

static void lini_put(lin_buf *buf, const void *bytes, size_t size)
{
    if (buf->overflowed || size > buf->size - buf->used) {
        buf->overflowed = true;
        return;
    }
    if (size > 0)
        memcpy(buf->data + buf->used, bytes, size);
    buf->used += size;
}

static void lini_head(lin_buf *buf, unsigned major, uint64_t argument)
{
    unsigned char head[9];
    size_t width = argument < 24 ? 0 : argument < 256 ? 1 : argument < 65536 ? 2 : argument <= UINT32_MAX ? 4 : 8;
    size_t at;
    static const unsigned char widths[9] = {0, 24, 25, 0, 26, 0, 0, 0, 27};
    head[0] = (unsigned char)(major << 5 | (width == 0 ? (unsigned)argument : widths[width]));
    for (at = 0; at < width; at++)
        head[1 + at] = (unsigned char)(argument >> (8 * (width - 1 - at)));
    lini_put(buf, head, 1 + width);
}

static void lini_simple(lin_buf *buf, unsigned char byte) { lini_put(buf, &byte, 1); }

static void lini_put_claims(lin_buf *buf, lin_claims claims)
{
    if (claims.size == 0)
        lin_map(buf, 0);
    else
        lini_put(buf, claims.data, claims.size);
}

static void lini_names(lin_buf *buf, const char *const *names, size_t count)
{
    size_t at;
    lin_list(buf, count);
    for (at = 0; at < count; at++)
        lin_text(buf, names[at]);
}

static void lini_text_or_null(lin_buf *buf, const char *text)
{
    if (text == NULL)
        lin_null(buf);
    else
        lin_text(buf, text);
}

void lin_begin(lin_buf *buf, void *room, size_t size)
{
    buf->data = (unsigned char *)room;
    buf->used = 0;
    buf->size = size;
    buf->overflowed = false;
}

void lin_map(lin_buf *buf, size_t pairs) { lini_head(buf, 5, pairs); }
void lin_list(lin_buf *buf, size_t items) { lini_head(buf, 4, items); }
void lin_u64(lin_buf *buf, uint64_t value) { lini_head(buf, 0, value); }
void lin_bool(lin_buf *buf, bool value) { lini_simple(buf, value ? 0xf5 : 0xf4); }
void lin_null(lin_buf *buf) { lini_simple(buf, 0xf6); }

void lin_text(lin_buf *buf, const char *text)
{
    size_t size = strlen(text);
    lini_head(buf, 3, size);
    lini_put(buf, text, size);
}

void lin_bytes(lin_buf *buf, const void *bytes, size_t size)
{
    lini_head(buf, 2, size);
    lini_put(buf, bytes, size);
}

void lin_i64(lin_buf *buf, int64_t value)
{
    if (value >= 0)
        lini_head(buf, 0, (uint64_t)value);
    else
        lini_head(buf, 1, (uint64_t)(-1 - value));
}

/* Always 8 bytes wide: the recorder stores the shortest form that keeps the value (PROTOCOL.md, Encoding). */
void lin_f64(lin_buf *buf, double value)
{
    unsigned char bytes[9];
    uint64_t bits;
    size_t at;
    memcpy(&bits, &value, sizeof bits);
    bytes[0] = 0xfb;
    for (at = 0; at < 8; at++)
        bytes[1 + at] = (unsigned char)(bits >> (56 - 8 * at));
    lini_put(buf, bytes, sizeof bytes);
}

lin_claims lin_done(const lin_buf *buf)
{
    lin_claims claims;
    claims.data = buf->overflowed ? NULL : buf->data;
    claims.size = buf->overflowed ? SIZE_MAX : buf->used;
    return claims;
}

/* ==== CBOR in ===================================================================================================== */

typedef struct lini_in {
    const unsigned char *at, *end;
    bool bad; /* once set, everything read is 0 */
} lini_in;

static lini_in lini_in_of(const void *bytes, size_t size)
{
    lini_in in;
    in.at = (const unsigned char *)bytes;
    in.end = in.at + size;
    in.bad = false;
    return in;
}

/* Reads one head; returns its major type, 8 where there is none.  `*info` is its additional information. */
static unsigned lini_read_head(lini_in *in, uint64_t *argument, unsigned *info)
{
    unsigned major;
    size_t width, at;
    *argument = 0;
    *info = 0;
    if (in->bad || in->at >= in->end) {
        in->bad = true;
        return 8;
    }
    major = (unsigned)(*in->at >> 5);
    *info = (unsigned)(*in->at++ & 31);
    if (*info < 24) {
        *argument = *info;
        return major;
    }
    if (*info > 27) { /* reserved, or an indefinite length */
        in->bad = true;
        return 8;
    }
    width = (size_t)1 << (*info - 24);
    if ((size_t)(in->end - in->at) < width) {
        in->bad = true;
        return 8;
    }
    for (at = 0; at < width; at++)
        *argument = *argument << 8 | *in->at++;
    return major;
}

/* A head of this major type; its argument, or 0 and `bad`. */
static uint64_t lini_expect(lini_in *in, unsigned major)
{
    uint64_t argument;
    unsigned info;
    if (lini_read_head(in, &argument, &info) != major) {
        in->bad = true;
        return 0;
    }
    return argument;
}

/* A byte string (2) or a text (3). */
static const unsigned char *lini_string(lini_in *in, unsigned major, size_t *size)
{
    uint64_t length = lini_expect(in, major);
    const unsigned char *at = in->at;
    if (in->bad || length > (uint64_t)(in->end - in->at)) {
        in->bad = true;
        *size = 0;
        return (const unsigned char *)"";
    }
    *size = (size_t)length;
    in->at += length;
    return at;
}

static bool lini_is(const unsigned char *text, size_t size, const char *name)
{
    return size == strlen(name) && memcmp(text, name, size) == 0;
}

static bool lini_utf8(const unsigned char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        uint32_t point = text[at++];
        uint32_t least;
        size_t more;
        if (point < 0x80)
            continue;
        if (point >= 0xc2 && point < 0xe0) {
            more = 1, least = 0x80, point &= 0x1f;
        } else if (point >= 0xe0 && point < 0xf0) {
            more = 2, least = 0x800, point &= 0x0f;
        } else if (point >= 0xf0 && point < 0xf5) {
            more = 3, least = 0x10000, point &= 0x07;
        } else {
            return false;
        }
        if (more > size - at)
            return false;
        for (; more > 0; more--, at++) {
            if ((text[at] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (text[at] & 0x3fu);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
    }
    return true;
}

/* Steps over one value. */
static void lini_skip(lini_in *in, int depth)
{
    uint64_t argument;
    unsigned info;
    unsigned major = lini_read_head(in, &argument, &info);
    if (major == 2 || major == 3) {
        if (argument > (uint64_t)(in->end - in->at))
            in->bad = true;
        else
            in->at += argument;
    } else if (major >= 4 && major <= 6) {
        if (depth == 0 || argument > (uint64_t)(in->end - in->at))
            in->bad = true;
        for (argument = major == 6 ? 1 : major == 5 ? 2 * argument : argument; argument > 0 && !in->bad; argument--)
            lini_skip(in, depth - 1);
    }
}

/* Whether a map has this key before `key` already.  Our own heads are the shortest, so equal keys are equal bytes. */
static bool lini_is_repeated(lini_in map, const unsigned char *key, size_t size, int depth)
{
    while (map.at < key && !map.bad) {
        const unsigned char *earlier = map.at;
        lini_skip(&map, depth);
        if ((size_t)(map.at - earlier) == size && memcmp(earlier, key, size) == 0)
            return true;
        lini_skip(&map, depth);
    }
    return false;
}

/* One value that the recorder will read (PROTOCOL.md, Encoding), or `bad`. */
static void lini_check(lini_in *in, int depth, bool text_keys_only)
{
    uint64_t argument, item;
    unsigned info, key_major = 8;
    const unsigned char *start = in->at;
    unsigned major = lini_read_head(in, &argument, &info);
    if (in->bad)
        return;
    if (major == 0)
        return;
    if (major == 1) {
        in->bad = argument > INT64_MAX;
    } else if (major == 2 || major == 3) {
        if (argument > (uint64_t)(in->end - in->at)) {
            in->bad = true;
            return;
        }
        if (major == 3 && !lini_utf8(in->at, (size_t)argument))
            in->bad = true;
        in->at += argument;
    } else if (major == 4 || major == 5) {
        lini_in inside;
        if (depth == 0 || argument > (uint64_t)(in->end - in->at)) {
            in->bad = true;
            return;
        }
        inside = *in;
        for (item = 0; item < argument && !in->bad; item++) {
            if (major == 5) {
                const unsigned char *key = in->at;
                unsigned kind = in->at < in->end ? (unsigned)(*in->at >> 5) : 8;
                lini_check(in, depth - 1, false);
                if ((kind != 0 && kind != 3) || (key_major != 8 && kind != key_major) ||
                    (text_keys_only && kind != 3) ||
                    (!in->bad && lini_is_repeated(inside, key, (size_t)(in->at - key), depth - 1))) {
                    in->bad = true;
                    return;
                }
                key_major = kind;
            }
            lini_check(in, depth - 1, false);
        }
    } else if (major == 7) {
        /* false, true, null; or a float that is finite, which is one whose exponent is not all ones */
        bool is_simple = info >= 20 && info <= 22;
        bool is_float = (info == 25 && (start[1] & 0x7c) != 0x7c) ||
                        (info == 26 && ((start[1] & 0x7f) != 0x7f || (start[2] & 0x80) != 0x80)) ||
                        (info == 27 && ((start[1] & 0x7f) != 0x7f || (start[2] & 0xf0) != 0xf0));
        in->bad = !(is_simple || is_float);
    } else {
        in->bad = true; /* a tag */
    }
}

/* Whether claims are one map with text keys that the recorder will read.  A message that it can't read is answered */
/* without its counter, so nothing of that kind may leave. */
static bool lini_claims_ok(lin_claims claims)
{
    lini_in in;
    if (claims.size == 0)
        return true;
    if (claims.data == NULL || claims.size > LINI_REQUEST_BYTES || (claims.data[0] >> 5) != 5)
        return false;
    in = lini_in_of(claims.data, claims.size);
    lini_check(&in, LINI_DEPTH, true);
    return !in.bad && in.at == in.end;
}

/* Moves to the value of a key in a map at `in`; false where it is not there. */
static bool lini_find(lini_in *in, const char *key)
{
    uint64_t pairs = lini_expect(in, 5);
    for (; pairs > 0 && !in->bad; pairs--) {
        size_t size;
        const unsigned char *found = lini_string(in, 3, &size);
        if (!in->bad && lini_is(found, size, key))
            return true;
        lini_skip(in, LINI_DEPTH);
    }
    return false;
}

static bool lini_has(lin_claims claims, const char *key)
{
    lini_in in = lini_in_of(claims.data, claims.size);
    return claims.size > 0 && lini_find(&in, key);
}

static bool lini_name_ok(const char *name)
{
    return name != NULL && name[0] != 0 && strlen(name) < LIN_NAME_BYTES &&
           lini_utf8((const unsigned char *)name, strlen(name));
}

static bool lini_names_ok(const char *const *names, size_t count, size_t least, size_t most)
{
    size_t at;
    if (count < least || count > most)
        return false;
    for (at = 0; at < count; at++)
        if (!lini_name_ok(names[at]))
            return false;
    return true;
}

static bool lini_reason_ok(const char *reason)
{
    return reason != NULL && reason[0] != 0 && strlen(reason) <= LINI_REASON_BYTES &&
           lini_utf8((const unsigned char *)reason, strlen(reason));
}

/* ==== The ring: slots of one size, one producer, one consumer ===================================================== */

/*
 * The producer alone moves `written` and `begun`, the pump alone `released` and `marks_done`; each reads the other's
 * with one atomic load.  Slots stay until they are released, so what is sent again is the same bytes.
 *
 * Marks stand between slots: a run of losses, or a change of cycle.  While a run is open its count still grows; it ends
 * with the next slot that is written or the next change of cycle.  No run may begin without a mark, so the producer
 * keeps one free for it: with none free it rather goes on losing than end a run.  Thus every loss is counted in a mark.
 */
typedef struct lini_mark {
    uint64_t position; /* it stands before slot `position` */
    uint64_t carrier;  /* of a change of cycle; 0: a run of losses */
    uint64_t first_ns;
    uint64_t last_ns, count; /* atomic: they grow while the pump may look */
} lini_mark;

typedef struct lini_ring {
    /* the producer's */
    uint64_t written, begun, dropped, uses_begun;
    uint64_t released_seen, marks_seen; /* as last read: the pump's line is not fetched at every call */
    bool losing;
    unsigned char apart[64];
    /* the pump's */
    uint64_t released, marks_done, uses_done;
    uint64_t taken, carrier;
    uint64_t partial, partial_ns; /* of the open run at the front: declared so far */
    unsigned char apart_too[64];
    /* nobody's: fixed */
    unsigned char *slots;
    size_t slot_bytes;
    uint64_t capacity;
    lini_mark marks[LINI_MARKS];
} lini_ring;

static bool lini_ring_make(lini_ring *ring, size_t slot_bytes, size_t capacity)
{
    uint64_t rounded = 2;
    if (capacity > SIZE_MAX / 2 / slot_bytes)
        return false;
    while (rounded < capacity)
        rounded *= 2;
    ring->slots = (unsigned char *)malloc((size_t)rounded * slot_bytes);
    if (ring->slots == NULL)
        return false;
    memset(ring->slots, 0, (size_t)rounded * slot_bytes); /* so that no push is the first to touch a page */
    ring->slot_bytes = slot_bytes;
    ring->capacity = rounded;
    return true;
}

static unsigned char *lini_slot(const lini_ring *ring, uint64_t position)
{
    return ring->slots + (size_t)(position & (ring->capacity - 1)) * ring->slot_bytes;
}

/* Producer: marks that no run or change of cycle holds; looks at the pump's side where `wanted` seem not to be there. */
static uint64_t lini_marks_free(lini_ring *ring, uint64_t wanted)
{
    if (LINI_MARKS - (ring->begun - ring->marks_seen) < wanted)
        ring->marks_seen = lini_load(&ring->marks_done);
    return LINI_MARKS - (ring->begun - ring->marks_seen);
}

/* Producer: where the next slot goes; or NULL, and it is counted as lost. */
static unsigned char *lini_ring_begin(lini_ring *ring, uint64_t at_ns)
{
    lini_mark *mark;
    if (ring->written - ring->released_seen >= ring->capacity)
        ring->released_seen = lini_load(&ring->released);
    if (ring->written - ring->released_seen < ring->capacity && (!ring->losing || lini_marks_free(ring, 1) >= 1)) {
        ring->losing = false;
        return lini_slot(ring, ring->written);
    }
    if (ring->losing) {
        mark = &ring->marks[(ring->begun - 1) % LINI_MARKS];
        __atomic_store_n(&mark->last_ns, at_ns, __ATOMIC_RELAXED);
        lini_add(&mark->count, 1);
    } else {
        mark = &ring->marks[ring->begun % LINI_MARKS];
        mark->position = ring->written;
        mark->carrier = 0;
        mark->first_ns = at_ns;
        __atomic_store_n(&mark->last_ns, at_ns, __ATOMIC_RELAXED);
        lini_store(&mark->count, 1);
        lini_add(&ring->begun, 1);
        ring->losing = true;
    }
    lini_add(&ring->dropped, 1);
    return NULL;
}

/* Producer: the slot is complete. */
static void lini_ring_publish(lini_ring *ring) { lini_add(&ring->written, 1); }

/* Producer: what follows belongs to another cycle. */
static bool lini_ring_use(lini_ring *ring, uint64_t carrier)
{
    lini_mark *mark = &ring->marks[ring->begun % LINI_MARKS];
    if (lini_marks_free(ring, 2) < 2 || ring->uses_begun - lini_load(&ring->uses_done) >= LINI_USES)
        return false;
    mark->position = ring->written;
    mark->carrier = carrier;
    ring->losing = false;
    ring->uses_begun++;
    lini_add(&ring->begun, 1);
    return true;
}

enum lini_piece_kind { LINI_NOTHING, LINI_SLOTS, LINI_LOSS };

typedef struct lini_piece {
    enum lini_piece_kind kind;
    uint64_t start, stop;              /* slots */
    uint64_t count, first_ns, last_ns; /* loss */
} lini_piece;

/* Pump: the next slots, contiguous, at most `most` of them; or the loss that comes before them. */
static lini_piece lini_ring_take(lini_ring *ring, uint64_t most, bool in_order)
{
    uint64_t written = lini_load(&ring->written); /* before the marks: those below `written` are to be seen then */
    uint64_t begun = lini_load(&ring->begun);
    uint64_t limit = written;
    lini_piece piece;
    memset(&piece, 0, sizeof piece);
    while (ring->marks_done < begun) {
        lini_mark *mark = &ring->marks[ring->marks_done % LINI_MARKS];
        bool over;
        uint64_t count;
        if (mark->position > ring->taken) {
            limit = mark->position;
            break;
        }
        if (mark->carrier != 0) {
            ring->carrier = mark->carrier;
            lini_add(&ring->uses_done, 1);
            lini_add(&ring->marks_done, 1);
            continue;
        }
        over = written > mark->position || ring->marks_done + 1 < begun;
        count = lini_load(&mark->count);
        if (!over && (written - ring->released >= ring->capacity || count == ring->partial))
            return piece; /* it still grows, or is told so far */
        piece.count = count - ring->partial;
        piece.first_ns = ring->partial == 0 ? mark->first_ns : ring->partial_ns;
        piece.last_ns = lini_peek(&mark->last_ns);
        piece.kind = piece.count > 0 ? LINI_LOSS : LINI_NOTHING;
        ring->partial = over ? 0 : count;
        ring->partial_ns = piece.last_ns;
        if (over)
            lini_add(&ring->marks_done, 1);
        if (piece.kind == LINI_LOSS)
            return piece;
    }
    if (limit > ring->taken + most)
        limit = ring->taken + most;
    if (limit > (ring->taken / ring->capacity + 1) * ring->capacity) /* one message is one piece of memory */
        limit = (ring->taken / ring->capacity + 1) * ring->capacity;
    if (limit == ring->taken)
        return piece;
    piece.kind = LINI_SLOTS;
    piece.start = ring->taken;
    piece.stop = ring->taken + 1;
    while (piece.stop < limit) {
        uint64_t before, after;
        memcpy(&before, lini_slot(ring, piece.stop - 1), 8);
        memcpy(&after, lini_slot(ring, piece.stop), 8);
        if (in_order && after < before) /* a message holds rows in the order of their times */
            break;
        piece.stop++;
    }
    ring->taken = piece.stop;
    return piece;
}

/* Pump: whether nothing waits in it up to `written`, neither slots nor losses. */
static bool lini_ring_is_empty(const lini_ring *ring, uint64_t written)
{
    uint64_t at, begun = lini_load(&ring->begun);
    if (ring->released < written)
        return false;
    for (at = ring->marks_done; at < begun; at++) {
        const lini_mark *mark = &ring->marks[at % LINI_MARKS];
        if (mark->carrier == 0 && (at != ring->marks_done || lini_load(&mark->count) != ring->partial))
            return false;
    }
    return true;
}

/* ==== The client's state ========================================================================================== */

/* Whose answer it is. */
enum lini_owner {
    LINI_OF_NOBODY,  /* an abandonment, or something whose caller went: sent until it is answered */
    LINI_OF_CALL,    /* a thread waits; token: lini_call */
    LINI_OF_STREAM,  /* a declaration; token: lin_stream */
    LINI_OF_ROWS,    /* token: lin_stream */
    LINI_OF_LANE,    /* an event; token: lin_lane */
    LINI_OF_OUTBOX,  /* an ungated event, or a gap that a caller gave */
    LINI_OF_LOSS     /* a gap that declares our own losses; token: lini_feed or NULL */
};

typedef struct lini_request {
    struct lini_request *next;     /* in its session */
    struct lini_request *next_out; /* in its ring: in the order of slots, until released */
    enum lini_owner owner;
    void *token;
    unsigned verb, arity;
    uint64_t counter; /* 0: none yet */
    bool sent, patient, settled;
    unsigned char sent_as[16]; /* request id under which it last left, in this session or an earlier one */
    uint64_t start, stop;      /* slots */
    uint64_t carrier;          /* of rows */
    uint64_t lost, first_ns, last_ns; /* of a loss, or of what a rejection would lose */
    const unsigned char *prefix; /* elements after verb and counter: a prefix, the tail, a piece of a ring */
    size_t prefix_size;
    unsigned char *tail;
    size_t tail_size;
    const unsigned char *piece;
    size_t piece_size;
} lini_request;

typedef struct lini_list {
    lini_request *first, *last;
    size_t count;
} lini_list;

/* One session and its connection.  The laws are those of client/session.py:
 *
 * 1. Counters rise in the order of sending; a message keeps counter and bytes for as long as the session lives.
 * 2. After a lost connection everything unanswered is sent again in the order of its counters.
 * 3. What is new comes after that.
 * 4. A session that the recorder has closed, or another origin, ends all ids: what is unanswered gets new ones.
 * 5. What the recorder cannot store for now is sent again later under a new id, if it is patient.
 *
 *   fd < 0 ──connect, hello──▶ fd ≥ 0, !ready ──hello's answer──▶ ready ──end, error──▶ fd < 0, retry_ns
 *   ready ──store_full──▶ stalled ──retry_ns──▶ ready
 *   ready ──message_malformed──▶ fd < 0, suspect: one at a time, until the one that it can't read is found
 */
typedef struct lini_session {
    int fd;
    bool ready, broken, known, held, stalled, suspect;
    unsigned char id[8];
    char origin[3 * LIN_NAME_BYTES];
    uint64_t next; /* counter */
    size_t window;
    lini_list urgent, queue, out, parked;
    uint64_t retry_ns, retry_step_ns, ready_ns, lost_ns;
    char trouble[LIN_DETAIL_BYTES];
} lini_session;

/* What streams and lanes have in common: a ring, and what came of what was in it. */
typedef struct lini_feed {
    lini_ring ring;
    lini_list out;                                          /* by next_out */
    uint64_t acknowledged, rejected, declared, undeclared; /* atomic, the pump's */
    uint64_t oldest_ns;                                     /* atomic, the pump's: of what waits; 0: nothing */
    size_t losses_out;
    char actuators[LINI_GAP_ACTUATORS][LIN_NAME_BYTES];
    size_t actuator_count;
    const char *what; /* "row ring" */
} lini_feed;

struct lin_stream {
    lini_feed feed;
    size_t row_bytes; /* without the time */
    bool has_cycle;   /* the producer's */
    uint64_t sent_ns, batch_ns; /* when it last sent; until when its rows wait for company */
    char *action_class;
    unsigned char *declaration; /* elements after verb and counter */
    size_t declaration_size;
    bool asked, numbered;
    uint64_t number;
    char failure[LIN_DETAIL_BYTES];
};

struct lin_lane {
    lini_feed feed;
    unsigned char *prefix; /* class, actuators, who */
    size_t prefix_size;
};

/* A thread that waits for an answer. */
typedef struct lini_call {
    bool done;
    unsigned char *reply;
    size_t reply_size;
    uint64_t began_ns;
    unsigned char sent_as[16];
} lini_call;

struct lin_client {
    pthread_mutex_t lock; /* over all below but what is atomic, and the producers' sides of rings */
    pthread_cond_t changed;
    int wake_fd;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char name[LIN_NAME_BYTES + 1];
    lini_session sessions[LINI_SESSIONS];
    lin_stream *streams[LIN_STREAMS_MAX];
    lin_lane *lanes[LIN_LANES_MAX];
    uint64_t stream_count, lane_count;   /* atomic: what lies below is there */
    uint64_t at_risk_rows, at_risk_ms;   /* atomic */
    unsigned char *hello;                /* body of the last one */
    size_t hello_size;
    lini_list outbox;
    size_t outbox_out;
    uint64_t over_count, over_first_ns, over_last_ns; /* outbox losses that no gap tells yet */
    size_t over_out;
    uint64_t given, acknowledged, rejected, dropped, declared, undeclared; /* atomic: of the outbox */
    unsigned char *abandon; /* request ids */
    size_t abandon_count, abandon_room;
    uint64_t batch_ns;
    uint64_t next_stream; /* whose turn it is: a receipt makes room for one message, and the first stream always has a row */
    unsigned char buffer[LINI_MESSAGE_BYTES];
};

/* ==== Requests and lists of them ================================================================================== */

static lini_request *lini_request_new(unsigned verb, unsigned arity, size_t tail_room, lin_buf *tail)
{
    lini_request *request = (lini_request *)calloc(1, sizeof *request + tail_room);
    if (request == NULL)
        return NULL;
    request->verb = verb;
    request->arity = arity;
    request->tail = (unsigned char *)request + sizeof *request;
    lin_begin(tail, request->tail, tail_room);
    return request;
}

static void lini_append(lini_list *list, lini_request *request)
{
    request->next = NULL;
    if (list->last == NULL)
        list->first = request;
    else
        list->last->next = request;
    list->last = request;
    list->count++;
}

static lini_request *lini_pop(lini_list *list)
{
    lini_request *request = list->first;
    if (request == NULL)
        return NULL;
    list->first = request->next;
    if (list->first == NULL)
        list->last = NULL;
    list->count--;
    request->next = NULL;
    return request;
}

/* Moves all of `more` in front of `list`. */
static void lini_prepend(lini_list *list, lini_list *more)
{
    if (more->first == NULL)
        return;
    more->last->next = list->first;
    list->first = more->first;
    if (list->last == NULL)
        list->last = more->last;
    list->count += more->count;
    memset(more, 0, sizeof *more);
}

static bool lini_remove(lini_list *list, const lini_request *request)
{
    lini_request **link, *before = NULL;
    for (link = &list->first; *link != NULL; before = *link, link = &(*link)->next) {
        if (*link != request)
            continue;
        *link = request->next;
        if (list->last == request)
            list->last = before;
        list->count--;
        return true;
    }
    return false;
}

static lini_request *lini_remove_counter(lini_list *list, uint64_t counter)
{
    lini_request *request;
    for (request = list->first; request != NULL; request = request->next)
        if (request->counter == counter)
            break;
    if (request != NULL)
        lini_remove(list, request);
    return request;
}

static void lini_free_list(lini_list *list)
{
    lini_request *request;
    while ((request = lini_pop(list)) != NULL)
        free(request);
}

/* Cuts a text that was cut already at a whole character. */
static void lini_trim(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && !lini_utf8((const unsigned char *)text, size))
        text[--size] = 0;
}

/* Both texts, as much of them as there is room for. */
static void lini_say(char *to, size_t room, const char *said, const char *more)
{
    size_t at = 0;
    while (at + 1 < room && *said != 0)
        to[at++] = *said++;
    while (at + 1 < room && *more != 0)
        to[at++] = *more++;
    to[at] = 0;
    lini_trim(to);
}

static size_t lini_names_size(const char *const *names, size_t count)
{
    size_t at, size = 9;
    for (at = 0; at < count; at++)
        size += strlen(names[at]) + 9;
    return size;
}

/* [actuators, count / null, [first, last] / null, reason] */
static lini_request *lini_gap(
    const char *const *names, size_t name_count, uint64_t count, uint64_t first_ns, uint64_t last_ns,
        const char *reason)
{
    lin_buf buf;
    lini_request *request = lini_request_new(LINI_GAP, 6, lini_names_size(names, name_count) + strlen(reason) + 64,
        &buf);
    if (request == NULL)
        return NULL;
    lini_names(&buf, names, name_count);
    if (count == UINT64_MAX)
        lin_null(&buf);
    else
        lin_u64(&buf, count);
    if (first_ns == 0 && last_ns == 0) {
        lin_null(&buf);
    } else {
        lin_list(&buf, 2);
        lin_u64(&buf, first_ns < last_ns ? first_ns : last_ns);
        lin_u64(&buf, first_ns < last_ns ? last_ns : first_ns);
    }
    lin_text(&buf, reason);
    request->tail_size = buf.used;
    request->patient = true;
    request->owner = LINI_OF_OUTBOX;
    request->lost = count;
    request->first_ns = first_ns;
    request->last_ns = last_ns;
    return request;
}

/* A gap of ours about a feed, or about the outbox where there is none; NULL where memory is short: try again later. */
static lini_request *lini_loss(lini_feed *feed, uint64_t count, uint64_t first_ns, uint64_t last_ns, const char *reason)
{
    const char *names[LINI_GAP_ACTUATORS];
    size_t at, name_count = feed == NULL ? 0 : feed->actuator_count;
    lini_request *request;
    for (at = 0; at < name_count; at++)
        names[at] = feed->actuators[at];
    request = lini_gap(names, name_count, count, first_ns, last_ns, reason);
    if (request != NULL) {
        request->owner = LINI_OF_LOSS;
        request->token = feed;
    }
    return request;
}

/* ==== The session: out, in, lost, found again ===================================================================== */

static void lini_trouble_is(lini_session *session, const char *said, const char *more)
{
    lini_say(session->trouble, sizeof session->trouble, said, more);
}

static void lini_resume(lini_session *session)
{
    lini_list repeats, fresh;
    lini_request *request;
    memset(&repeats, 0, sizeof repeats);
    memset(&fresh, 0, sizeof fresh);
    while ((request = lini_pop(&session->queue)) != NULL)
        lini_append(request->sent && request->counter != 0 ? &repeats : &fresh, request);
    for (request = session->parked.first; request != NULL; request = request->next)
        request->counter = 0;
    for (request = fresh.first; request != NULL; request = request->next)
        request->counter = 0;
    lini_prepend(&fresh, &session->parked);
    lini_prepend(&fresh, &repeats);
    session->queue = fresh;
    session->stalled = false;
}

/* All ids end (law 4): the recorder can't recognise a repeat; losing it would be worse than recording it twice. */
static void lini_renew(lini_session *session)
{
    lini_request *request;
    session->known = false;
    session->next = 1;
    for (request = session->queue.first; request != NULL; request = request->next)
        request->counter = 0;
}

static void lini_retry_later(lini_session *session, uint64_t now_ns)
{
    if (session->lost_ns == 0)
        session->lost_ns = now_ns;
    session->retry_ns = now_ns + session->retry_step_ns;
    session->retry_step_ns *= 2;
    if (session->retry_step_ns < LINI_RETRY_FIRST_NS)
        session->retry_step_ns = LINI_RETRY_FIRST_NS;
    if (session->retry_step_ns > LINI_RETRY_MAX_NS)
        session->retry_step_ns = LINI_RETRY_MAX_NS;
}

/* The connection is over: what is unanswered is sent again on the next one, but for what dies with it. */
static void lini_drop(lini_session *session, uint64_t now_ns)
{
    lini_list again;
    lini_request *request;
    memset(&again, 0, sizeof again);
    if (session->ready && now_ns - session->ready_ns > LINI_RETRY_MAX_NS)
        session->retry_step_ns = 0; /* it was well until now: try at once */
    if (session->fd >= 0)
        close(session->fd);
    session->fd = -1;
    session->ready = session->broken = session->held = false;
    lini_free_list(&session->urgent);
    while ((request = lini_pop(&session->out)) != NULL) {
        if (request->verb == LINI_DECLARE_STREAM)
            free(request);
        else
            lini_append(&again, request);
    }
    lini_prepend(&session->queue, &again);
    lini_resume(session);
    lini_retry_later(session, now_ns);
}

static void lini_connect(lin_client *client, lini_session *session, uint64_t now_ns)
{
    struct sockaddr_un address;
    unsigned char room[LIN_NAME_BYTES + 64];
    lin_buf hello;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        memset(&address, 0, sizeof address);
        address.sun_family = AF_UNIX;
        memcpy(address.sun_path, client->path, sizeof client->path);
        lin_begin(&hello, room, sizeof room);
        lin_list(&hello, 5);
        lin_u64(&hello, LINI_HELLO);
        lin_u64(&hello, 0);
        lin_u64(&hello, 1);
        if (session->known)
            lin_bytes(&hello, session->id, 8);
        else
            lin_null(&hello);
        lin_text(&hello, client->name);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            send(fd, hello.data, hello.used, MSG_NOSIGNAL) == (ssize_t)hello.used) {
            session->fd = fd;
            return;
        }
    }
    switch (errno) {
    case ENOENT: lini_trouble_is(session, "no such socket; is `lineage run` started, with this path? ",
        client->path); break;
    case ECONNREFUSED: lini_trouble_is(session, "nobody listens; start `lineage run`: ", client->path); break;
    case EAGAIN: lini_trouble_is(session, "the recorder takes no connections, it is stopped or overloaded: ",
        client->path); break;
    case EACCES: lini_trouble_is(session, "permission denied; see the socket's group: ", client->path); break;
    case EPROTOTYPE: lini_trouble_is(session, "not a recorder's socket (SOCK_SEQPACKET): ", client->path); break;
    default: lini_trouble_is(session, "no connection: ", client->path); break;
    }
    if (fd >= 0)
        close(fd);
    lini_retry_later(session, now_ns);
}

/* Which list the next message comes from, or NULL where none may leave. */
static lini_list *lini_next_list(lini_session *session)
{
    if (session->suspect && session->out.first != NULL)
        return NULL;
    if (session->urgent.first != NULL)
        return &session->urgent;
    if (session->queue.first == NULL || session->held || session->stalled || session->out.count >= session->window)
        return NULL;
    return &session->queue;
}

/* Sends what may go; returns whether something is left that waits for room in the socket. */
static bool lini_write(lini_session *session)
{
    lini_list *list;
    while (session->ready && !session->broken && (list = lini_next_list(session)) != NULL) {
        lini_request *request = list->first;
        unsigned char room[LINI_HEAD_BYTES + 16];
        lin_buf head;
        struct iovec parts[4];
        struct msghdr message;
        size_t at;
        if (request->counter == 0)
            request->counter = session->next++;
        lin_begin(&head, room, sizeof room);
        lin_list(&head, request->arity);
        lin_u64(&head, request->verb);
        lin_u64(&head, request->counter);
        memset(&message, 0, sizeof message);
        parts[0].iov_base = room, parts[0].iov_len = head.used;
        parts[1].iov_base = (void *)(uintptr_t)request->prefix, parts[1].iov_len = request->prefix_size;
        parts[2].iov_base = request->tail, parts[2].iov_len = request->tail_size;
        parts[3].iov_base = (void *)(uintptr_t)request->piece, parts[3].iov_len = request->piece_size;
        message.msg_iov = parts;
        message.msg_iovlen = 4;
        if (sendmsg(session->fd, &message, MSG_NOSIGNAL) < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
                return true;
            session->broken = true; /* what came before the end is still to be read */
            shutdown(session->fd, SHUT_RDWR);
            return false;
        }
        memcpy(request->sent_as, session->id, 8);
        for (at = 0; at < 8; at++)
            request->sent_as[8 + at] = (unsigned char)(request->counter >> (56 - 8 * at));
        request->sent = true;
        lini_append(&session->out, lini_pop(list));
    }
    return false;
}

static void lini_abandon_add(lin_client *client, const unsigned char id[16])
{
    if (client->abandon_count == client->abandon_room) {
        size_t room = client->abandon_room == 0 ? 64 : 2 * client->abandon_room;
        unsigned char *grown = (unsigned char *)realloc(client->abandon, 16 * room);
        if (grown == NULL)
            return; /* the commit then stands with its effect unknown, as any without a confirmation */
        client->abandon = grown;
        client->abandon_room = room;
    }
    memcpy(client->abandon + 16 * client->abandon_count++, id, 16);
}

/* Behind what is sent again (law 3), and all that was given up in one message. */
static void lini_write_abandon(lin_client *client)
{
    lini_session *session = &client->sessions[LINI_CONTROL];
    const size_t most = LINI_ABANDON;
    size_t at, count = client->abandon_count < most ? client->abandon_count : most;
    lini_request *request;
    lin_buf buf;
    if (count == 0 || !session->ready || session->broken || session->queue.first != NULL)
        return;
    request = lini_request_new(LINI_ABANDON_VERB, 3, 17 * count + 9, &buf);
    if (request == NULL)
        return;
    lin_list(&buf, count);
    for (at = 0; at < count; at++)
        lin_bytes(&buf, client->abandon + 16 * at, 16);
    request->tail_size = buf.used;
    request->patient = true;
    client->abandon_count -= count;
    memmove(client->abandon, client->abandon + 16 * count, 16 * client->abandon_count);
    lini_append(&session->queue, request);
    lini_write(session);
}

/* ==== Answers to rows, events and gaps ============================================================================ */

/* A slot's request is answered for good; room is free again up to the first that is not. */
static void lini_settle(lini_feed *feed, lini_request *request)
{
    request->settled = true;
    while (feed->out.first != NULL && feed->out.first->settled) {
        lini_request *first = feed->out.first;
        feed->out.first = first->next_out;
        if (feed->out.first == NULL)
            feed->out.last = NULL;
        lini_store(&feed->ring.released, first->stop);
        free(first);
    }
}

static void lini_out(lini_feed *feed, lini_request *request)
{
    request->next_out = NULL;
    if (feed->out.last == NULL)
        feed->out.first = request;
    else
        feed->out.last->next_out = request;
    feed->out.last = request;
}

static void lini_give_loss(lin_client *client, lini_request *gap)
{
    lini_feed *feed = (lini_feed *)gap->token;
    if (feed == NULL)
        client->over_out++;
    else
        feed->losses_out++;
    lini_append(&client->sessions[LINI_EVENTS].queue, gap);
}

/* The recorder will not take what these slots hold: so it is lost, and a gap says so. */
static void lini_reject(lin_client *client, lini_feed *feed, lini_request *request, const char *why)
{
    uint64_t count = request->stop - request->start;
    char reason[LINI_REASON_BYTES];
    lini_request *gap;
    snprintf(reason, sizeof reason, "%s of client %s not taken by the recorder: %.255s", feed->what, client->name, why);
    lini_trim(reason);
    gap = lini_loss(feed, count, request->first_ns, request->last_ns, reason);
    lini_add(&feed->rejected, count);
    if (gap != NULL)
        lini_give_loss(client, gap);
    else
        lini_add(&feed->undeclared, count);
    lini_settle(feed, request);
}

/* A gap of ours was answered.  One that the recorder does not take for its actuators is given again without them. */
static void lini_loss_answered(lin_client *client, lini_request *request, const char *failure)
{
    lini_feed *feed = (lini_feed *)request->token;
    uint64_t *declared = feed == NULL ? &client->declared : &feed->declared;
    uint64_t *undeclared = feed == NULL ? &client->undeclared : &feed->undeclared;
    if (feed == NULL)
        client->over_out--;
    else
        feed->losses_out--;
    if (failure == NULL) {
        lini_add(declared, request->lost);
    } else if (feed != NULL && feed->actuator_count > 0 && request->tail[0] != 0x80) {
        char reason[LINI_REASON_BYTES];
        lini_request *gap;
        snprintf(reason, sizeof reason, "lost in the %s of client %s, for actuator %s, which it may not name: %.255s",
                 feed->what, client->name, feed->actuators[0], failure);
        lini_trim(reason);
        gap = lini_gap(NULL, 0, request->lost, request->first_ns, request->last_ns, reason);
        if (gap != NULL) {
            gap->owner = LINI_OF_LOSS;
            gap->token = feed;
            lini_give_loss(client, gap);
        } else {
            lini_add(undeclared, request->lost);
        }
    } else {
        lini_add(undeclared, request->lost);
    }
    free(request);
}

static void lini_rows_tail(lin_stream *stream, lini_request *request)
{
    lin_buf buf;
    lin_begin(&buf, request->tail, 64 + LIN_NAME_BYTES);
    lin_u64(&buf, request->carrier);
    lini_text_or_null(&buf, stream->action_class);
    lin_u64(&buf, stream->number);
    lini_head(&buf, 2, request->piece_size);
    request->tail_size = buf.used;
}

/* A declaration was answered: rows that are sent again have to name the number of this connection. */
static void lini_numbered(lin_client *client, lin_stream *stream, lini_in body, const char *failure)
{
    lini_session *session = &client->sessions[LINI_ROWS_SESSION];
    lini_request *request, *next;
    size_t asked = 0, at;
    stream->numbered = failure == NULL;
    stream->number = failure == NULL ? lini_expect(&body, 0) : 0;
    lini_say(stream->failure, sizeof stream->failure, failure == NULL ? "" : failure, "");
    for (request = session->queue.first; request != NULL; request = next) {
        next = request->next;
        if (request->owner != LINI_OF_ROWS || request->token != stream)
            continue;
        if (failure == NULL) {
            lini_rows_tail(stream, request);
        } else {
            lini_remove(&session->queue, request);
            lini_reject(client, &stream->feed, request, failure);
        }
    }
    for (at = 0; at < client->stream_count; at++)
        asked += client->streams[at]->asked && !client->streams[at]->numbered && client->streams[at]->failure[0] == 0;
    session->held = session->held && asked > 0;
}

/* `failure` is NULL, or why nothing was recorded. */
static void lini_answered(
    lin_client *client, lini_request *request, lini_in body, const char *failure, const unsigned char *reply,
        size_t size)
{
    lini_call *call;
    switch (request->owner) {
    case LINI_OF_CALL:
        call = (lini_call *)request->token;
        call->reply = (unsigned char *)malloc(size);
        if (call->reply != NULL)
            memcpy(call->reply, reply, size);
        call->reply_size = size;
        memcpy(call->sent_as, request->sent_as, 16);
        call->done = true;
        break;
    case LINI_OF_STREAM:
        lini_numbered(client, (lin_stream *)request->token, body, failure);
        break;
    case LINI_OF_ROWS:
    case LINI_OF_LANE: {
        lini_feed *feed = request->owner == LINI_OF_ROWS ? &((lin_stream *)request->token)->feed
            : &((lin_lane *)request->token)->feed;
        if (failure != NULL) {
            lini_reject(client, feed, request, failure);
        } else {
            lini_add(&feed->acknowledged, request->stop - request->start);
            lini_settle(feed, request);
        }
        return; /* they own it */
    }
    case LINI_OF_OUTBOX:
        client->outbox_out--;
        lini_add(failure == NULL ? &client->acknowledged : &client->rejected, 1);
        if (failure != NULL) {
            char reason[LINI_REASON_BYTES];
            lini_request *gap;
            snprintf(reason, sizeof reason, "%s of client %s not taken by the recorder: %.255s",
                     request->verb == LINI_GAP ? "gap" : "event", client->name, failure);
            gap = lini_loss(NULL, 1, request->first_ns, request->last_ns, reason);
            if (gap != NULL)
                lini_give_loss(client, gap);
            else
                lini_add(&client->undeclared, 1);
        }
        break;
    case LINI_OF_LOSS:
        lini_loss_answered(client, request, failure);
        return;
    case LINI_OF_NOBODY:
        break;
    }
    free(request);
}

/* ==== Replies ===================================================================================================== */

/* Texts of a list, joined by "; ". */
static void lini_join(lini_in *in, char *to, size_t room)
{
    uint64_t count = lini_expect(in, 4);
    size_t used = 0;
    to[0] = 0;
    for (; count > 0 && !in->bad; count--) {
        size_t size;
        const unsigned char *text = lini_string(in, 3, &size);
        int cut = (int)(size < room ? size : room);
        int wrote = snprintf(to + used, room - used, "%s%.*s", used == 0 ? "" : "; ", cut, (const char *)text);
        if (wrote < 0 || (size_t)wrote >= room - used)
            break;
        used += (size_t)wrote;
    }
    lini_trim(to);
}

/* The first answer on a connection. */
static void lini_take_hello(lin_client *client, lini_session *session, const unsigned char *message, size_t size,
    uint64_t now_ns)
{
    lini_in in = lini_in_of(message, size), body, found;
    const unsigned char *text;
    size_t length;
    uint64_t status, argument, durable = 0;
    unsigned info;
    char origin[sizeof session->origin];
    lini_expect(&in, 4);
    status = lini_expect(&in, 0);
    lini_expect(&in, 0);
    body = in;
    if (!in.bad && status == LINI_STATUS_ERROR) {
        char said[LIN_DETAIL_BYTES];
        lini_in names = body;
        lini_join(&body, said, sizeof said);
        lini_expect(&names, 4);
        text = lini_string(&names, 3, &length);
        if (session->known && lini_is(text, length, "session_closed")) {
            lini_renew(session);
            session->retry_step_ns = 0;
        }
        lini_trouble_is(session, "the recorder turned us away: ", said);
        lini_drop(session, now_ns);
        return;
    }
    found = body;
    in.bad |= status != LINI_STATUS_OK || !lini_find(&found, "session");
    text = lini_string(&found, 2, &length);
    in.bad |= found.bad || length != 8;
    if (!in.bad) {
        const unsigned char *id = text;
        found = body;
        in.bad |= !lini_find(&found, "origin");
        text = lini_string(&found, 3, &length);
        in.bad |= found.bad || length >= sizeof origin;
        if (!in.bad) {
            memcpy(origin, text, length);
            origin[length] = 0;
            if (session->known && (memcmp(id, session->id, 8) != 0 || strcmp(origin, session->origin) != 0))
                lini_renew(session);
            memcpy(session->id, id, 8);
            memcpy(session->origin, origin, sizeof origin);
        }
    }
    found = body;
    in.bad |= !lini_find(&found, "durable_counter");
    if (lini_read_head(&found, &argument, &info) == 0) /* else -1: nothing is durable yet */
        durable = argument;
    if (in.bad || found.bad) {
        lini_trouble_is(session, "what listens there does not speak the recorder's protocol: ", client->path);
        lini_drop(session, now_ns);
        return;
    }
    if (session->next <= durable)
        session->next = durable + 1;
    session->known = session->ready = true;
    session->ready_ns = now_ns;
    session->lost_ns = 0;
    session->trouble[0] = 0;
    if (client->hello_size < size) {
        unsigned char *room = (unsigned char *)realloc(client->hello, size);
        if (room == NULL)
            return; /* the one before stays in force */
        client->hello = room;
    }
    client->hello_size = (size_t)(in.end - body.at);
    memcpy(client->hello, body.at, client->hello_size);
    found = body;
    if (lini_find(&found, "at_risk_rows"))
        lini_store(&client->at_risk_rows, lini_expect(&found, 0));
    found = body;
    if (lini_find(&found, "at_risk_ms"))
        lini_store(&client->at_risk_ms, lini_expect(&found, 0));
}

/* Any later answer. */
static int lini_take_reply(lin_client *client, lini_session *session, const unsigned char *message, size_t size,
    uint64_t now_ns)
{
    lini_in in = lini_in_of(message, size), body, names;
    uint64_t status, counter;
    char said[LIN_DETAIL_BYTES];
    const char *failure = NULL;
    const unsigned char *error = NULL;
    size_t length = 0;
    lini_request *request;
    lini_expect(&in, 4);
    status = lini_expect(&in, 0);
    counter = lini_expect(&in, 0);
    if (in.bad || status > LINI_STATUS_PUSH) {
        lini_trouble_is(session, "what listens there does not speak the recorder's protocol: ", client->path);
        lini_drop(session, now_ns);
        return 0;
    }
    body = names = in;
    if (status == LINI_STATUS_ERROR) {
        lini_join(&in, said, sizeof said);
        failure = said;
        lini_expect(&names, 4);
        error = lini_string(&names, 3, &length);
        if (counter == 0 && !(session->suspect && session->out.count == 1)) {
            /* It could not read a message of ours, and can't say which: send one at a time, to find out. */
            session->suspect = true;
            lini_trouble_is(session, "the recorder could not read a message of ours: ", said);
            lini_drop(session, now_ns);
            return 0;
        }
        if (counter == 0)
            counter = session->out.first->counter;
        if (lini_is(error, length, "session_closed")) {
            /* The request stays unanswered, and follows under a new id: the next hello is told the same, and renews. */
            lini_trouble_is(session, "the recorder has closed our session: ", said);
            lini_drop(session, now_ns);
            return 0;
        }
    } else if (status == LINI_STATUS_REFUSED) {
        lini_expect(&in, 4);
        lini_expect(&in, 0);
        lini_string(&in, 2, &length);
        lini_join(&in, said, sizeof said);
        failure = said;
    }
    if (status == LINI_STATUS_PUSH || (request = lini_remove_counter(&session->out, counter)) == NULL)
        return 0; /* nobody waits for it any more */
    if (session->out.first == NULL && (session->queue.first == NULL || !session->queue.first->sent))
        session->suspect = false; /* all that was there when it began is answered */
    if (error != NULL && lini_is(error, length, "store_full") && request->patient) {
        lini_append(&session->parked, request);
        session->stalled = true;
        session->retry_ns = now_ns + LINI_STALL_NS;
        lini_trouble_is(session, "the recorder cannot store: ", said);
        return 0;
    }
    if (!session->stalled)
        session->trouble[0] = 0;
    lini_answered(client, request, body, failure, message, size);
    return 1;
}

static int lini_read(lin_client *client, lini_session *session, uint64_t now_ns)
{
    int answers = 0, at;
    for (at = 0; at < LINI_READS && session->fd >= 0; at++) {
        ssize_t size = recv(session->fd, client->buffer, sizeof client->buffer, 0);
        if (size < 0 && (errno == EAGAIN || errno == ENOMEM))
            break;
        if (size < 0 && (errno == EINTR || errno == ECONNRESET))
            continue; /* a reset is told once; the receipts that came before it are still to be read */
        if (size <= 0) {
            lini_trouble_is(session, "the recorder closed the connection: ", client->path);
            lini_drop(session, now_ns);
            break;
        }
        if (session->ready)
            answers += lini_take_reply(client, session, client->buffer, (size_t)size, now_ns);
        else
            lini_take_hello(client, session, client->buffer, (size_t)size, now_ns);
    }
    return answers;
}

/* ==== The pump ==================================================================================================== */

static size_t lini_room(const lini_session *session)
{
    size_t used = session->out.count + session->queue.count + session->parked.count;
    return session->stalled || used >= session->window ? 0 : session->window - used;
}

static bool lini_declare(lini_session *session, lin_stream *stream)
{
    lin_buf none;
    lini_request *request = lini_request_new(LINI_DECLARE_STREAM, 6, 0, &none);
    if (request == NULL)
        return false;
    request->prefix = stream->declaration;
    request->prefix_size = stream->declaration_size;
    request->owner = LINI_OF_STREAM;
    request->token = stream;
    lini_append(&session->urgent, request);
    stream->asked = true;
    return true;
}

/* On a new connection nothing is declared: the same streams in the same order get the same numbers, so that messages
 * that are sent again are the same bytes. */
static void lini_declare_all(lin_client *client, lini_session *session)
{
    uint64_t at;
    for (at = 0; at < client->stream_count; at++) {
        client->streams[at]->asked = client->streams[at]->numbered = false;
        client->streams[at]->failure[0] = 0;
    }
    for (at = 0; at < client->stream_count; at++)
        if (!lini_declare(session, client->streams[at])) {
            lini_trouble_is(session, "out of memory", "");
            lini_drop(session, lin_now_ns());
            return;
        }
    session->held = client->stream_count > 0;
}

/* A loss of a ring, as a gap at its place between the rows; false where memory is short. */
static bool lini_overflowed(lin_client *client, lini_session *session, lini_feed *feed, const lini_piece *piece)
{
    char reason[LINI_REASON_BYTES];
    lini_request *gap;
    snprintf(reason, sizeof reason, "%s of client %s full", feed->what, client->name);
    gap = lini_loss(feed, piece->count, piece->first_ns, piece->last_ns, reason);
    if (gap == NULL) {
        lini_add(&feed->undeclared, piece->count);
        return false;
    }
    feed->losses_out++;
    lini_append(&session->queue, gap);
    return true;
}

/* Moves one piece of a stream into its session; true if there may be more. */
static bool lini_step_stream(lin_client *client, lini_session *session, lin_stream *stream)
{
    lini_feed *feed = &stream->feed;
    lini_request *request;
    lini_piece piece;
    lin_buf buf;
    if (!stream->asked && !lini_declare(session, stream))
        return false;
    if (!stream->numbered && stream->failure[0] == 0)
        return false;
    if (lini_room(session) == 0)
        return false;
    request = lini_request_new(LINI_ROWS, 6, 64 + LIN_NAME_BYTES, &buf);
    if (request == NULL)
        return false;
    piece = lini_ring_take(&feed->ring, LINI_CHUNK_BYTES / feed->ring.slot_bytes, true);
    if (piece.kind != LINI_SLOTS) {
        free(request);
        return piece.kind == LINI_LOSS && lini_overflowed(client, session, feed, &piece);
    }
    request->owner = LINI_OF_ROWS;
    request->token = stream;
    request->patient = true;
    request->start = piece.start;
    request->stop = piece.stop;
    request->carrier = feed->ring.carrier;
    request->piece = lini_slot(&feed->ring, piece.start);
    request->piece_size = (size_t)(piece.stop - piece.start) * feed->ring.slot_bytes;
    memcpy(&request->first_ns, request->piece, 8);
    memcpy(&request->last_ns, lini_slot(&feed->ring, piece.stop - 1), 8);
    lini_rows_tail(stream, request);
    lini_out(feed, request);
    if (stream->numbered)
        lini_append(&session->queue, request);
    else
        lini_reject(client, feed, request, stream->failure);
    return true;
}

static bool lini_step_lane(lin_client *client, lini_session *session, lin_lane *lane)
{
    lini_feed *feed = &lane->feed;
    lini_request *request;
    lini_piece piece;
    lin_buf none;
    uint64_t size;
    if (lini_room(session) == 0 || (request = lini_request_new(LINI_EVENT, 9, 0, &none)) == NULL)
        return false;
    piece = lini_ring_take(&feed->ring, 1, false);
    if (piece.kind != LINI_SLOTS) {
        free(request);
        return piece.kind == LINI_LOSS && lini_overflowed(client, session, feed, &piece);
    }
    request->owner = LINI_OF_LANE;
    request->token = lane;
    request->patient = true;
    request->start = piece.start;
    request->stop = piece.stop;
    memcpy(&request->first_ns, lini_slot(&feed->ring, piece.start), 8);
    memcpy(&size, lini_slot(&feed->ring, piece.start) + 8, 8);
    request->last_ns = request->first_ns;
    request->prefix = lane->prefix;
    request->prefix_size = lane->prefix_size;
    request->piece = lini_slot(&feed->ring, piece.start) + 16;
    request->piece_size = (size_t)size;
    lini_out(feed, request);
    lini_append(&session->queue, request);
    return true;
}

static bool lini_step_outbox(lin_client *client, lini_session *session)
{
    lini_request *request;
    if (lini_room(session) == 0)
        return false;
    request = lini_pop(&client->outbox);
    if (request != NULL) {
        client->outbox_out++;
        lini_append(&session->queue, request);
        return true;
    }
    if (client->over_count > 0) {
        char reason[LINI_REASON_BYTES];
        snprintf(reason, sizeof reason, "outbox of client %s full", client->name);
        request = lini_loss(NULL, client->over_count, client->over_first_ns, client->over_last_ns, reason);
        if (request == NULL)
            return false;
        client->over_count = 0;
        lini_give_loss(client, request);
    }
    return false;
}

static void lini_fill(lin_client *client, uint64_t now_ns)
{
    lini_session *events = &client->sessions[LINI_EVENTS], *rows = &client->sessions[LINI_ROWS_SESSION];
    uint64_t at;
    bool more = true;
    while (more && events->ready) {
        more = false;
        for (at = 0; at < client->lane_count; at++)
            more |= lini_step_lane(client, events, client->lanes[at]);
    }
    while (events->ready && lini_step_outbox(client, events))
        continue;
    if (!rows->ready || rows->held || now_ns < client->batch_ns)
        return;
    for (more = true; more;) {
        uint64_t first = client->next_stream;
        more = false;
        for (at = 0; at < client->stream_count; at++) {
            uint64_t turn = (first + at) % client->stream_count;
            lin_stream *stream = client->streams[turn];
            if (now_ns >= stream->batch_ns && lini_step_stream(client, rows, stream)) {
                stream->sent_ns = now_ns;
                more = true;
                client->next_stream = turn + 1;
            }
        }
    }
    /* Each receipt wakes the pump; without the window, rows would leave one by one as they come. */
    client->batch_ns = lini_room(rows) > 0 ? now_ns + LINI_BATCH_NS : 0;
    for (at = 0; at < client->stream_count; at++)
        if (client->streams[at]->sent_ns == now_ns)
            client->streams[at]->batch_ns = now_ns + LINI_BATCH_NS;
}

static bool lini_is_wanted(const lin_client *client, int which)
{
    const lini_session *session = &client->sessions[which];
    if (which == LINI_CONTROL || session->queue.first != NULL || session->parked.first != NULL)
        return true;
    if (which == LINI_EVENTS)
        return client->lane_count > 0 || client->outbox.first != NULL || client->over_count > 0;
    return client->stream_count > 0;
}

static int lini_turn(lin_client *client, bool *wants_room)
{
    int which, answers = 0;
    uint64_t at;
    for (which = 0; which < LINI_SESSIONS; which++) {
        lini_session *session = &client->sessions[which];
        uint64_t now_ns = lin_now_ns();
        bool was_ready = session->ready;
        if (session->fd < 0 && now_ns >= session->retry_ns && lini_is_wanted(client, which))
            lini_connect(client, session, now_ns);
        if (session->stalled && now_ns >= session->retry_ns)
            lini_resume(session);
        answers += lini_read(client, session, now_ns);
        if (session->fd < 0 && now_ns >= session->retry_ns && lini_is_wanted(client, which))
            lini_connect(client, session, now_ns); /* a recorder that was restarted meanwhile answers at once */
        if (which == LINI_ROWS_SESSION && session->ready && !was_ready)
            lini_declare_all(client, session);
    }
    lini_fill(client, lin_now_ns());
    for (which = 0; which < LINI_SESSIONS; which++)
        wants_room[which] = lini_write(&client->sessions[which]);
    lini_write_abandon(client);
    for (at = 0; at < client->stream_count + client->lane_count; at++) {
        lini_feed *feed = at < client->stream_count ? &client->streams[at]->feed
            : &client->lanes[at - client->stream_count]->feed;
        uint64_t oldest_ns = 0;
        if (feed->ring.released != lini_load(&feed->ring.written))
            memcpy(&oldest_ns, lini_slot(&feed->ring, feed->ring.released), 8);
        lini_store(&feed->oldest_ns, oldest_ns);
    }
    return answers;
}

int lin_pump(lin_client *client, int timeout_ms)
{
    struct pollfd polled[1 + LINI_SESSIONS];
    nfds_t count = 1;
    bool wants_room[LINI_SESSIONS];
    int which, answers, wait_ms = LINI_LIGHT_MS;
    uint64_t now_ns, woken;
    pthread_mutex_lock(&client->lock);
    answers = lini_turn(client, wants_room);
    polled[0].fd = client->wake_fd;
    polled[0].events = POLLIN;
    for (which = 0; which < LINI_SESSIONS; which++) {
        const lini_session *session = &client->sessions[which];
        if (session->fd < 0)
            continue;
        polled[count].fd = session->fd;
        polled[count++].events = (short)(POLLIN | (wants_room[which] ? POLLOUT : 0));
    }
    now_ns = lin_now_ns();
    if (client->stream_count == 0 && client->lane_count == 0 && client->sessions[LINI_CONTROL].queue.first == NULL)
        wait_ms = LINI_IDLE_MS;
    if (client->batch_ns > now_ns && client->batch_ns - now_ns < (uint64_t)wait_ms * LINI_MS)
        wait_ms = (int)((client->batch_ns - now_ns) / LINI_MS) + 1;
    pthread_cond_broadcast(&client->changed);
    pthread_mutex_unlock(&client->lock);
    if (timeout_ms < wait_ms)
        wait_ms = timeout_ms < 0 ? 0 : timeout_ms;
    if (poll(polled, count, wait_ms) > 0 && polled[0].revents != 0)
        (void)!read(client->wake_fd, &woken, sizeof woken);
    return answers;
}

void lin_wake(lin_client *client)
{
    uint64_t one = 1;
    (void)!write(client->wake_fd, &one, sizeof one);
}

/* ==== Making and ending a client ================================================================================== */

lin_client *lin_open(const char *socket_path, const char *client_name)
{
    pthread_condattr_t attributes;
    lin_client *client;
    int which, error;
    if (socket_path == NULL || socket_path[0] == 0 || strlen(socket_path) >= sizeof client->path ||
        client_name == NULL ||
        client_name[0] == 0 || strlen(client_name) > LIN_NAME_BYTES ||
        !lini_utf8((const unsigned char *)client_name, strlen(client_name))) {
        errno = EINVAL;
        return NULL;
    }
    client = (lin_client *)calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (client->wake_fd < 0) {
        error = errno;
        free(client);
        errno = error;
        return NULL;
    }
    strcpy(client->path, socket_path);
    strcpy(client->name, client_name);
    pthread_mutex_init(&client->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&client->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    for (which = 0; which < LINI_SESSIONS; which++) {
        client->sessions[which].fd = -1;
        client->sessions[which].next = 1;
    }
    /* As in the Python client; all well below the 1,024 answers that the recorder remembers. */
    client->sessions[LINI_CONTROL].window = 512;
    client->sessions[LINI_EVENTS].window = 64;
    client->sessions[LINI_ROWS_SESSION].window = 16; /* twice the Python client's: two messages for each of eight joints */
    return client;
}

/* Waits on `changed` for 10 ms at most; so it also notices the time when nobody pumps. */
static void lini_wait(lin_client *client, uint64_t until_ns)
{
    struct timespec at;
    uint64_t now_ns = lin_now_ns(), left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    uint64_t ns;
    if (left_ns > 10 * LINI_MS)
        left_ns = 10 * LINI_MS; /* CLOCK_BOOTTIME goes on while the machine sleeps, the condition's clock does not */
    clock_gettime(CLOCK_MONOTONIC, &at);
    ns = (uint64_t)at.tv_nsec + left_ns;
    at.tv_sec += (time_t)(ns / UINT64_C(1000000000));
    at.tv_nsec = (long)(ns % UINT64_C(1000000000));
    pthread_cond_timedwait(&client->changed, &client->lock, &at);
}

typedef struct lini_marks {
    uint64_t streams[LIN_STREAMS_MAX], lanes[LIN_LANES_MAX];
} lini_marks;

static void lini_mark_all(const lin_client *client, lini_marks *marks)
{
    uint64_t at;
    memset(marks, 0, sizeof *marks);
    for (at = 0; at < client->stream_count; at++)
        marks->streams[at] = lini_load(&client->streams[at]->feed.ring.written);
    for (at = 0; at < client->lane_count; at++)
        marks->lanes[at] = lini_load(&client->lanes[at]->feed.ring.written);
}

static bool lini_is_delivered(const lini_feed *feed, uint64_t written)
{
    return feed->losses_out == 0 && lini_ring_is_empty(&feed->ring, written);
}

static bool lini_is_reached(const lin_client *client, const lini_marks *marks)
{
    uint64_t at;
    for (at = 0; at < client->stream_count; at++)
        if (!lini_is_delivered(&client->streams[at]->feed, marks->streams[at]))
            return false;
    for (at = 0; at < client->lane_count; at++)
        if (!lini_is_delivered(&client->lanes[at]->feed, marks->lanes[at]))
            return false;
    return client->outbox.first == NULL && client->outbox_out == 0 && client->over_count == 0 && client->over_out == 0;
}

/* Send what is there at the next turn, without waiting for company. */
static void lini_hurry(lin_client *client)
{
    uint64_t at;
    client->batch_ns = 0;
    for (at = 0; at < client->stream_count; at++)
        client->streams[at]->batch_ns = 0;
}

lin_result lin_flush(lin_client *client, int timeout_ms)
{
    uint64_t until_ns = lin_now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * LINI_MS;
    lini_marks marks;
    bool reached;
    pthread_mutex_lock(&client->lock);
    lini_mark_all(client, &marks);
    lini_hurry(client);
    lin_wake(client);
    while (!(reached = lini_is_reached(client, &marks)) && lin_now_ns() < until_ns)
        lini_wait(client, until_ns);
    pthread_mutex_unlock(&client->lock);
    return reached ? LIN_OK : LIN_UNAVAILABLE;
}

static void lini_feed_free(lini_feed *feed)
{
    while (feed->out.first != NULL) {
        lini_request *request = feed->out.first;
        feed->out.first = request->next_out;
        free(request);
    }
    free(feed->ring.slots);
}

/* Of a session's requests, those of rings are freed with their rings. */
static void lini_free_session(lini_session *session)
{
    lini_list *lists[4];
    lini_request *request;
    int at;
    lists[0] = &session->urgent, lists[1] = &session->queue, lists[2] = &session->out, lists[3] = &session->parked;
    for (at = 0; at < 4; at++)
        while ((request = lini_pop(lists[at])) != NULL)
            if (request->owner != LINI_OF_ROWS && request->owner != LINI_OF_LANE)
                free(request);
    if (session->fd >= 0)
        close(session->fd);
}

lin_result lin_close(lin_client *client, int timeout_ms, struct lin_counts *left)
{
    uint64_t until_ns = lin_now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * LINI_MS, at;
    const lini_session *control = &client->sessions[LINI_CONTROL];
    lini_marks marks;
    bool reached;
    int which;
    lini_mark_all(client, &marks);
    lini_hurry(client);
    do {
        lin_pump(client, 1);
        reached = lini_is_reached(client, &marks) && client->abandon_count == 0 && control->queue.first == NULL &&
                  control->out.first == NULL && control->parked.first == NULL;
    } while (!reached && lin_now_ns() < until_ns);
    if (left != NULL)
        lin_counts_of(client, left);
    for (which = 0; which < LINI_SESSIONS; which++)
        lini_free_session(&client->sessions[which]);
    for (at = 0; at < client->stream_count; at++) {
        lini_feed_free(&client->streams[at]->feed);
        free(client->streams[at]->action_class);
        free(client->streams[at]->declaration);
        free(client->streams[at]);
    }
    for (at = 0; at < client->lane_count; at++) {
        lini_feed_free(&client->lanes[at]->feed);
        free(client->lanes[at]->prefix);
        free(client->lanes[at]);
    }
    lini_free_list(&client->outbox);
    free(client->abandon);
    free(client->hello);
    pthread_cond_destroy(&client->changed);
    pthread_mutex_destroy(&client->lock);
    close(client->wake_fd);
    free(client);
    return reached ? LIN_OK : LIN_UNAVAILABLE;
}

void lin_trouble(lin_client *client, char trouble[LIN_DETAIL_BYTES])
{
    int which;
    trouble[0] = 0;
    pthread_mutex_lock(&client->lock);
    for (which = 0; which < LINI_SESSIONS && trouble[0] == 0; which++)
        lini_say(trouble, LIN_DETAIL_BYTES, client->sessions[which].trouble, "");
    pthread_mutex_unlock(&client->lock);
}

/* ==== Calls that wait ============================================================================================= */

static lin_result lini_misuse(lin_receipt *receipt, const char *said, const char *more)
{
    lini_say(receipt->detail, sizeof receipt->detail, said, more == NULL ? "(null)" : more);
    return LIN_MISUSE;
}

static lin_result lini_no_memory(lin_receipt *receipt)
{
    lini_say(receipt->detail, sizeof receipt->detail, "out of memory", "");
    return LIN_UNAVAILABLE;
}

static lin_receipt *lini_clear(lin_receipt *receipt, lin_receipt *room)
{
    lin_receipt *cleared = receipt == NULL ? room : receipt;
    memset(cleared, 0, sizeof *cleared);
    cleared->decision = -1;
    return cleared;
}

static lin_rule lini_rule_locked(const lin_client *client, const char *action_class)
{
    lini_in in = lini_in_of(client->hello, client->hello_size);
    const unsigned char *text;
    size_t size;
    if (client->hello == NULL || !lini_find(&in, "classes") || !lini_find(&in, action_class) ||
        !lini_find(&in, "on_unavailable"))
        return LIN_RULE_UNKNOWN;
    text = lini_string(&in, 3, &size);
    return in.bad ? LIN_RULE_UNKNOWN : lini_is(text, size, "continue_ungated") ? LIN_RULE_CONTINUE : LIN_RULE_HOLD;
}

lin_rule lin_rule_of(lin_client *client, const char *action_class)
{
    lin_rule rule;
    pthread_mutex_lock(&client->lock);
    rule = lini_rule_locked(client, action_class);
    pthread_mutex_unlock(&client->lock);
    return rule;
}

/* Since when nobody answers. */
static uint64_t lini_away_ns(const lin_client *client, uint64_t began_ns)
{
    uint64_t lost_ns = client->sessions[LINI_CONTROL].lost_ns;
    return lost_ns != 0 && lost_ns < began_ns ? lost_ns : began_ns;
}

/*
 * Sends a request and waits for its answer.  Without one in time it is given up: withdrawn, and abandoned if the
 * recorder may have it; or, where `stays`, sent on by itself.  Hold the lock.  The caller frees call->reply.
 */
static bool lini_ask(lin_client *client, lini_request *request, lini_call *call, uint64_t until_ns, bool while_down,
    bool stays)
{
    lini_session *control = &client->sessions[LINI_CONTROL];
    memset(call, 0, sizeof *call);
    call->began_ns = lin_now_ns();
    request->owner = LINI_OF_CALL;
    request->token = call;
    lini_append(&control->queue, request);
    lin_wake(client);
    while (!call->done && lin_now_ns() < until_ns && (while_down || control->fd >= 0))
        lini_wait(client, until_ns);
    if (call->done)
        return call->reply != NULL;
    if (stays) {
        request->owner = LINI_OF_NOBODY;
        request->patient = true;
        return false;
    }
    if (!lini_remove(&control->queue, request) && !lini_remove(&control->out, request))
        lini_remove(&control->parked, request);
    if (request->sent) {
        lini_abandon_add(client, request->sent_as);
        lin_wake(client);
    }
    free(request);
    return false;
}

/* Reads a reply into a receipt.  `*body` is left at the reply's body. */
static lin_result lini_receive(const lini_call *call, lini_in *body, lin_receipt *receipt)
{
    lini_in in = lini_in_of(call->reply, call->reply_size);
    uint64_t status;
    const unsigned char *text;
    size_t size;
    lini_expect(&in, 4);
    status = lini_expect(&in, 0);
    lini_expect(&in, 0);
    *body = in;
    if (status == LINI_STATUS_OK)
        return LIN_OK;
    if (status == LINI_STATUS_REFUSED) {
        lini_expect(&in, 4);
        receipt->seq = lini_expect(&in, 0);
        text = lini_string(&in, 2, &size);
        if (size == 32)
            memcpy(receipt->entry_hash, text, 32);
        lini_join(&in, receipt->detail, sizeof receipt->detail);
        receipt->late = strcmp(receipt->detail, "deadline_passed") == 0; /* a refusal for no other reason than that */
        return LIN_REFUSED;
    }
    lini_join(&in, receipt->detail, sizeof receipt->detail);
    return strncmp(receipt->detail, "store_full", 10) == 0 ? LIN_UNAVAILABLE : LIN_NOT_RECORDED;
}

/* The body [seq, index, hash, decision / null, flags]; returns the flags. */
static uint64_t lini_receipt_of(lini_in body, lin_receipt *receipt)
{
    const unsigned char *hash;
    size_t size;
    uint64_t flags, decision;
    unsigned info;
    lini_expect(&body, 4);
    receipt->seq = lini_expect(&body, 0);
    receipt->index = lini_expect(&body, 0);
    hash = lini_string(&body, 2, &size);
    if (size == 32)
        memcpy(receipt->entry_hash, hash, 32);
    receipt->decision = lini_read_head(&body, &decision, &info) == 0 ? (int)decision : -1;
    flags = lini_expect(&body, 0);
    receipt->duplicate = (flags & LINI_FLAG_DUPLICATE) != 0;
    return flags;
}

static bool lini_copy_name(char *to, const unsigned char *text, size_t size)
{
    if (size >= LIN_NAME_BYTES)
        return false;
    memcpy(to, text, size);
    to[size] = 0;
    return true;
}

/* The body [seq, hash, not_after, max_commits, commits, {name: number}, [class], bundle, flags]; returns the flags. */
static bool lini_opened(lini_in body, lin_cycle *cycle, uint64_t *flags)
{
    const unsigned char *text;
    size_t size;
    uint64_t count;
    lini_expect(&body, 4);
    cycle->seq = lini_expect(&body, 0);
    text = lini_string(&body, 2, &size);
    if (size != 32)
        return false;
    memcpy(cycle->entry_hash, text, 32);
    cycle->not_after_mono_ns = lini_expect(&body, 0);
    cycle->max_commits = lini_expect(&body, 0);
    lini_expect(&body, 0);
    count = lini_expect(&body, 5);
    for (; count > 0 && cycle->actuator_count < LIN_CYCLE_ACTUATORS_MAX; count--, cycle->actuator_count++) {
        text = lini_string(&body, 3, &size);
        if (!lini_copy_name(cycle->actuators[cycle->actuator_count], text, size))
            return false;
        cycle->numbers[cycle->actuator_count] = lini_expect(&body, 0);
    }
    count += lini_expect(&body, 4);
    for (; count > 0 && cycle->class_count < LIN_CYCLE_CLASSES_MAX; count--, cycle->class_count++) {
        text = lini_string(&body, 3, &size);
        if (!lini_copy_name(cycle->classes[cycle->class_count], text, size))
            return false;
    }
    lini_string(&body, 2, &size);
    *flags = lini_expect(&body, 0);
    return !body.bad && count == 0;
}

static lin_result lini_no_answer(lin_client *client, const char *what, lin_receipt *receipt)
{
    const char *trouble = client->sessions[LINI_CONTROL].trouble;
    lini_say(receipt->detail, sizeof receipt->detail, what, trouble[0] != 0 ? trouble : "the recorder does not answer");
    return LIN_UNAVAILABLE;
}

static uint64_t lini_until(int timeout_ms)
{
    return lin_now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * LINI_MS;
}

/* A cycle that was asked for; hold the lock. */
static lin_result lini_ask_cycle(
    lin_client *client, lini_request *request, uint64_t until_ns, lin_claims who, lin_cycle *cycle,
        lin_receipt *receipt)
{
    lini_call call;
    lini_in body;
    lin_result result;
    uint64_t flags = 0;
    if (!lini_ask(client, request, &call, until_ns, true, false))
        return lini_no_answer(client, "no cycle: ", receipt);
    result = lini_receive(&call, &body, receipt);
    memset(cycle, 0, sizeof *cycle);
    cycle->who = who;
    if (result == LIN_OK && !lini_opened(body, cycle, &flags)) {
        lini_say(receipt->detail, sizeof receipt->detail, "the recorder's answer is not one of this protocol", "");
        result = LIN_UNAVAILABLE;
    } else if (result == LIN_OK && (flags & LINI_FLAG_LATE) != 0) {
        lini_abandon_add(client, call.sent_as);
        lin_wake(client);
        receipt->late = true;
        lini_say(receipt->detail, sizeof receipt->detail, "the cycle was opened after the deadline", "");
        result = LIN_UNAVAILABLE;
    } else if (result == LIN_OK) {
        receipt->seq = cycle->seq;
        memcpy(receipt->entry_hash, cycle->entry_hash, 32);
    }
    free(call.reply);
    return result;
}

/* Trailing elements of an opening, up to the last that says something: a recorder that does not know them reads the rest. */
static unsigned lini_trailing(const lin_cycle_options *options)
{
    if (options->predecessor != NULL)
        return 4;
    if (options->stage != LIN_DIRECT)
        return 3;
    if (options->grant != NULL)
        return 2;
    return options->what.size > 0 ? 1 : 0;
}

static void lini_put_trailing(lin_buf *buf, const lin_cycle_options *options)
{
    unsigned count = lini_trailing(options);
    if (count >= 1 && options->what.size == 0) {
        lin_null(buf);
    } else if (count >= 1) {
        lin_list(buf, 2);
        lini_put_claims(buf, options->what);
        lini_put_claims(buf, options->where);
    }
    if (count >= 2 && options->grant == NULL)
        lin_null(buf);
    else if (count >= 2)
        lin_bytes(buf, options->grant, options->grant_size);
    if (count >= 3)
        lin_u64(buf, (uint64_t)options->stage);
    if (count >= 4)
        lin_u64(buf, *options->predecessor);
}

/* The why of a controller that leaves the deciding to the recorder: it puts its own over it. */
static void lini_put_undecided(lin_buf *buf)
{
    lin_map(buf, 4);
    lin_text(buf, "evaluator"), lin_null(buf);
    lin_text(buf, "clauses"), lin_null(buf);
    lin_text(buf, "inputs"), lin_list(buf, 0);
    lin_text(buf, "alternatives"), lin_list(buf, 0);
}

lin_result lin_open_cycle(
    lin_client *client, const lin_cycle_options *options, int timeout_ms, lin_cycle *cycle,
        lin_receipt *receipt_or_null)
{
    uint64_t until_ns = lini_until(timeout_ms);
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    lini_request *request;
    lin_result result;
    lin_buf buf;
    size_t size;
    if (!lini_claims_ok(options->who) || !lini_claims_ok(options->why) || !lini_claims_ok(options->what) ||
        !lini_claims_ok(options->where))
        return lini_misuse(receipt,
            "who, why, what or where is no map of claims that the recorder can read, or did not fit its buffer", "");
    if (options->what.size == 0 && options->where.size > 0)
        return lini_misuse(receipt, "a where without a what says of no act where it would be", "");
    if ((unsigned)options->stage > LIN_EXECUTED)
        return lini_misuse(receipt, "a cycle is direct, tentative, witnessed or executed; lin_abort_cycle aborts", "");
    if (!lini_names_ok(options->actuators, options->actuator_count, 1, LIN_CYCLE_ACTUATORS_MAX) ||
        !lini_names_ok(options->action_classes, options->class_count, 1, LIN_CYCLE_CLASSES_MAX))
        return lini_misuse(receipt,
            "a cycle has 1 to 64 actuators and 1 to 16 action classes, with names of 1 to 63 bytes", "");
    if (options->max_commits == 0 || options->valid_ms == 0)
        return lini_misuse(receipt, "max_commits and valid_ms are at least 1", "");
    if (options->grant_size > LINI_REQUEST_BYTES || (options->grant == NULL && options->grant_size > 0))
        return lini_misuse(receipt, "a grant has its bytes, and fits one message of 56 KiB", "");
    size = options->who.size + options->why.size + lini_names_size(options->actuators, options->actuator_count) +
           lini_names_size(options->action_classes, options->class_count) + options->what.size + options->where.size +
           options->grant_size + 160;
    if (size > LINI_REQUEST_BYTES)
        return lini_misuse(receipt, "the claims are too large for one message of 56 KiB", "");
    request = lini_request_new(LINI_OPEN_CYCLE, 10 + lini_trailing(options), size, &buf);
    if (request == NULL)
        return lini_no_memory(receipt);
    lini_put_claims(&buf, options->who);
    if (options->why.size == 0 && options->what.size > 0)
        lini_put_undecided(&buf);
    else
        lini_put_claims(&buf, options->why);
    lini_names(&buf, options->actuators, options->actuator_count);
    lini_names(&buf, options->action_classes, options->class_count);
    lin_u64(&buf, options->max_commits);
    lin_u64(&buf, options->valid_ms);
    if (options->supersedes == NULL)
        lin_null(&buf);
    else
        lin_u64(&buf, *options->supersedes);
    lin_u64(&buf, until_ns);
    lini_put_trailing(&buf, options);
    request->tail_size = buf.used;
    pthread_mutex_lock(&client->lock);
    result = lini_ask_cycle(client, request, until_ns, options->who, cycle, receipt);
    receipt->on_unavailable = lini_rule_locked(client, options->action_classes[0]);
    for (size = 1; size < options->class_count; size++)
        if (lini_rule_locked(client, options->action_classes[size]) != receipt->on_unavailable)
            receipt->on_unavailable = LIN_RULE_UNKNOWN;
    pthread_mutex_unlock(&client->lock);
    return result;
}

lin_result lin_join_cycle(
    lin_client *client, const char *cycle_id, lin_claims who, int timeout_ms, lin_cycle *cycle,
        lin_receipt *receipt_or_null)
{
    uint64_t until_ns = lini_until(timeout_ms), seq = 0;
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    lini_request *request;
    lin_result result;
    const char *at = cycle_id;
    lin_buf buf;
    if (!lini_claims_ok(who))
        return lini_misuse(receipt, "who is no map of claims that the recorder can read, or did not fit its buffer",
            "");
    while (*at >= '0' && *at <= '9' && at - cycle_id < 19)
        seq = seq * 10 + (uint64_t)(*at++ - '0');
    if (at == cycle_id || *at != '-' || strlen(at) != 9 || strspn(at + 1, "0123456789abcdef") != 8)
        return lini_misuse(receipt, "the printed id of a cycle is SEQ-HHHHHHHH, not ", cycle_id);
    request = lini_request_new(LINI_JOIN_CYCLE, 4, 32, &buf);
    if (request == NULL)
        return lini_no_memory(receipt);
    lin_u64(&buf, seq);
    lin_text(&buf, at + 1);
    request->tail_size = buf.used;
    pthread_mutex_lock(&client->lock);
    result = lini_ask_cycle(client, request, until_ns, who, cycle, receipt);
    pthread_mutex_unlock(&client->lock);
    return result;
}

lin_result lin_close_cycle(
    lin_client *client, const lin_cycle *cycle, const char *reason, int timeout_ms, lin_receipt *receipt_or_null)
{
    uint64_t until_ns = lini_until(timeout_ms);
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    lini_request *request;
    lin_result result;
    lini_call call;
    lini_in body;
    lin_buf buf;
    if (!lini_reason_ok(reason))
        return lini_misuse(receipt, "a reason is text of 1 to 1024 bytes", "");
    lin_flush(client, timeout_ms); /* a row behind its cycle's end would stand outside the grant */
    request = lini_request_new(LINI_CLOSE_CYCLE, 4, strlen(reason) + 32, &buf);
    if (request == NULL)
        return lini_no_memory(receipt);
    lin_u64(&buf, cycle->seq);
    lin_text(&buf, reason);
    request->tail_size = buf.used;
    pthread_mutex_lock(&client->lock);
    if (!lini_ask(client, request, &call, until_ns, true, true)) {
        result = lini_no_answer(client, "the recorder will be told; the cycle ends at its time anyway: ", receipt);
    } else {
        result = lini_receive(&call, &body, receipt);
        if (result == LIN_OK)
            lini_receipt_of(body, receipt);
        else if (strncmp(receipt->detail, "cycle_unknown", 13) == 0)
            result = LIN_OK; /* it had ended before */
        free(call.reply);
    }
    pthread_mutex_unlock(&client->lock);
    return result;
}

/* Whether what is asked of witnesses can be: both of it, or nothing. */
static bool lini_wish_ok(const lin_act *act)
{
    return (act->witnesses == 0) == (act->within_ms == 0) && act->witnesses <= LIN_WITNESSES_MAX &&
           act->within_ms <= 86400000u;
}

/* [witnesses, within_ms], the last element of a COMMIT or EVENT, where something is asked. */
static void lini_put_wish(lin_buf *buf, const lin_act *act)
{
    if (act->witnesses != 0) {
        lin_list(buf, 2);
        lin_u64(buf, act->witnesses);
        lin_u64(buf, act->within_ms);
    }
}

/* The class of the cycle that is meant, NULL where it has none of this name, or several and none is named. */
static const char *lini_class_of(const lin_cycle *cycle, const char *action_class)
{
    size_t at;
    for (at = 0; at < cycle->class_count; at++)
        if (action_class == NULL ? cycle->class_count == 1 : strcmp(cycle->classes[at], action_class) == 0)
            return cycle->classes[at];
    return NULL;
}

/* Counts an event or gap of the outbox in, or as lost.  Hold the lock. */
static bool lini_outbox_put(lin_client *client, lini_request *request, uint64_t at_ns)
{
    if (request != NULL && client->outbox.count + client->outbox_out < LINI_OUTBOX) {
        lini_append(&client->outbox, request);
        lini_add(&client->given, 1);
        return true;
    }
    free(request);
    if (client->over_count++ == 0)
        client->over_first_ns = at_ns;
    client->over_last_ns = at_ns;
    lini_add(&client->dropped, 1);
    return false;
}

lin_result lin_abort_cycle(
    lin_client *client, const lin_cycle *cycle, const lin_act *instead, const char *reason,
        lin_receipt *receipt_or_null)
{
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    const char *names[LIN_CYCLE_ACTUATORS_MAX], *action_class;
    uint64_t at_ns = instead->at_mono_ns == 0 ? lin_now_ns() : instead->at_mono_ns;
    size_t count = 0, at, size;
    lini_request *request;
    lin_buf buf;
    bool taken;
    if (!lini_claims_ok(instead->what) || !lini_claims_ok(instead->where) || !lini_reason_ok(reason))
        return lini_misuse(receipt,
            "what or where is no map of claims that the recorder can read, or the reason no text of 1 to 1024 bytes", "");
    if (!lini_wish_ok(instead))
        return lini_misuse(receipt, "1 to 64 witnesses within 1 to 86400000 ms, or neither", "");
    for (at = 0; at < cycle->actuator_count; at++)
        if (instead->actuator == NULL || strcmp(cycle->actuators[at], instead->actuator) == 0)
            names[count++] = cycle->actuators[at];
    if (count == 0)
        return lini_misuse(receipt, "the cycle has no actuator ", instead->actuator);
    if ((action_class = lini_class_of(cycle, instead->action_class)) == NULL)
        return lini_misuse(receipt, "name one of the cycle's action classes, not ", instead->action_class);
    size = cycle->who.size + instead->what.size + instead->where.size + lini_names_size(names, count) +
           strlen(reason) + LIN_NAME_BYTES + 64;
    if (size > LINI_REQUEST_BYTES)
        return lini_misuse(receipt, "the claims are too large for one message of 56 KiB", "");
    request = lini_request_new(LINI_EVENT, instead->witnesses == 0 ? 10 : 11, size, &buf);
    if (request != NULL) {
        lin_text(&buf, action_class);
        lini_names(&buf, names, count);
        lini_put_claims(&buf, cycle->who);
        lini_put_claims(&buf, instead->what);
        lini_put_claims(&buf, instead->where);
        lin_map(&buf, 1);
        lin_text(&buf, "reason");
        lin_text(&buf, reason);
        lin_u64(&buf, at_ns);
        lin_u64(&buf, cycle->seq);
        lini_put_wish(&buf, instead);
        request->tail_size = buf.used;
        request->owner = LINI_OF_OUTBOX;
        request->patient = true;
        request->first_ns = request->last_ns = at_ns;
    }
    pthread_mutex_lock(&client->lock);
    taken = lini_outbox_put(client, request, at_ns);
    pthread_mutex_unlock(&client->lock);
    lin_wake(client);
    return taken ? LIN_OK : LIN_FULL;
}

/* The act goes on without the recorder: an event will say so, with the reason and how long.  Hold the lock. */
static void lini_put_ungated(
    lin_client *client, const lin_cycle *cycle, const lin_act *act, const char *action_class, uint64_t at_ns,
        uint64_t away_ms)
{
    lin_buf buf;
    lini_request *request = lini_request_new(
        LINI_EVENT, act->witnesses == 0 ? 9 : 11, cycle->who.size + act->what.size + act->where.size + 2 * LIN_NAME_BYTES + 128, &buf);
    if (request != NULL) {
        lin_text(&buf, action_class);
        lini_names(&buf, &act->actuator, 1);
        lini_put_claims(&buf, cycle->who);
        lini_put_claims(&buf, act->what);
        lini_put_claims(&buf, act->where);
        lin_map(&buf, 2);
        lin_text(&buf, "reason");
        lin_text(&buf, "recorder_unavailable");
        lin_text(&buf, "unavailable_ms");
        lin_u64(&buf, away_ms);
        lin_u64(&buf, at_ns);
        if (act->witnesses != 0)
            lin_null(&buf); /* it aborts no cycle */
        lini_put_wish(&buf, act);
        request->tail_size = buf.used;
        request->owner = LINI_OF_OUTBOX;
        request->patient = true;
        request->first_ns = request->last_ns = at_ns;
    }
    lini_outbox_put(client, request, at_ns);
}

/* The class decides.  Hold the lock. */
static lin_result lini_without(
    lin_client *client, const lin_cycle *cycle, const lin_act *act, const char *action_class, uint64_t at_ns,
    uint64_t began_ns, const char *why, lin_receipt *receipt)
{
    if (receipt->on_unavailable == LIN_RULE_CONTINUE) {
        uint64_t away_ms = (lin_now_ns() - lini_away_ns(client, began_ns)) / LINI_MS;
        lini_put_ungated(client, cycle, act, action_class, at_ns, away_ms);
        lin_wake(client);
        lini_say(receipt->detail, sizeof receipt->detail, "goes on without the recorder; an event will say so", "");
        return LIN_UNGATED_PENDING;
    }
    if (why != NULL) {
        lini_say(receipt->detail, sizeof receipt->detail, why, "");
        return LIN_UNAVAILABLE;
    }
    return lini_no_answer(client, "no durable commit: ", receipt);
}

lin_result lin_commit(
    lin_client *client, const lin_cycle *cycle, const lin_act *act, int timeout_ms, lin_receipt *receipt_or_null)
{
    uint64_t until_ns = lini_until(timeout_ms), flags;
    uint64_t at_ns = act->at_mono_ns == 0 ? lin_now_ns() : act->at_mono_ns;
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    const char *action_class;
    lini_request *request;
    lin_result result;
    lini_call call;
    lini_in body;
    lin_buf buf;
    size_t at;
    char said[LIN_DETAIL_BYTES];
    if (!lini_claims_ok(act->what) || !lini_claims_ok(act->where))
        return lini_misuse(receipt,
            "what or where is no map of claims that the recorder can read, or did not fit its buffer", "");
    if (!lini_wish_ok(act))
        return lini_misuse(receipt, "1 to 64 witnesses within 1 to 86400000 ms, or neither", "");
    if (act->what.size + act->where.size + cycle->who.size + 1024 > LINI_REQUEST_BYTES)
        return lini_misuse(receipt, "the claims are too large for one message of 56 KiB", "");
    for (at = 0; at < cycle->actuator_count; at++)
        if (act->actuator != NULL && strcmp(cycle->actuators[at], act->actuator) == 0)
            break;
    if (at == cycle->actuator_count)
        return lini_misuse(receipt, "the cycle has no actuator ", act->actuator);
    if ((action_class = lini_class_of(cycle, act->action_class)) == NULL)
        return lini_misuse(receipt, "name one of the cycle's action classes, not ", act->action_class);
    request = lini_request_new(LINI_COMMIT, act->witnesses == 0 ? 9 : 10, act->what.size + act->where.size + LIN_NAME_BYTES + 128, &buf);
    if (request == NULL)
        return lini_no_memory(receipt);
    lin_u64(&buf, cycle->seq);
    lini_text_or_null(&buf, act->action_class);
    lin_u64(&buf, cycle->numbers[at]);
    lini_put_claims(&buf, act->what);
    lini_put_claims(&buf, act->where);
    lin_u64(&buf, at_ns);
    lin_u64(&buf, until_ns);
    lini_put_wish(&buf, act);
    request->tail_size = buf.used;
    pthread_mutex_lock(&client->lock);
    receipt->on_unavailable = lini_rule_locked(client, action_class);
    if (!lini_ask(client, request, &call, until_ns, receipt->on_unavailable != LIN_RULE_CONTINUE, false)) {
        result = lini_without(client, cycle, act, action_class, at_ns, call.began_ns, NULL, receipt);
    } else {
        result = lini_receive(&call, &body, receipt);
        if (result == LIN_OK) {
            flags = lini_receipt_of(body, receipt);
            if ((flags & LINI_FLAG_LATE) != 0) {
                receipt->late = true;
                lini_abandon_add(client, call.sent_as); /* durable, but nobody acted on it */
                lin_wake(client);
            }
        }
        if (receipt->late) {
            result = lini_without(
                client, cycle, act, action_class, at_ns, call.began_ns, "the answer came after the deadline", receipt);
        } else if (result == LIN_UNAVAILABLE) {
            lini_say(said, sizeof said, receipt->detail, "");
            result = lini_without(client, cycle, act, action_class, at_ns, call.began_ns, said, receipt);
        }
        free(call.reply);
    }
    pthread_mutex_unlock(&client->lock);
    return result;
}

/* The body [k, within_ms, [* name], [* [name, after_ms, evidence]]]. */
static void lini_signatures_of(lini_in body, lin_signatures *found)
{
    const unsigned char *text;
    size_t size, at, count;
    uint64_t after_ms;
    lini_expect(&body, 4);
    found->wanted = lini_expect(&body, 0);
    found->within_ms = lini_expect(&body, 0);
    found->asked = (size_t)lini_expect(&body, 4);
    for (at = 0; at < found->asked && !body.bad; at++)
        lini_string(&body, 3, &size);
    count = (size_t)lini_expect(&body, 4);
    for (at = 0; at < count && !body.bad; at++) {
        lini_expect(&body, 4);
        text = lini_string(&body, 3, &size);
        after_ms = lini_expect(&body, 0);
        lini_expect(&body, 0); /* the evidence */
        found->in_time += after_ms <= found->within_ms;
        if (found->signed_count < LIN_WITNESSES_MAX) {
            size = size < LIN_NAME_BYTES ? size : LIN_NAME_BYTES - 1;
            memcpy(found->names[found->signed_count], text, size);
            found->after_ms[found->signed_count++] = after_ms;
        }
    }
}

lin_result lin_witnessed(
    lin_client *client, const lin_receipt *commit, unsigned wait_ms, lin_signatures *found, lin_receipt *receipt_or_null)
{
    enum { ANSWER_MS = 1000 };
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    lini_request *request;
    lin_result result;
    lini_call call;
    lini_in body;
    lin_buf buf;
    memset(found, 0, sizeof *found);
    if (wait_ms > 600000)
        return lini_misuse(receipt, "at most 600000 ms are waited", "");
    request = lini_request_new(LINI_WITNESSED, 4, 32, &buf);
    if (request == NULL)
        return lini_no_memory(receipt);
    lin_u64(&buf, commit->seq);
    lin_u64(&buf, wait_ms);
    request->tail_size = buf.used;
    pthread_mutex_lock(&client->lock);
    if (!lini_ask(client, request, &call, lini_until((int)wait_ms + ANSWER_MS), true, true)) {
        result = lini_no_answer(client, "nobody says who signed: ", receipt);
    } else {
        result = lini_receive(&call, &body, receipt);
        if (result == LIN_OK)
            lini_signatures_of(body, found);
        free(call.reply);
    }
    pthread_mutex_unlock(&client->lock);
    return result;
}

lin_result lin_gap(
    lin_client *client, const char *const *actuators, size_t actuator_count, uint64_t count, uint64_t first_mono_ns,
    uint64_t last_mono_ns, const char *reason)
{
    bool taken;
    if (!lini_names_ok(actuators, actuator_count, 0, LINI_GAP_ACTUATORS) || !lini_reason_ok(reason))
        return LIN_MISUSE;
    pthread_mutex_lock(&client->lock);
    taken = lini_outbox_put(
        client, lini_gap(actuators, actuator_count, count, first_mono_ns, last_mono_ns, reason), lin_now_ns());
    pthread_mutex_unlock(&client->lock);
    lin_wake(client);
    return taken ? LIN_OK : LIN_FULL;
}

void lin_cycle_id(const lin_cycle *cycle, char id[LIN_ID_BYTES])
{
    const unsigned char *hash = cycle->entry_hash;
    snprintf(id, LIN_ID_BYTES, "%llu-%02x%02x%02x%02x", (unsigned long long)cycle->seq, hash[0], hash[1], hash[2],
        hash[3]);
}

void lin_receipt_id(const lin_receipt *receipt, char id[LIN_ID_BYTES])
{
    const unsigned char *hash = receipt->entry_hash;
    snprintf(id, LIN_ID_BYTES, "%llu.%llu-%02x%02x%02x%02x", (unsigned long long)receipt->seq,
             (unsigned long long)receipt->index, hash[0], hash[1], hash[2], hash[3]);
}

/* ==== Streams and lanes =========================================================================================== */

static unsigned char *lini_copy(const void *bytes, size_t size)
{
    unsigned char *copy = (unsigned char *)malloc(size > 0 ? size : 1);
    if (copy != NULL && size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* Bytes of one scalar, 0 for a type that rows do not have (FORMAT.md section 4). */
static size_t lini_scalar_bytes(const char *type)
{
    static const char *const types[] = {"<i1", "|i1", "<u1", "|u1", "|b1", "<i2", "<u2", "<f2",
                                        "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"};
    size_t at;
    for (at = 0; at < sizeof types / sizeof types[0]; at++)
        if (type != NULL && strcmp(types[at], type) == 0)
            return (size_t)(type[2] - '0');
    return 0;
}

static const char *lini_lacks(lin_claims what, lin_claims where)
{
    static const char *const required[] = {"mode", "target", "magnitude", "unit", "duration_ms", "reversibility",
        "confirm_by_ms"};
    size_t at;
    for (at = 0; at < sizeof required / sizeof required[0]; at++)
        if (!lini_has(what, required[at]))
            return required[at];
    return where.size > 1 && !lini_has(where, "frame") ? "frame" : NULL;
}

lin_result lin_stream_open(
    lin_client *client, const lin_stream_options *options, lin_stream **opened, lin_receipt *receipt_or_null)
{
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    lin_stream *stream;
    lin_buf buf;
    unsigned char *packed;
    size_t at, other, row_bytes = 0, size;
    const char *lacking;
    if (!lini_name_ok(options->actuator) || (options->action_class != NULL && !lini_name_ok(options->action_class)))
        return lini_misuse(receipt, "names of actuators and classes have 1 to 63 bytes", "");
    if (!lini_claims_ok(options->what) || !lini_claims_ok(options->where))
        return lini_misuse(receipt,
            "what or where is no map of claims that the recorder can read, or did not fit its buffer", "");
    if ((lacking = lini_lacks(options->what, options->where)) != NULL)
        return lini_misuse(receipt, "what or where lacks a required claim (FORMAT.md section 4; null says none): ",
            lacking);
    if (options->field_count == 0 || options->field_count > LINI_FIELDS)
        return lini_misuse(receipt, "a row has 1 to 256 fields", "");
    size = lini_names_size(&options->actuator, 1) + options->what.size + options->where.size + 64;
    for (at = 0; at < options->field_count; at++) {
        const lin_field *field = &options->fields[at];
        size_t scalar = lini_scalar_bytes(field->type);
        if (!lini_name_ok(field->name) || field->unit == NULL || strlen(field->unit) >= LIN_NAME_BYTES ||
            !lini_utf8((const unsigned char *)field->unit, strlen(field->unit)))
            return lini_misuse(receipt, "name and unit of a field have at most 63 bytes: ", field->name);
        if (scalar == 0 || field->count == 0 || field->count > LINI_ROW_BYTES)
            return lini_misuse(receipt, "type or count of a field that rows don't have (FORMAT.md section 4): ",
                field->name);
        for (other = 0; other < at; other++)
            if (strcmp(options->fields[other].name, field->name) == 0)
                return lini_misuse(receipt, "a field stands twice: ", field->name);
        row_bytes += scalar * field->count;
        size += strlen(field->name) + strlen(field->unit) + 32;
    }
    if (row_bytes != options->row_bytes) {
        char said[LIN_DETAIL_BYTES];
        snprintf(said, sizeof said,
            "row_bytes is %lu, but the fields have %lu bytes: is the struct packed, without its time?",
                 (unsigned long)options->row_bytes, (unsigned long)row_bytes);
        return lini_misuse(receipt, said, "");
    }
    if (row_bytes + 8 > LINI_ROW_BYTES || size > LINI_REQUEST_BYTES)
        return lini_misuse(receipt, "a row has at most 4096 bytes with its time, and its declaration fits 56 KiB", "");
    stream = (lin_stream *)calloc(1, sizeof *stream);
    packed = (unsigned char *)malloc(size);
    if (stream == NULL || packed == NULL ||
        !lini_ring_make(&stream->feed.ring, row_bytes + 8, options->capacity_rows == 0 ? 8192
            : options->capacity_rows)) {
        free(stream);
        free(packed);
        lini_say(receipt->detail, sizeof receipt->detail, "out of memory", "");
        return LIN_FULL;
    }
    lin_begin(&buf, packed, size);
    lin_text(&buf, options->actuator);
    lin_list(&buf, options->field_count);
    for (at = 0; at < options->field_count; at++) {
        lin_list(&buf, 4);
        lin_text(&buf, options->fields[at].name);
        lin_text(&buf, options->fields[at].type);
        lin_u64(&buf, options->fields[at].count);
        lin_text(&buf, options->fields[at].unit);
    }
    lini_put_claims(&buf, options->what);
    lini_put_claims(&buf, options->where);
    stream->row_bytes = row_bytes;
    stream->declaration = packed;
    stream->declaration_size = buf.used;
    stream->feed.what = "row ring";
    stream->feed.actuator_count = 1;
    strcpy(stream->feed.actuators[0], options->actuator);
    if (options->action_class != NULL)
        stream->action_class = (char *)lini_copy(options->action_class, strlen(options->action_class) + 1);
    pthread_mutex_lock(&client->lock);
    if (client->stream_count == LIN_STREAMS_MAX || (options->action_class != NULL && stream->action_class == NULL)) {
        pthread_mutex_unlock(&client->lock);
        free(stream->feed.ring.slots);
        free(stream->action_class);
        free(packed);
        free(stream);
        lini_say(receipt->detail, sizeof receipt->detail, "a client has at most 64 streams", "");
        return LIN_FULL;
    }
    client->streams[client->stream_count] = stream;
    lini_add(&client->stream_count, 1);
    pthread_mutex_unlock(&client->lock);
    lin_wake(client);
    *opened = stream;
    return LIN_OK;
}

bool lin_use(lin_stream *stream, uint64_t carrier)
{
    if (carrier == 0 || !lini_ring_use(&stream->feed.ring, carrier))
        return false;
    stream->has_cycle = true;
    return true;
}

lin_result lin_push(lin_stream *stream, uint64_t at_mono_ns, const void *row)
{
    unsigned char *slot;
    if (!stream->has_cycle)
        return LIN_MISUSE;
    slot = lini_ring_begin(&stream->feed.ring, at_mono_ns);
    if (slot == NULL)
        return LIN_FULL;
    memcpy(slot, &at_mono_ns, 8);
    memcpy(slot + 8, row, stream->row_bytes);
    lini_ring_publish(&stream->feed.ring);
    return LIN_OK;
}

lin_result lin_lane_open(lin_client *client, const lin_lane_options *options, lin_lane **opened,
    lin_receipt *receipt_or_null)
{
    lin_receipt room, *receipt = lini_clear(receipt_or_null, &room);
    size_t event_bytes = options->event_bytes == 0 ? 1024 : options->event_bytes, size, at;
    lin_lane *lane;
    lin_buf buf;
    if (!lini_name_ok(options->action_class) || !lini_names_ok(options->actuators, options->actuator_count, 1,
        LINI_GAP_ACTUATORS))
        return lini_misuse(receipt, "a lane has a class and 1 to 64 actuators, with names of 1 to 63 bytes", "");
    if (!lini_claims_ok(options->who))
        return lini_misuse(receipt, "who is no map of claims that the recorder can read, or did not fit its buffer",
            "");
    size = options->who.size + LIN_NAME_BYTES + lini_names_size(options->actuators, options->actuator_count) + 64;
    if (event_bytes > LINI_CHUNK_BYTES || size + event_bytes + 64 > LINI_REQUEST_BYTES)
        return lini_misuse(receipt, "event_bytes is at most 32768, and with who fits one message of 56 KiB", "");
    lane = (lin_lane *)calloc(1, sizeof *lane);
    if (lane != NULL)
        lane->prefix = (unsigned char *)malloc(size);
    if (lane == NULL || lane->prefix == NULL ||
        !lini_ring_make(&lane->feed.ring, event_bytes + 64, options->capacity == 0 ? 256 : options->capacity)) {
        if (lane != NULL)
            free(lane->prefix);
        free(lane);
        lini_say(receipt->detail, sizeof receipt->detail, "out of memory", "");
        return LIN_FULL;
    }
    lin_begin(&buf, lane->prefix, size);
    lin_text(&buf, options->action_class);
    lini_names(&buf, options->actuators, options->actuator_count);
    lini_put_claims(&buf, options->who);
    lane->prefix_size = buf.used;
    lane->feed.what = "event lane";
    lane->feed.actuator_count = options->actuator_count;
    for (at = 0; at < options->actuator_count; at++)
        strcpy(lane->feed.actuators[at], options->actuators[at]);
    pthread_mutex_lock(&client->lock);
    if (client->lane_count == LIN_LANES_MAX) {
        pthread_mutex_unlock(&client->lock);
        free(lane->feed.ring.slots);
        free(lane->prefix);
        free(lane);
        lini_say(receipt->detail, sizeof receipt->detail, "a client has at most 16 lanes", "");
        return LIN_FULL;
    }
    client->lanes[client->lane_count] = lane;
    lini_add(&client->lane_count, 1);
    pthread_mutex_unlock(&client->lock);
    lin_wake(client);
    *opened = lane;
    return LIN_OK;
}

lin_result lin_event(lin_lane *lane, uint64_t at_mono_ns, lin_claims what, lin_claims where, const char *reason)
{
    lini_ring *ring = &lane->feed.ring;
    unsigned char *slot;
    uint64_t size;
    lin_buf buf;
    if (!lini_claims_ok(what) || !lini_claims_ok(where) || !lini_reason_ok(reason) ||
        what.size + where.size + strlen(reason) + 64 > ring->slot_bytes)
        return LIN_MISUSE;
    slot = lini_ring_begin(ring, at_mono_ns);
    if (slot == NULL)
        return LIN_FULL;
    lin_begin(&buf, slot + 16, ring->slot_bytes - 16);
    lini_put_claims(&buf, what);
    lini_put_claims(&buf, where);
    lin_map(&buf, 1);
    lin_text(&buf, "reason");
    lin_text(&buf, reason);
    lin_u64(&buf, at_mono_ns);
    size = buf.used;
    memcpy(slot, &at_mono_ns, 8);
    memcpy(slot + 8, &size, 8);
    lini_ring_publish(ring);
    return LIN_OK;
}

/* ==== Counts ====================================================================================================== */

/* What came of a feed is read before what went into it: so nothing is answered that was not recorded. */
static void lini_count(const lini_feed *feed, uint64_t *recorded, uint64_t *acknowledged, uint64_t *rejected,
    uint64_t *dropped,
                       lin_counts *counts, uint64_t *told)
{
    uint64_t declared = lini_load(&feed->declared), undeclared = lini_load(&feed->undeclared);
    counts->lost_declared += declared;
    counts->lost_undeclared += undeclared;
    *told += declared + undeclared;
    *rejected += lini_load(&feed->rejected);
    *acknowledged += lini_load(&feed->acknowledged);
    *dropped += lini_load(&feed->ring.dropped);
    *recorded += lini_load(&feed->ring.written);
}

void lin_counts_of(const lin_client *client, lin_counts *counts)
{
    uint64_t at, oldest_ns = 0, told, now_ns;
    uint64_t streams = lini_load(&client->stream_count), lanes = lini_load(&client->lane_count);
    memset(counts, 0, sizeof *counts);
    counts->lost_declared = lini_load(&client->declared);
    counts->lost_undeclared = lini_load(&client->undeclared);
    told = counts->lost_declared + counts->lost_undeclared;
    counts->events_acknowledged = lini_load(&client->acknowledged);
    counts->events_rejected = lini_load(&client->rejected);
    counts->events_dropped = lini_load(&client->dropped);
    for (at = 0; at < streams; at++) {
        const lini_feed *feed = &client->streams[at]->feed;
        uint64_t waits_ns = lini_load(&feed->oldest_ns);
        if (waits_ns != 0 && (oldest_ns == 0 || waits_ns < oldest_ns))
            oldest_ns = waits_ns;
        lini_count(feed, &counts->rows_recorded, &counts->rows_acknowledged, &counts->rows_rejected,
            &counts->rows_dropped, counts, &told);
    }
    for (at = 0; at < lanes; at++)
        lini_count(&client->lanes[at]->feed, &counts->events_recorded, &counts->events_acknowledged,
            &counts->events_rejected,
                   &counts->events_dropped, counts, &told);
    counts->events_recorded += lini_load(&client->given);
    counts->rows_pending = counts->rows_recorded - counts->rows_acknowledged - counts->rows_rejected;
    counts->events_pending = counts->events_recorded - counts->events_acknowledged - counts->events_rejected;
    counts->losses_pending =
        counts->rows_dropped + counts->rows_rejected + counts->events_dropped + counts->events_rejected - told;
    counts->at_risk_rows = lini_load(&client->at_risk_rows);
    counts->at_risk_ms = lini_load(&client->at_risk_ms);
    now_ns = lin_now_ns();
    if (oldest_ns != 0 && oldest_ns < now_ns)
        counts->oldest_pending_ms = (now_ns - oldest_ns) / LINI_MS;
    counts->lagging = counts->at_risk_ms != 0 &&
                      (counts->rows_pending > counts->at_risk_rows || counts->oldest_pending_ms > counts->at_risk_ms);
}

#endif /* LINEAGE_IMPLEMENTED */
#endif /* LINEAGE_IMPLEMENTATION */
