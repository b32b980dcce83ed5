// A publisher that is a child process: a line of orders on its stdin, a line of answer on its stdout.
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE_MAXIMUM = 65536, END_MILLISECONDS = 5000 };

static _Noreturn void become_command(const char *command, int input, int output) {
    struct bytes line = {0};
    bytes_append_text(&line, "exec ");
    bytes_append(&line, command, strlen(command) + 1);
    signal(SIGPIPE, SIG_DFL);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", line.data, (char *)NULL);
    _exit(127);
}

void child_start(struct publisher *publisher, const char *command) {
    int orders[2];
    int answers[2];
    if (pipe2(orders, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0)
        give_up(EXIT_FINDINGS, "no pipes for the publisher: %s", strerror(errno));
    pid_t process = fork();
    if (process < 0) give_up(EXIT_FINDINGS, "no process for the publisher: %s", strerror(errno));
    if (process == 0) become_command(command, orders[0], answers[1]);
    close(orders[0]);
    close(answers[1]);
    fcntl(answers[0], F_SETFL, O_NONBLOCK);
    publisher->process = process;
    publisher->orders = orders[1];
    publisher->answers = answers[0];
}

static void fail(struct publisher *publisher, const char *reason) {
    fprintf(stderr, "load generator: the publisher %s\n", reason);
    publisher->state = PUBLISHER_FAILED;
    publisher->result.failed = true;
}

void child_go(struct publisher *publisher) {
    const struct publisher_order *order = &publisher->order;
    int length =
        dprintf(publisher->orders, "go %" PRId64 " %" PRId64 " %.10g\n", order->first, order->count, order->rate);
    if (length < 0) fail(publisher, "takes no orders");
}

static void take_done(struct publisher *publisher, const char *line) {
    struct publisher_result *result = &publisher->result;
    int length = 0;
    int found = sscanf(line, "done %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 "%n", &result->sent,
        &result->start_ns, &result->end_ns, &result->lag_max_ns, &length);
    bool valid = found == 4 && result->sent >= 0 && result->sent <= publisher->order.count
        && result->start_ns > 0 && result->end_ns >= result->start_ns;
    if (!valid) {
        fail(publisher, "says something else than `done SENT START_NS END_NS LAG_MAX_NS`");
        return;
    }
    snprintf(result->words, sizeof result->words, "%s", line + length);
    publisher->state = PUBLISHER_IDLE;
}

static void take_line(struct publisher *publisher, const char *line) {
    if (publisher->state == PUBLISHER_STARTING && strcmp(line, "ready") == 0) publisher->state = PUBLISHER_IDLE;
    else if (publisher->state == PUBLISHER_BUSY) take_done(publisher, line);
    // Before it is ready it may say what it likes.
}

static void take_lines(struct publisher *publisher) {
    struct bytes *input = &publisher->input;
    for (char *end; input->length > 0 && (end = memchr(input->data, '\n', input->length)) != NULL;) {
        *end = '\0';
        if (end > input->data && end[-1] == '\r') end[-1] = '\0';
        take_line(publisher, input->data);
        bytes_remove_front(input, (size_t)(end + 1 - input->data));
    }
}

void child_take(struct publisher *publisher) {
    char buffer[4096];
    if (publisher->state == PUBLISHER_FAILED) return;
    ssize_t count = read(publisher->answers, buffer, sizeof buffer);
    if (count > 0) {
        bytes_append(&publisher->input, buffer, (size_t)count);
        take_lines(publisher);
        if (publisher->input.length > LINE_MAXIMUM) fail(publisher, "says an endless line");
    } else if (count == 0) {
        fail(publisher, "has ended");
    } else if (errno != EAGAIN && errno != EINTR) {
        fail(publisher, strerror(errno));
    }
}

/// Whether it has ended. Reads on meanwhile, so that it does not wait for us.
static bool wait_a_little(const struct publisher *publisher) {
    char buffer[4096];
    struct pollfd answers = {.fd = publisher->answers, .events = POLLIN};
    if (waitpid(publisher->process, NULL, WNOHANG) != 0) return true;
    if (poll(&answers, 1, 10) <= 0) return false;
    if (read(publisher->answers, buffer, sizeof buffer) <= 0) poll(NULL, 0, 10);
    return false;
}

void child_end(struct publisher *publisher) {
    int64_t deadline = now_ns() + END_MILLISECONDS * 1000000ll;
    close(publisher->orders);
    bool ended = false;
    while (!ended && now_ns() < deadline) ended = wait_a_little(publisher);
    if (!ended) {
        kill(publisher->process, SIGKILL);
        waitpid(publisher->process, NULL, 0);
    }
    close(publisher->answers);
    bytes_free(&publisher->input);
}
