// What the server's processes use: CPU and memory.
#include "usage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct usage_meter usage_meter_make(const struct numbers *processes) {
    struct usage_meter meter = {.process_count = processes->count};
    meter.processes = allocate(processes->count * sizeof *meter.processes);
    for (size_t index = 0; index < processes->count; index++)
        meter.processes[index] = (struct process_usage){.process = (int)processes->items[index]};
    return meter;
}

static bool read_file(const char *path, char *content, size_t size) {
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    size_t length = fread(content, 1, size - 1, file);
    content[length] = '\0';
    fclose(file);
    return length > 0;
}

static uint64_t increase(uint64_t before, uint64_t now) { return now > before ? now - before : 0; }

static void read_ticks(struct usage_meter *meter, struct process_usage *process) {
    char path[64];
    char content[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", process->process);
    if (!read_file(path, content, sizeof content)) return;
    const char *behind_name = strrchr(content, ')');
    uint64_t user;
    uint64_t system;
    const char *format = " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64;
    if (behind_name == NULL || sscanf(behind_name + 1, format, &user, &system) != 2) return;
    double per_second = (double)sysconf(_SC_CLK_TCK);
    meter->total.user_seconds += (double)increase(process->user_ticks, user) / per_second;
    meter->total.system_seconds += (double)increase(process->system_ticks, system) / per_second;
    process->user_ticks = user;
    process->system_ticks = system;
}

static double resident_kb(int process) {
    char path[64];
    char content[4096];
    snprintf(path, sizeof path, "/proc/%d/status", process);
    if (!read_file(path, content, sizeof content)) return 0;
    const char *line = strstr(content, "VmRSS:");
    return line == NULL ? 0 : strtod(line + 6, NULL);
}

/// The kernel's clock of the process: the sum of its threads' schedstat, in which those that have ended remain.
static void read_clock(struct usage_meter *meter, struct process_usage *process) {
    clockid_t clock;
    struct timespec time;
    if (clock_getcpuclockid(process->process, &clock) != 0 || clock_gettime(clock, &time) != 0) return;
    double seconds = (double)time.tv_sec + (double)time.tv_nsec / 1e9;
    if (seconds > process->cpu_seconds) meter->total.cpu_seconds += seconds - process->cpu_seconds;
    process->cpu_seconds = seconds;
}

struct usage usage_read(struct usage_meter *meter) {
    meter->total.rss_kb = 0;
    for (size_t index = 0; index < meter->process_count; index++) {
        struct process_usage *process = &meter->processes[index];
        read_ticks(meter, process);
        read_clock(meter, process);
        meter->total.rss_kb += resident_kb(process->process);
    }
    return meter->total;
}

double usage_of_this_thread(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
