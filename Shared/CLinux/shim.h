// What Swift's Glibc module leaves out, or hides behind _GNU_SOURCE.
#include <malloc.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

// glibc declares it only with _GNU_SOURCE, which Swift's importer does not set.
extern int pthread_setname_np(pthread_t thread, const char *name);

// As <sched.h> has it with _GNU_SOURCE.
static const int shim_sched_batch = 3;
