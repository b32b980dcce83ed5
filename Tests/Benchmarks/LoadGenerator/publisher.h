// Who publishes: a child process or a thread of our own. Both are told what to publish, and answer when they have.
#ifndef PUBLISHER_H
#define PUBLISHER_H

#include "options.h"

enum publisher_state { PUBLISHER_STARTING, PUBLISHER_IDLE, PUBLISHER_BUSY, PUBLISHER_FAILED };

struct publisher_order {
    int64_t first;
    int64_t count;
    double rate;
};

enum { PUBLISHER_WORDS_LENGTH = 1024 };

struct publisher_result {
    int64_t sent;
    int64_t start_ns;
    int64_t end_ns;
    int64_t lag_max_ns;
    bool failed;
    char words[PUBLISHER_WORDS_LENGTH]; ///< `name=value …`
};

struct publisher {
    enum publisher_state state;
    int answers; ///< readable when there is something for publisher_take
    int orders;
    struct publisher_order order;
    struct publisher_result result;

    int process; ///< of the child, or 0
    struct bytes input;

    struct sender *sender; ///< of the thread, or NULL
};

/// Ends the process with one line when that cannot be.
void publisher_start(struct publisher *publisher, const struct options *options);
void publisher_go(struct publisher *publisher, struct publisher_order order);

/// Reads what it has answered, and changes the state accordingly.
void publisher_take(struct publisher *publisher);
void publisher_end(struct publisher *publisher);

// What publisher.c chooses from:

void child_start(struct publisher *publisher, const char *command);
void child_go(struct publisher *publisher);
void child_take(struct publisher *publisher);
void child_end(struct publisher *publisher);

void sender_start(struct publisher *publisher, const struct options *options);
void sender_go(struct publisher *publisher);
void sender_take(struct publisher *publisher);
void sender_end(struct publisher *publisher);

#endif
