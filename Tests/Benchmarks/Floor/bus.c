/* The SUB socket: takes everything, and puts the last frame of each message into the log. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "floor.h"

static void *context, *subscription;

enum { KEY_BYTES = 32, KEY_TEXT = 41 };

/* From as many hexadecimal digits. */
static bool read_key(FILE *file, uint8_t key[KEY_BYTES])
{
    for (int place = 0; place < KEY_BYTES; place++)
        if (fscanf(file, "%2hhx", &key[place]) != 1)
            return false;
    return true;
}

/* As a service of the suite, with the key that the environment names; without one on an open bus. */
static void prove_role(void)
{
    const char *key_path = getenv("BUS_KEY_FILE"), *peers_path = getenv("BUS_PEERS_FILE");
    uint8_t secret[KEY_BYTES], public[KEY_BYTES], server[KEY_BYTES];
    char text[KEY_TEXT], public_text[KEY_TEXT], role[16];
    bool has_server = false;
    if (key_path == NULL || peers_path == NULL)
        return;
    FILE *key = fopen(key_path, "r"), *peers = fopen(peers_path, "r");
    if (key == NULL || peers == NULL || !read_key(key, secret))
        fail("the bus key");
    while (!has_server && fscanf(peers, "%15s ", role) == 1 && read_key(peers, server))
        has_server = strcmp(role, "suite") == 0;
    fclose(key);
    fclose(peers);
    if (!has_server || zmq_z85_encode(text, secret, KEY_BYTES) == NULL || zmq_curve_public(public_text, text) != 0
        || zmq_z85_decode(public, public_text) == NULL
        || zmq_setsockopt(subscription, ZMQ_CURVE_SERVERKEY, server, KEY_BYTES) != 0
        || zmq_setsockopt(subscription, ZMQ_CURVE_PUBLICKEY, public, KEY_BYTES) != 0
        || zmq_setsockopt(subscription, ZMQ_CURVE_SECRETKEY, secret, KEY_BYTES) != 0)
        fail("the bus keys");
}

void bus_prepare(void)
{
    int none = 0;
    context = zmq_ctx_new();
    subscription = context == NULL ? NULL : zmq_socket(context, ZMQ_SUB);
    if (subscription == NULL || zmq_setsockopt(subscription, ZMQ_RCVHWM, &none, sizeof none) != 0
        || zmq_setsockopt(subscription, ZMQ_LINGER, &none, sizeof none) != 0
        || zmq_setsockopt(subscription, ZMQ_SUBSCRIBE, "", 0) != 0)
        fail("zmq_socket");
    prove_role();
}

void bus_connect(const char *endpoint)
{
    if (zmq_connect(subscription, endpoint) != 0)
        fail("zmq_connect");
}

int bus_descriptor(void)
{
    int descriptor = -1;
    size_t length = sizeof descriptor;
    if (zmq_getsockopt(subscription, ZMQ_FD, &descriptor, &length) != 0)
        fail("ZMQ_FD");
    return descriptor;
}

/* ZMQ_FD tells only of changes: nothing may be left when this says no. */
static bool has_more(void)
{
    int events = 0;
    size_t length = sizeof events;
    return zmq_getsockopt(subscription, ZMQ_EVENTS, &events, &length) == 0 && (events & ZMQ_POLLIN) != 0;
}

/* False: nothing was there. */
static bool take_message(size_t padded)
{
    static const char marker[] = "\"t0\":";
    zmq_msg_t frame;
    zmq_msg_init(&frame);
    do {
        if (zmq_msg_recv(&frame, subscription, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&frame);
            return false;
        }
    } while (zmq_msg_more(&frame));
    if (memmem(zmq_msg_data(&frame), zmq_msg_size(&frame), marker, sizeof marker - 1) != NULL)
        log_append(zmq_msg_data(&frame), zmq_msg_size(&frame), padded);
    zmq_msg_close(&frame);
    return true;
}

/* True: more is waiting than may be taken in one turn. */
bool bus_drain(size_t most, size_t padded)
{
    size_t taken = 0;
    while (has_more())
        do {
            if (taken++ == most)
                return true;
        } while (take_message(padded));
    return false;
}

void bus_end(void)
{
    zmq_close(subscription);
    zmq_ctx_term(context);
}
