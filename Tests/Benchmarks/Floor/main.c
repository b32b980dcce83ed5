/* A raw epoll WebSocket broadcaster on one thread: the floor that the kernel sets for every gateway. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"

enum { EVENTS_PER_TURN = 512, ACCEPTS_PER_TURN = 256, MESSAGES_PER_TURN = 4096, BACKLOG = 4096 };

static int epoll_descriptor, listener, signals, bus, spare;

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static _Noreturn void explain(void)
{
    fputs("usage: Floor --port PORT --bus ENDPOINT [--bus ENDPOINT] [--bytes 512] [--ping SECONDS] [--answer TEXT]\n",
          stderr);
    exit(2);
}

static size_t raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        fail("setrlimit");
    return limit.rlim_cur;
}

static void watch(int descriptor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(epoll_descriptor, EPOLL_CTL_ADD, descriptor, &event) != 0)
        fail("epoll_ctl");
}

static int listen_at(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit it. */
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 || listen(descriptor, BACKLOG) != 0)
        fail("listen");
    return descriptor;
}

/* Before libzmq starts its thread, so that it inherits the mask. */
static int take_signals(void)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    int descriptor = signalfd(-1, &ending, SFD_NONBLOCK | SFD_CLOEXEC);
    if (descriptor < 0)
        fail("signalfd");
    return descriptor;
}

/* Without a free descriptor the listener would stay readable for ever: the spare one is given to the client. */
static void refuse_one(void)
{
    close(spare);
    int refused = accept(listener, NULL, NULL);
    if (refused >= 0)
        close(refused);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_some(void)
{
    for (int count = 0; count < ACCEPTS_PER_TURN; count++) {
        int descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0 && (errno == EMFILE || errno == ENFILE))
            refuse_one();
        if (descriptor < 0)
            return;
        if (!connection_open(descriptor))
            close(descriptor);
    }
}

static void handle_connection(int descriptor, uint32_t events)
{
    if (!connection_at(descriptor)->open)
        return;
    if (events & ~(uint32_t)EPOLLOUT)
        connection_read(descriptor);
    if ((events & EPOLLOUT) && connection_at(descriptor)->open)
        connection_flush(descriptor);
}

/* False: a signal ends the program. */
static bool handle(const struct epoll_event *event, bool *bus_changed)
{
    if (event->data.fd == signals)
        return false;
    if (event->data.fd == listener)
        accept_some();
    else if (event->data.fd == bus)
        *bus_changed = true;
    else
        handle_connection(event->data.fd, event->events);
    return true;
}

static void serve(size_t bytes)
{
    struct epoll_event events[EVENTS_PER_TURN];
    bool waiting = false;
    for (;;) {
        int count = epoll_wait(epoll_descriptor, events, EVENTS_PER_TURN, waiting ? 0 : pings_timeout());
        for (int index = 0; index < count; index++)
            if (!handle(&events[index], &waiting))
                return;
        pings_send();
        if (!waiting)
            continue;
        uint64_t before = log_end();
        waiting = bus_drain(MESSAGES_PER_TURN, bytes);
        if (log_end() > before)
            connections_broadcast();
    }
}

struct options {
    int port, bytes;
    double ping;
    const char *answer;
    bool has_bus;
};

static struct options read_options(int count, char **arguments)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'}, {"bus", required_argument, NULL, 'b'},
        {"bytes", required_argument, NULL, 's'}, {"ping", required_argument, NULL, 'i'},
        {"answer", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    struct options options = {.bytes = 512};
    for (int option; (option = getopt_long(count, arguments, "", known, NULL)) != -1;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'b': bus_connect(optarg); options.has_bus = true; break;
        case 's': options.bytes = atoi(optarg); break;
        case 'i': options.ping = atof(optarg); break;
        case 'a': options.answer = optarg; break;
        default: explain();
        }
    }
    if (options.port <= 0 || options.port > 65535 || options.bytes < 0 || options.ping < 0 || !options.has_bus)
        explain();
    return options;
}

int main(int count, char **arguments)
{
    size_t limit = raise_limit();
    signals = take_signals();
    bus_prepare();
    struct options options = read_options(count, arguments);
    bus = bus_descriptor();
    epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    listener = listen_at(options.port);
    connections_prepare(epoll_descriptor, limit);
    reading_prepare(options.answer);
    pings_prepare(options.ping);
    watch(signals);
    watch(bus);
    watch(listener);
    puts("ready");
    fflush(stdout);
    serve((size_t)options.bytes);
    bus_end();
    return 0;
}
