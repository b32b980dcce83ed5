/* PINGs, spread evenly: a descriptor's remainder by the number of ticks says in which tick its turn comes. */
#define _GNU_SOURCE 1
#include <time.h>

#include "floor.h"

enum { TICK_MILLISECONDS = 10 };

static int64_t ticks_per_round, done_ticks;

static int64_t now_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pings_prepare(double seconds)
{
    ticks_per_round = (int64_t)(seconds * 1000 / TICK_MILLISECONDS);
    if (seconds > 0 && ticks_per_round == 0)
        ticks_per_round = 1;
    done_ticks = now_milliseconds() / TICK_MILLISECONDS;
}

/* For epoll_wait. */
int pings_timeout(void)
{
    if (ticks_per_round == 0)
        return -1;
    int64_t rest = (done_ticks + 1) * TICK_MILLISECONDS - now_milliseconds();
    return rest < 0 ? 0 : (int)rest;
}

static void ping_slice(int64_t slice)
{
    for (int64_t descriptor = slice; descriptor <= connections_highest(); descriptor += ticks_per_round) {
        const struct connection *connection = connection_at((int)descriptor);
        if (connection->upgraded && !connection->closing)
            connection_send_frame((int)descriptor, PING, "", 0);
    }
}

void pings_send(void)
{
    if (ticks_per_round == 0)
        return;
    int64_t due = now_milliseconds() / TICK_MILLISECONDS;
    while (done_ticks < due)
        ping_slice(++done_ticks % ticks_per_round);
}
