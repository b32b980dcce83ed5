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
#include <stddef.h>
#include <stdint.h>

// Milliseconds since anything came from the peer, -1 for a socket that is not TCP's. Swift's Glibc has no struct tcp_info.
static inline long shim_ms_since_received(int descriptor) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    return getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? (long)info.tcpi_last_data_recv : -1;
}

// <linux/tcp.h>, which has all of TCP_INFO, cannot be included with <netinet/tcp.h>, which has only its beginning.
struct shim_tcp_info {
    struct tcp_info beginning;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked;
};
_Static_assert(offsetof(struct shim_tcp_info, bytes_acked) == 120, "it is tcpi_bytes_acked of <linux/tcp.h>");

// Bytes that the peer's TCP has taken, -1 for a socket that is not TCP's.
static inline long long shim_bytes_acked(int descriptor) {
    struct shim_tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || size < sizeof info) return -1;
    return (long long)info.bytes_acked;
}

// LWS_PRE is computed with sizeof, which Swift does not import as a constant.
static inline size_t shim_lws_pre(void) { return LWS_PRE; }
