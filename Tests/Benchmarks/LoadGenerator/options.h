// What the command line says.
#ifndef OPTIONS_H
#define OPTIONS_H

#include "text.h"

#include <netinet/in.h>

/// A message that each connection sends, or a header line; with placeholders.
struct template {
    struct bytes text;
    bool binary;
};

struct templates {
    struct template *items;
    size_t count;
    bool inherited; ///< from before the first --group: the group's first own one replaces all
};

/// Connections that are made alike.
struct group {
    int64_t clients;
    const char *url;
    struct templates messages;
    struct templates headers;
    const char *subprotocol;
    const char *ready;
    int64_t parts;
    const char *part;
    const char *sequence_mark;
    struct tokens tokens;
    bool multiple; ///< one frame may hold several messages
};

struct numbers {
    double *items;
    size_t count;
};

struct options {
    struct group *groups;
    size_t group_count;
    int64_t clients; ///< of all groups
    int64_t parts;   ///< among which the publisher deals its events

    double connect_rate;
    int64_t concurrency;
    double connect_timeout;
    int64_t sources;
    double settle;
    double idle;
    double slow;
    int64_t receive_buffer;

    struct numbers rates;
    double seconds;
    double stop_ratio;
    double half;
    double drain;
    double pause;

    const char *time_mark;
    bool numbered;

    const char *publisher_command;
    const char *publish_to;
    struct templates publish_first;
    struct bytes prefix;
    struct bytes suffix;
    int64_t size;

    struct numbers processes;
    const char *label;
    bool verbose;
};

/// Ends the process with one line when the command line is not understood, and after --help.
struct options options_read(int count, char **arguments);

/// Fills a socket address from HOST:PORT or HOST (port 80); HOST is an IPv4 address or `localhost`.
bool address_read(const char *text, size_t length, struct sockaddr_in *address);

struct url {
    struct sockaddr_in address;
    const char *authority; ///< within the text, up to `target`
    size_t authority_length;
    const char *target; ///< "" when there is none
};

bool url_read(const char *text, struct url *url);

extern const char options_help[];

#endif
