#include <libwebsockets.h>
// The libuv loop is ours, lent to libwebsockets: only then can it be stopped. libwebsockets-dev brings libuv1-dev.
#include <uv.h>

// A timer of libwebsockets and who owns it. Swift has no container_of, with which C finds the owner from the timer.
struct owned_timer {
    lws_sorted_usec_list_t timer;
    void *owner;
};

#include <netinet/in.h>
#include <netinet/tcp.h>

// Milliseconds since anything came from the peer, -1 for a socket that is not TCP's. Swift's Glibc has no struct tcp_info.
static inline long shim_ms_since_received(int descriptor) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? (long)info.tcpi_last_data_recv : -1;
}

// LWS_PRE is computed with sizeof, which Swift does not import as a constant.
static inline size_t shim_lws_pre(void) { return LWS_PRE; }
