// Reads the command line.
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_name {
    OPTION_URL = 256, OPTION_CLIENTS, OPTION_GROUP, OPTION_TOKENS, OPTION_HEADER, OPTION_SUBPROTOCOL, OPTION_SEND,
    OPTION_SEND_BINARY, OPTION_SEND_HEX, OPTION_READY, OPTION_CONNECT_RATE, OPTION_CONCURRENCY,
    OPTION_CONNECT_TIMEOUT, OPTION_SOURCES, OPTION_SETTLE, OPTION_IDLE, OPTION_RATES, OPTION_SECONDS,
    OPTION_STOP_RATIO, OPTION_HALF, OPTION_DRAIN, OPTION_PAUSE, OPTION_TIME_MARK, OPTION_SEQUENCE_MARK,
    OPTION_NOT_NUMBERED, OPTION_MULTIPLE, OPTION_PARTS, OPTION_PART, OPTION_SLOW, OPTION_RECEIVE_BUFFER,
    OPTION_PUBLISHER, OPTION_PUBLISH_TO, OPTION_PUBLISH_FIRST, OPTION_PUBLISH_FIRST_HEX, OPTION_PREFIX,
    OPTION_SUFFIX, OPTION_SIZE, OPTION_PROCESSES, OPTION_LABEL, OPTION_VERBOSE, OPTION_HELP,
};

static const struct option known[] = {
    {"url", required_argument, NULL, OPTION_URL},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"tokens", required_argument, NULL, OPTION_TOKENS},
    {"header", required_argument, NULL, OPTION_HEADER},
    {"subprotocol", required_argument, NULL, OPTION_SUBPROTOCOL},
    {"send", required_argument, NULL, OPTION_SEND},
    {"send-binary", required_argument, NULL, OPTION_SEND_BINARY},
    {"send-hex", required_argument, NULL, OPTION_SEND_HEX},
    {"ready", required_argument, NULL, OPTION_READY},
    {"connect-rate", required_argument, NULL, OPTION_CONNECT_RATE},
    {"concurrency", required_argument, NULL, OPTION_CONCURRENCY},
    {"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT},
    {"sources", required_argument, NULL, OPTION_SOURCES},
    {"settle", required_argument, NULL, OPTION_SETTLE},
    {"idle", required_argument, NULL, OPTION_IDLE},
    {"rates", required_argument, NULL, OPTION_RATES},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"stop-ratio", required_argument, NULL, OPTION_STOP_RATIO},
    {"half", required_argument, NULL, OPTION_HALF},
    {"drain", required_argument, NULL, OPTION_DRAIN},
    {"pause", required_argument, NULL, OPTION_PAUSE},
    {"t0-mark", required_argument, NULL, OPTION_TIME_MARK},
    {"seq-mark", required_argument, NULL, OPTION_SEQUENCE_MARK},
    {"no-seq", no_argument, NULL, OPTION_NOT_NUMBERED},
    {"multi", no_argument, NULL, OPTION_MULTIPLE},
    {"parts", required_argument, NULL, OPTION_PARTS},
    {"part", required_argument, NULL, OPTION_PART},
    {"slow", required_argument, NULL, OPTION_SLOW},
    {"receive-buffer", required_argument, NULL, OPTION_RECEIVE_BUFFER},
    {"publisher", required_argument, NULL, OPTION_PUBLISHER},
    {"publish-to", required_argument, NULL, OPTION_PUBLISH_TO},
    {"publish-first", required_argument, NULL, OPTION_PUBLISH_FIRST},
    {"publish-first-hex", required_argument, NULL, OPTION_PUBLISH_FIRST_HEX},
    {"prefix", required_argument, NULL, OPTION_PREFIX},
    {"suffix", required_argument, NULL, OPTION_SUFFIX},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"pid", required_argument, NULL, OPTION_PROCESSES},
    {"label", required_argument, NULL, OPTION_LABEL},
    {"verbose", no_argument, NULL, OPTION_VERBOSE},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static int64_t integer(const char *option, const char *text, int64_t minimum, int64_t maximum) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < minimum || value > maximum)
        give_up(EXIT_MISUSE, "--%s wants a whole number from %lld to %lld, not \"%s\"", option, (long long)minimum,
            (long long)maximum, text);
    return value;
}

static double number(const char *option, const char *text, double maximum) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value < 0 || value > maximum)
        give_up(EXIT_MISUSE, "--%s wants a number from 0 to %g, not \"%s\"", option, maximum, text);
    return value;
}

static struct numbers list(const char *option, char *text, bool whole) {
    struct numbers numbers = {0};
    char *rest = text;
    for (char *word = strsep(&rest, ","); word != NULL; word = strsep(&rest, ",")) {
        double value = whole ? (double)integer(option, word, 1, INT32_MAX) : number(option, word, 1e7);
        if (value <= 0) give_up(EXIT_MISUSE, "--%s wants numbers above 0", option);
        numbers.items = reallocate(numbers.items, (numbers.count + 1) * sizeof *numbers.items);
        numbers.items[numbers.count++] = value;
    }
    return numbers;
}

static void add_template(struct templates *templates, struct bytes text, bool binary) {
    if (templates->inherited) *templates = (struct templates){0};
    templates->items = reallocate(templates->items, (templates->count + 1) * sizeof *templates->items);
    templates->items[templates->count++] = (struct template){text, binary};
}

static struct bytes unescaped(const char *option, const char *text) {
    struct bytes decoded = {0};
    const char *error = text_unescape(text, &decoded);
    if (error != NULL) give_up(EXIT_MISUSE, "--%s %s", option, error);
    return decoded;
}

static struct bytes from_hex(const char *option, const char *text) {
    struct bytes decoded = {0};
    const char *error = text_from_hex(text, &decoded);
    if (error != NULL) give_up(EXIT_MISUSE, "--%s %s", option, error);
    return decoded;
}

static struct bytes header_line(const char *text) {
    if (strpbrk(text, "\r\n") != NULL || strchr(text, ':') == NULL)
        give_up(EXIT_MISUSE, "--header wants 'Name: value' on one line");
    struct bytes line = {0};
    bytes_append_text(&line, text);
    bytes_append_text(&line, "\r\n");
    return line;
}

static const char *mark(const char *option, const char *text) {
    if (text[0] == '\0') give_up(EXIT_MISUSE, "--%s wants a text", option);
    return text;
}

/// The options that a group can have for itself. False for others.
static bool read_group_option(struct group *group, int option, const char *name, const char *argument) {
    switch (option) {
    case OPTION_URL: group->url = argument; return true;
    case OPTION_TOKENS: group->tokens = tokens_read(argument); return true;
    case OPTION_HEADER: add_template(&group->headers, header_line(argument), false); return true;
    case OPTION_SUBPROTOCOL: group->subprotocol = mark(name, argument); return true;
    case OPTION_SEND: add_template(&group->messages, unescaped(name, argument), false); return true;
    case OPTION_SEND_BINARY: add_template(&group->messages, unescaped(name, argument), true); return true;
    case OPTION_SEND_HEX: add_template(&group->messages, from_hex(name, argument), true); return true;
    case OPTION_READY: group->ready = mark(name, argument); return true;
    case OPTION_PARTS: group->parts = integer(name, argument, 1, 1000000); return true;
    case OPTION_PART: group->part = argument; return true;
    case OPTION_SEQUENCE_MARK: group->sequence_mark = mark(name, argument); return true;
    case OPTION_MULTIPLE: group->multiple = true; return true;
    default: return false;
    }
}

static bool read_connect_option(struct options *options, int option, const char *name, const char *argument) {
    switch (option) {
    case OPTION_CONNECT_RATE: options->connect_rate = number(name, argument, 1e6); return true;
    case OPTION_CONCURRENCY: options->concurrency = integer(name, argument, 1, 1000000); return true;
    case OPTION_CONNECT_TIMEOUT: options->connect_timeout = number(name, argument, 86400); return true;
    case OPTION_SOURCES: options->sources = integer(name, argument, 0, 65535); return true;
    case OPTION_SETTLE: options->settle = number(name, argument, 86400); return true;
    case OPTION_IDLE: options->idle = number(name, argument, 86400); return true;
    case OPTION_SLOW: options->slow = number(name, argument, 1); return true;
    case OPTION_RECEIVE_BUFFER: options->receive_buffer = integer(name, argument, 1, INT32_MAX); return true;
    default: return false;
    }
}

static bool read_step_option(struct options *options, int option, const char *name, char *argument) {
    switch (option) {
    case OPTION_RATES: options->rates = list(name, argument, false); return true;
    case OPTION_SECONDS: options->seconds = number(name, argument, 86400); return true;
    case OPTION_STOP_RATIO: options->stop_ratio = number(name, argument, 1); return true;
    case OPTION_HALF: options->half = number(name, argument, 10); return true;
    case OPTION_DRAIN: options->drain = number(name, argument, 86400); return true;
    case OPTION_PAUSE: options->pause = number(name, argument, 86400); return true;
    case OPTION_TIME_MARK: options->time_mark = mark(name, argument); return true;
    case OPTION_NOT_NUMBERED: options->numbered = false; return true;
    case OPTION_PROCESSES: options->processes = list(name, argument, true); return true;
    case OPTION_LABEL: options->label = argument; return true;
    case OPTION_VERBOSE: options->verbose = true; return true;
    default: return false;
    }
}

static void read_publisher_option(struct options *options, int option, const char *name, const char *argument) {
    switch (option) {
    case OPTION_PUBLISHER: options->publisher_command = mark(name, argument); break;
    case OPTION_PUBLISH_TO: options->publish_to = argument; break;
    case OPTION_PUBLISH_FIRST: add_template(&options->publish_first, unescaped(name, argument), false); break;
    case OPTION_PUBLISH_FIRST_HEX: add_template(&options->publish_first, from_hex(name, argument), true); break;
    case OPTION_PREFIX: options->prefix = unescaped(name, argument); break;
    case OPTION_SUFFIX: options->suffix = unescaped(name, argument); break;
    case OPTION_SIZE: options->size = integer(name, argument, 64, 1 << 20); break;
    default: exit(EXIT_MISUSE); // getopt has said what it does not know
    }
}

static void begin_group(struct options *options, const struct group *defaults, const char *argument) {
    options->groups = reallocate(options->groups, (options->group_count + 1) * sizeof *options->groups);
    struct group *group = &options->groups[options->group_count++];
    *group = *defaults;
    group->clients = integer("group", argument, 1, 10000000);
    group->messages.inherited = true;
    group->headers.inherited = true;
}

static const char *group_error(const struct group *group) {
    if (group->url == NULL) return "--url is missing";
    if (group->part != NULL && group->parts < 2) return "--part needs --parts above 1";
    const struct tokens *tokens = &group->tokens;
    const char *error = template_error(group->url, strlen(group->url), tokens);
    if (error == NULL && group->part != NULL) error = template_error(group->part, strlen(group->part), tokens);
    for (size_t index = 0; error == NULL && index < group->messages.count; index++) {
        const struct bytes *text = &group->messages.items[index].text;
        error = template_error(text->data, text->length, tokens);
    }
    for (size_t index = 0; error == NULL && index < group->headers.count; index++) {
        const struct bytes *text = &group->headers.items[index].text;
        error = template_error(text->data, text->length, tokens);
    }
    return error;
}

static void check_url(const struct group *group) {
    struct bytes text = {0};
    struct url url;
    template_append(&text, group->url, strlen(group->url) + 1, 0, &group->tokens);
    if (!url_read(text.data, &url))
        give_up(EXIT_MISUSE, "--url wants ws://HOST[:PORT]/PATH with an IPv4 address or localhost, not \"%s\"",
            text.data);
    bytes_free(&text);
}

static void check_group(struct options *options, const struct group *group) {
    const char *error = group_error(group);
    if (error != NULL) give_up(EXIT_MISUSE, "%s", error);
    check_url(group);
    options->clients += group->clients;
    if (options->clients > 10000000) give_up(EXIT_MISUSE, "too many connections");
    if (group->parts == 1) return;
    if (options->parts > 1 && options->parts != group->parts)
        give_up(EXIT_MISUSE, "--parts differs between groups, but there is one publisher");
    options->parts = group->parts;
}

static void check_publisher(const struct options *options) {
    bool publishes = options->publisher_command != NULL || options->publish_to != NULL;
    struct sockaddr_in address;
    if (options->publisher_command != NULL && options->publish_to != NULL)
        give_up(EXIT_MISUSE, "either --publisher or --publish-to");
    if (publishes && options->rates.count == 0) give_up(EXIT_MISUSE, "a publisher needs --rates");
    if (!publishes && options->rates.count > 0)
        give_up(EXIT_MISUSE, "--rates needs --publisher or --publish-to");
    if (options->publish_to != NULL && !address_read(options->publish_to, strlen(options->publish_to), &address))
        give_up(EXIT_MISUSE, "--publish-to wants HOST:PORT with an IPv4 address or localhost");
    if (options->parts > 1 && options->size < 88) give_up(EXIT_MISUSE, "--size must be 88 or more with --parts");
}

struct options options_read(int count, char **arguments) {
    struct options options = {
        .parts = 1, .concurrency = 256, .connect_timeout = 60, .settle = 1, .seconds = 3, .drain = 5, .pause = 0.3,
        .time_mark = "\"t0\":", .numbered = true, .size = 512,
    };
    struct group defaults = {.clients = 1, .parts = 1, .sequence_mark = "\"seq\":"};
    bool clients_given = false;
    for (int option, index = 0; (option = getopt_long(count, arguments, "+", known, &index)) != -1;) {
        const char *name = option == '?' ? "" : known[index].name;
        struct group *group = options.group_count == 0 ? &defaults : &options.groups[options.group_count - 1];
        if (option == OPTION_HELP) {
            fputs(options_help, stdout);
            exit(EXIT_CLEAN);
        } else if (option == OPTION_GROUP) {
            begin_group(&options, &defaults, optarg);
        } else if (option == OPTION_CLIENTS) {
            defaults.clients = integer(name, optarg, 1, 10000000);
            clients_given = true;
        } else if (!read_group_option(group, option, name, optarg)
                   && !read_connect_option(&options, option, name, optarg)
                   && !read_step_option(&options, option, name, optarg)) {
            read_publisher_option(&options, option, name, optarg);
        }
    }
    if (optind < count) give_up(EXIT_MISUSE, "what is \"%s\"?", arguments[optind]);
    if (clients_given && options.group_count > 0) give_up(EXIT_MISUSE, "either --clients or --group");
    if (options.group_count == 0) {
        options.groups = allocate(sizeof *options.groups);
        options.groups[options.group_count++] = defaults;
    }
    for (size_t group = 0; group < options.group_count; group++) check_group(&options, &options.groups[group]);
    check_publisher(&options);
    return options;
}
