// The seven services as one program, which is the one that it is called as: docs/decisions/0007. Swift's package manager names the entry of each
// after its module.
#include <stdio.h>
#include <string.h>

#define SERVICES(X)                                                                                                    \
    X("gateway", Gateway_main)                                                                                         \
    X("auth", Auth_main)                                                                                               \
    X("obs-bridge", OBSBridge_main)                                                                                    \
    X("stream-metrics", StreamMetrics_main)                                                                            \
    X("radio-playout", RadioPlayout_main)                                                                              \
    X("camera-events", CameraEvents_main)                                                                              \
    X("performance-monitor", PerformanceMonitor_main)

#define DECLARE(name, entry) int entry(int, char **);
#define CALL(name, entry)                                                                                              \
    if (strcmp(called, name) == 0) return entry(argc, argv);

SERVICES(DECLARE)

int main(int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/');
    const char *called = slash ? slash + 1 : argv[0];
    SERVICES(CALL)
    fprintf(stderr, "%s is none of the services\n", called);
    return 2;
}
