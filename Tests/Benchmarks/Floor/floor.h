/* Floor's parts: one log of frames for all, a table of connections, the bus that feeds the log. */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TEXT = 0x1, BINARY = 0x2, CLOSE = 0x8, PING = 0x9, PONG = 0xA };
enum { LONGEST_HEADER = 10, ACCEPT_LENGTH = 28 };

/* Indexed by the descriptor. Positions count bytes since the start of the log. */
struct connection {
    uint64_t position;         /* up to here the log has been sent */
    uint64_t frame_end;        /* the first end of a frame at or after `position` */
    unsigned char *own;        /* frames for this connection alone that the socket did not take yet */
    unsigned char *kept;       /* the start of an incomplete request or frame */
    uint32_t own_length;
    uint32_t kept_length;
    uint32_t place;            /* index among the subscribers */
    bool open : 1;
    bool upgraded : 1;
    bool subscribed : 1;
    bool closing : 1;          /* ends when `own` has been sent */
    bool waits_for_room : 1;   /* EPOLLOUT is asked for */
};

/* log.c */
void log_append(const unsigned char *payload, size_t length, size_t padded);
uint64_t log_start(void);
uint64_t log_end(void);
const unsigned char *log_at(uint64_t position);
size_t log_frame_length(uint64_t position);
void log_forget(uint64_t before);
size_t frame_header(unsigned char *header, int opcode, size_t length);

/* connections.c */
void connections_prepare(int epoll, size_t most);
struct connection *connection_at(int descriptor);
int connections_highest(void);
bool connection_open(int descriptor);
void connection_end(int descriptor);
void connection_subscribe(int descriptor);
bool connection_send_own(int descriptor, const void *bytes, size_t length);
bool connection_send_frame(int descriptor, int opcode, const void *payload, size_t length);
bool connection_flush(int descriptor);
void connections_broadcast(void);

/* reading.c */
void reading_prepare(const char *answer);
void connection_read(int descriptor);

/* handshake.c */
bool handshake_accept(const char *head, size_t length, char accept[ACCEPT_LENGTH + 1]);

/* bus.c */
void bus_prepare(void);
void bus_connect(const char *endpoint);
int bus_descriptor(void);
bool bus_drain(size_t most, size_t padded);
void bus_end(void);

/* pings.c */
void pings_prepare(double seconds);
int pings_timeout(void);
void pings_send(void);

/* main.c */
_Noreturn void fail(const char *what);

#endif
