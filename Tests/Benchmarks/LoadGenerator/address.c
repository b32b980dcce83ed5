// Reads addresses and URLs.
#include "options.h"

#include <arpa/inet.h>
#include <string.h>

static bool port_read(const char *text, size_t length, uint16_t *port) {
    unsigned value = 0;
    if (length == 0 || length > 5) return false;
    for (size_t at = 0; at < length; at++) {
        if (text[at] < '0' || text[at] > '9') return false;
        value = value * 10 + (unsigned)(text[at] - '0');
    }
    *port = (uint16_t)value;
    return value > 0 && value < 65536;
}

bool address_read(const char *text, size_t length, struct sockaddr_in *address) {
    char host[INET_ADDRSTRLEN] = "";
    uint16_t port = 80;
    const char *colon = memchr(text, ':', length);
    size_t host_length = colon == NULL ? length : (size_t)(colon - text);
    if (host_length >= sizeof host) return false;
    memcpy(host, text, host_length);
    if (colon != NULL && !port_read(colon + 1, length - host_length - 1, &port)) return false;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address->sin_addr) == 1;
}

bool url_read(const char *text, struct url *url) {
    static const char scheme[] = "ws://";
    if (strncmp(text, scheme, sizeof scheme - 1) != 0 || strpbrk(text, " \r\n") != NULL) return false;
    url->authority = text + sizeof scheme - 1;
    url->authority_length = strcspn(url->authority, "/?");
    url->target = url->authority + url->authority_length;
    return address_read(url->authority, url->authority_length, &url->address);
}
