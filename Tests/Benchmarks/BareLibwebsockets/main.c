/* The plainest libwebsockets server that answers a first message: what connecting costs with the library alone. */
#define _GNU_SOURCE 1
#include <getopt.h>
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { RECEIVE_SIZE = 1024, LONGEST_ANSWER = 4096 };

struct session {
    bool answered;
};

static const char *answer_text;

static int write_answer(struct lws *connection)
{
    static unsigned char frame[LWS_PRE + LONGEST_ANSWER];
    size_t length = strlen(answer_text);
    memcpy(frame + LWS_PRE, answer_text, length);
    return lws_write(connection, frame + LWS_PRE, length, LWS_WRITE_TEXT) < (int)length ? -1 : 0;
}

static int handle(struct lws *connection, enum lws_callback_reasons reason, void *user, void *bytes, size_t length)
{
    struct session *session = user;
    if (reason != LWS_CALLBACK_RECEIVE)
        return lws_callback_http_dummy(connection, reason, user, bytes, length);
    if (session->answered || answer_text == NULL || lws_frame_is_binary(connection)
        || !lws_is_final_fragment(connection))
        return 0;
    session->answered = true;
    return write_answer(connection);
}

static void stop(uv_signal_t *signal, int number)
{
    (void)number;
    uv_stop(signal->loop);
}

static struct lws_context *create_context(int port, uv_loop_t *loop)
{
    static const struct lws_protocols protocols[] = {
        {.name = "bare", .callback = handle, .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = RECEIVE_SIZE},
        {.name = NULL}};
    struct lws_context_creation_info info = {0};
    void *loops[] = {loop};
    info.port = port;
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DISABLE_IPV6;
    info.foreign_loops = loops;
    lws_set_log_level(0, NULL);
    return lws_create_context(&info);
}

static int read_options(int count, char **arguments)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'}, {"answer", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    int port = 0;
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        if (option == 'p')
            port = atoi(optarg);
        else if (option == 'a')
            answer_text = optarg;
        else
            return 0;
    }
    return answer_text == NULL || strlen(answer_text) <= LONGEST_ANSWER ? port : 0;
}

/* The loop is ours, because on one of its own the library keeps SIGTERM to itself. */
int main(int count, char **arguments)
{
    uv_loop_t *loop = uv_default_loop();
    uv_signal_t ending;
    int port = read_options(count, arguments);
    if (port <= 0 || port > 65535) {
        fputs("usage: BareLibwebsockets --port PORT [--answer TEXT]\n", stderr);
        return 2;
    }
    if (create_context(port, loop) == NULL) {
        fputs("cannot listen\n", stderr);
        return 1;
    }
    uv_signal_init(loop, &ending);
    uv_signal_start(&ending, stop, SIGTERM);
    puts("ready");
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
