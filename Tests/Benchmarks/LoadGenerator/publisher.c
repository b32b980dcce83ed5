// Who publishes: a child process or a thread of our own.
#include "publisher.h"

void publisher_start(struct publisher *publisher, const struct options *options) {
    *publisher = (struct publisher){.answers = -1, .orders = -1};
    if (options->publisher_command != NULL) child_start(publisher, options->publisher_command);
    else sender_start(publisher, options);
}

void publisher_go(struct publisher *publisher, struct publisher_order order) {
    publisher->order = order;
    publisher->result = (struct publisher_result){0};
    publisher->state = PUBLISHER_BUSY;
    if (publisher->process != 0) child_go(publisher);
    else sender_go(publisher);
}

void publisher_take(struct publisher *publisher) {
    if (publisher->process != 0) child_take(publisher);
    else sender_take(publisher);
}

void publisher_end(struct publisher *publisher) {
    if (publisher->process != 0) child_end(publisher);
    else sender_end(publisher);
}
