// The lines of output.
#include "report.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

static double per(double amount, double count) { return count > 0 ? amount / count : 0; }

static bool has_processes(const struct clients *clients) { return clients->options->processes.count > 0; }

static void write_quantile(const char *name, const struct histogram *histogram, double part) {
    json_decimal(name, (double)histogram_quantile(histogram, part) / 1e6, 3);
}

static void write_reasons(const char *name, const struct reasons *reasons) {
    json_object_begin(name);
    for (size_t kind = 0; kind < reasons->kind_count; kind++)
        json_integer(reasons->kinds[kind].text, (int64_t)reasons->kinds[kind].count);
    json_object_end();
}

void report_connect(const struct clients *clients, double seconds, const struct used *used) {
    const struct histogram *times = &clients->connect_times;
    double ready = (double)clients->connect_times.count;
    json_begin("connect", clients->options->label);
    json_integer("clients", (int64_t)clients->count);
    json_integer("ready", (int64_t)clients->connect_times.count);
    json_integer("failed", (int64_t)clients->failed);
    write_reasons("failures", &clients->failures);
    json_decimal("seconds", seconds, 6);
    json_decimal("per_second", per(ready, seconds), 1);
    json_object_begin("ms");
    write_quantile("p50", times, 0.5);
    write_quantile("p99", times, 0.99);
    json_decimal("max", (double)times->maximum / 1e6, 3);
    json_object_end();
    if (has_processes(clients)) json_decimal("cpu_us_per_connection", per(used->cpu_seconds * 1e6, ready), 2);
    json_integer("first_bytes", clients->counters.bytes);
    json_end();
}

void report_idle(const struct clients *clients, const struct idle_record *record) {
    const struct used *used = &record->used;
    json_begin("idle", clients->options->label);
    json_integer("clients", (int64_t)clients->ready);
    json_decimal("seconds", used->seconds, 3);
    if (has_processes(clients)) {
        double added_kb = used->rss_kb - record->rss_before_kb;
        json_decimal("rss_kb_before", record->rss_before_kb, 0);
        json_decimal("rss_kb", used->rss_kb, 0);
        json_decimal("rss_kb_per_connection", per(added_kb, (double)clients->ready), 3);
        json_decimal("cpu_percent", per(used->cpu_seconds * 100, used->seconds), 3);
        json_decimal("cpu_ms", used->cpu_seconds * 1e3, 3);
    }
    json_integer("pings", record->pings);
    json_integer("bytes_received", record->bytes);
    json_integer("closed", clients->counters.closed);
    write_reasons("closings", &clients->closings);
    json_integer("slow_closed", clients->counters.slow_closed);
    json_end();
}

static void write_latencies(const struct histogram *latencies) {
    json_object_begin("latency_ms");
    write_quantile("p50", latencies, 0.5);
    write_quantile("p90", latencies, 0.9);
    write_quantile("p99", latencies, 0.99);
    write_quantile("p999", latencies, 0.999);
    json_decimal("max", (double)latencies->maximum / 1e6, 3);
    json_object_end();
}

static void write_usage(const struct clients *clients, const struct used *used) {
    double delivered = (double)clients->counters.delivered;
    if (has_processes(clients)) {
        json_decimal("cpu_percent", per(used->cpu_seconds * 100, used->seconds), 2);
        json_decimal("user_percent", per(used->user_seconds * 100, used->seconds), 2);
        json_decimal("system_percent", per(used->system_seconds * 100, used->seconds), 2);
        json_decimal("cpu_us_per_delivery", per(used->cpu_seconds * 1e6, delivered), 4);
        json_decimal("rss_kb", used->rss_kb, 0);
    }
    json_decimal("client_cpu_percent", per(used->client_cpu * 100, used->seconds), 2);
}

/// Hands the publisher's own figures through; what is not name=number is left out.
static void write_publisher(const char *words) {
    char copy[1024];
    size_t length = strnlen(words, sizeof copy - 1);
    memcpy(copy, words, length);
    copy[length] = '\0';
    char *rest = copy;
    json_object_begin("publisher");
    for (char *word; (word = strsep(&rest, " \t")) != NULL;) {
        char *sign = strchr(word, '=');
        if (sign == NULL || sign == word) continue;
        *sign = '\0';
        char *end;
        double value = strtod(sign + 1, &end);
        if (end != sign + 1 && *end == '\0') json_number(word, value);
    }
    json_object_end();
}

static void write_counters(const struct clients *clients) {
    const struct counters *counters = &clients->counters;
    json_integer("gaps", counters->gaps > 0 ? counters->gaps : 0);
    json_integer("duplicates", counters->duplicates);
    json_integer("disordered", counters->disordered);
    json_integer("late", counters->late);
    json_integer("foreign", counters->foreign);
    json_integer("other", counters->other);
    json_decimal("messages_per_read", per((double)counters->messages, (double)counters->reads), 2);
    json_decimal("bytes_per_message", per((double)counters->bytes, (double)counters->messages), 2);
    json_integer("pings", counters->pings);
    json_integer("closed", counters->closed);
    write_reasons("closings", &clients->closings);
    if (clients->options->slow == 0) return;
    json_integer("slow_closed", counters->slow_closed);
    write_reasons("slow_closings", &clients->slow_closings);
}

void report_step(const struct clients *clients, const struct step_record *record) {
    double delivered = (double)clients->counters.delivered;
    double offered = record->rate * per((double)record->expected, (double)record->published);
    json_begin("step", clients->options->label);
    json_integer("clients", (int64_t)clients->ready);
    json_number("rate", record->rate);
    json_integer("parts", clients->options->parts);
    json_integer("published", record->published);
    json_integer("expected", record->expected);
    json_integer("delivered", clients->counters.delivered);
    json_decimal("seconds", record->seconds, 6);
    json_decimal("delivered_per_second", per(delivered, record->seconds), 1);
    json_decimal("offered_per_second", offered, 1);
    json_decimal("in_time", record->in_time, 4);
    json_integer("lost", record->lost);
    write_latencies(&clients->latencies);
    write_usage(clients, &record->used);
    json_decimal("publisher_lag_max_ms", (double)record->publisher_lag_max_ns / 1e6, 3);
    write_counters(clients);
    if (record->publisher_failed) json_text("error", "the publisher failed");
    if (record->publisher_words != NULL) write_publisher(record->publisher_words);
    json_end();
}
