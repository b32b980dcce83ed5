#include <libwebsockets.h>
// The libuv loop is ours, lent to libwebsockets: only then can it be stopped. libwebsockets-dev brings libuv1-dev.
#include <uv.h>

// A timer of libwebsockets and who owns it. Swift has no container_of, with which C finds the owner from the timer.
struct owned_timer {
    lws_sorted_usec_list_t timer;
    void *owner;
};

// LWS_PRE is computed with sizeof, which Swift does not import as a constant.
static inline size_t shim_lws_pre(void) { return LWS_PRE; }
