// The phases of a run: connect, be idle, a step for each rate.
#include "steps.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const double publisher_start_seconds = 30;
static const double publisher_overtime_seconds = 60;
static const double publisher_rest_seconds = 0.2; ///< for the server to take what it sends first
static const double silence_seconds = 2;          ///< when nothing has come for so long, nothing will
static const double backlog_seconds = 30;         ///< for an overloaded step's rest, which would spoil the next step
static const double backlog_look_seconds = 0.2;
static const double duplicate_seconds = 0.05;     ///< for what comes again although all has come

struct reading {
    int64_t time_ns;
    struct usage usage;
    double client_cpu;
};

static double larger(double one, double other) { return one > other ? one : other; }

static struct reading read_usage(struct run *run) {
    return (struct reading){now_ns(), usage_read(&run->meter), usage_of_this_thread()};
}

static struct used used_since(struct run *run, const struct reading *before) {
    struct reading now = read_usage(run);
    return (struct used){
        .seconds = seconds_between(before->time_ns, now.time_ns),
        .cpu_seconds = now.usage.cpu_seconds - before->usage.cpu_seconds,
        .user_seconds = now.usage.user_seconds - before->usage.user_seconds,
        .system_seconds = now.usage.system_seconds - before->usage.system_seconds,
        .rss_kb = now.usage.rss_kb,
        .client_cpu = now.client_cpu - before->client_cpu,
    };
}

static void __attribute__((format(printf, 2, 3))) say(const struct run *run, const char *format, ...) {
    if (!run->options->verbose) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static void be_idle(struct run *run, double rss_before_kb) {
    struct clients *clients = run->clients;
    bool wanted = run->options->idle > 0 || run->options->processes.count > 0;
    clients_run(clients, run->options->settle);
    if (!wanted) return;
    struct counters before = clients->counters;
    struct reading start = read_usage(run);
    clients_run(clients, run->options->idle);
    struct idle_record record = {
        .rss_before_kb = rss_before_kb,
        .pings = clients->counters.pings - before.pings,
        .bytes = clients->counters.bytes - before.bytes,
        .used = used_since(run, &start),
    };
    if (run->options->idle == 0) record.used = (struct used){.rss_kb = record.used.rss_kb};
    report_idle(clients, &record);
    clients_reported(clients);
}

void run_connect(struct run *run) {
    struct clients *clients = run->clients;
    struct reading before = read_usage(run);
    clients_connect(clients);
    struct used used = used_since(run, &before);
    bool any = clients->connect_times.count > 0;
    double seconds = any ? seconds_between(before.time_ns, clients->last_ready_ns) : used.seconds;
    report_connect(clients, seconds, &used);
    say(run, "%" PRIu64 " of %zu connections are ready", clients->connect_times.count, clients->count);
    run->clean = clients->failed == 0;
    if (any) be_idle(run, before.usage.rss_kb);
}

/// Serves the connections until the publisher leaves the state.
static void wait_for_publisher(struct run *run, enum publisher_state state, double seconds) {
    struct publisher *publisher = &run->publisher;
    int64_t deadline = now_ns() + (int64_t)(seconds * 1e9);
    while (publisher->state == state && now_ns() < deadline) {
        clients_turn(run->clients, 5);
        if (!run->clients->watched_is_readable) continue;
        run->clients->watched_is_readable = false;
        publisher_take(publisher);
    }
    if (publisher->state == PUBLISHER_FAILED) clients_unwatch(run->clients);
}

static bool start_publisher(struct run *run) {
    publisher_start(&run->publisher, run->options);
    clients_watch(run->clients, run->publisher.answers);
    wait_for_publisher(run, PUBLISHER_STARTING, publisher_start_seconds);
    if (run->publisher.state == PUBLISHER_STARTING)
        fputs("load generator: the publisher does not say `ready`\n", stderr);
    if (run->publisher.state != PUBLISHER_IDLE) return false;
    if (run->publisher.sender != NULL) clients_run(run->clients, publisher_rest_seconds);
    return true;
}

static void drain(struct run *run, int64_t published_until) {
    struct clients *clients = run->clients;
    int64_t deadline = now_ns() + (int64_t)(run->options->drain * 1e9);
    clients_count_outstanding(clients);
    while (clients->outstanding > 0) {
        int64_t last = clients->counters.last_arrival_ns;
        if (last < published_until) last = published_until;
        int64_t now = now_ns();
        if (now >= deadline || seconds_between(last, now) > silence_seconds) break;
        clients_turn(clients, 5);
    }
}

/// What the publisher has done. When it gives no answer, it may have published all.
static struct publisher_result publish(struct run *run, struct publisher_order order) {
    struct publisher *publisher = &run->publisher;
    int64_t start = now_ns();
    double seconds = (double)order.count / order.rate + publisher_overtime_seconds;
    publisher_go(publisher, order);
    wait_for_publisher(run, PUBLISHER_BUSY, seconds);
    if (publisher->state == PUBLISHER_BUSY) {
        fputs("load generator: the publisher does not say `done`\n", stderr);
        publisher->state = PUBLISHER_FAILED;
    }
    struct publisher_result result = publisher->result;
    result.failed = publisher->state == PUBLISHER_FAILED;
    if (result.failed && result.start_ns == 0)
        result = (struct publisher_result){
            .failed = true, .sent = order.count, .start_ns = start, .end_ns = now_ns()};
    return result;
}

static void take_findings(struct run *run, const struct step_record *record) {
    if (record->lost > 0 || record->publisher_failed) run->clean = false;
    say(run, "step of %g/s: %" PRId64 " of %" PRId64 " delivered in %.3f s, %.4f in time", record->rate,
        run->clients->counters.delivered, record->expected, record->seconds, record->in_time);
}

static void complete_record(
    struct run *run, struct step_record *record, const struct publisher_result *result, int64_t arrived) {
    struct clients *clients = run->clients;
    int64_t last = clients->counters.last_arrival_ns;
    double until_last = last > result->start_ns ? seconds_between(result->start_ns, last) : 0;
    // The last event's interval counts, or slow rates would seem to be exceeded.
    record->seconds = larger(until_last, (double)result->sent / record->rate);
    record->published = result->sent;
    record->expected = clients_expected(clients);
    record->in_time = record->expected > 0 ? (double)arrived / (double)record->expected : 1;
    record->lost = record->expected - clients->counters.delivered;
    if (record->lost < 0) record->lost = 0; // without numbers, duplicates count as deliveries
    record->publisher_lag_max_ns = result->lag_max_ns;
    record->publisher_failed = result->failed;
    record->publisher_words = run->publisher.process != 0 ? result->words : NULL;
}

/// Returns the part that had arrived when the publisher stopped.
static double publish_step(struct run *run, double rate) {
    struct clients *clients = run->clients;
    int64_t count = (int64_t)(rate * run->options->seconds + 0.5);
    struct publisher_order order = {.first = run->published, .count = count > 0 ? count : 1, .rate = rate};
    struct step_record record = {.rate = rate};
    struct reading before = read_usage(run);
    clients_begin_step(clients, (struct step_window){order.first, order.first + order.count, now_ns()});
    struct publisher_result result = publish(run, order);
    int64_t arrived = clients->counters.delivered;
    run->published += result.sent;
    clients->window.end = run->published;
    drain(run, result.end_ns);
    record.used = used_since(run, &before);
    clients_run(clients, duplicate_seconds);
    complete_record(run, &record, &result, arrived);
    report_step(clients, &record);
    take_findings(run, &record);
    run->backlog = record.lost > 0;
    if (record.expected > 0) {
        double share = (double)clients->counters.delivered / (double)record.expected;
        run->best = larger(run->best, share * (double)record.published / record.seconds);
    }
    clients_reported(clients);
    // What still comes of this step is late.
    clients->window = (struct step_window){run->published, run->published, now_ns()};
    return record.in_time;
}

static void receive_step(struct run *run) {
    struct clients *clients = run->clients;
    struct step_record record = {.in_time = 1};
    struct reading before = read_usage(run);
    clients_begin_step(clients, (struct step_window){0, INT64_MAX, 0});
    clients_run(clients, run->options->seconds);
    record.used = used_since(run, &before);
    record.seconds = record.used.seconds;
    record.lost = clients->counters.gaps > 0 ? clients->counters.gaps : 0;
    record.expected = clients->counters.delivered + record.lost;
    report_step(clients, &record);
    take_findings(run, &record);
    clients_reported(clients);
}

static void rest(struct run *run) {
    const struct counters *counters = &run->clients->counters;
    int64_t deadline = now_ns() + (int64_t)(backlog_seconds * 1e9);
    clients_run(run->clients, run->options->pause);
    while (run->backlog && now_ns() < deadline) {
        int64_t late = counters->late;
        clients_run(run->clients, backlog_look_seconds);
        run->backlog = counters->late != late;
    }
}

static bool goes_on(const struct run *run) { return run->publisher.state == PUBLISHER_IDLE && run->clients->ready > 0; }

static void publish_steps(struct run *run) {
    const struct options *options = run->options;
    for (size_t step = 0; step < options->rates.count && goes_on(run); step++) {
        if (step > 0) rest(run);
        double in_time = publish_step(run, options->rates.items[step]);
        if (in_time < options->stop_ratio) break;
    }
    if (options->half == 0 || run->best == 0 || !goes_on(run)) return;
    rest(run);
    publish_step(run, larger(1, (double)(int64_t)(run->best * options->half)));
}

void run_steps(struct run *run) {
    if (run->clients->ready == 0) {
        run->clean = false;
    } else if (run->options->rates.count == 0) {
        receive_step(run);
    } else {
        if (start_publisher(run)) publish_steps(run);
        else run->clean = false;
        clients_unwatch(run->clients);
        publisher_end(&run->publisher);
    }
    if (run->clients->unclean) run->clean = false;
}
