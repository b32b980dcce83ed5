"""Clauses that have no case on purpose, each with the reason; a section's number stands for all of it that has none."""

REST = "REST of a service, not the socket"
CLIENTS_OWN = "what a client does by itself"

WITHOUT_CASE = {
    "source-saver": {
        "1 TLS": "advice to whoever installs it",
        "4 ¶2": "when performance-monitor and obs-bridge publish what; their own tests",
        "6 connection_error": "a fault of the gateway's own, which nobody can cause from outside",
        "9": "what obs-bridge and performance-monitor keep; their REST and their own tests",
    },
    "astro": {
        "7 •7": CLIENTS_OWN,
    },
    "wave": {
        "5 QUOTA_EXCEEDED": "no plan has a quota yet: the clause is about REST's 402",
    },
    "grimnir": {
        "1 Live stream disabled by operator": "there is no such setting",
        "4 ¶4": "when radio-playout publishes it; not published yet",
        "6": "when radio-playout publishes what; its own tests",
        "7 Client backoff": CLIENTS_OWN,
        "8": "what radio-playout keeps; its REST and its own tests",
        "9": REST,
    },
    "airys": {
        "1 Mentioned without shape": "nothing that could be shown: the document gives no form",
    },
    "README": {
        "2 •4": "optional, and not offered",
        "8": "what libwebsockets does otherwise: each row is asserted by a case of rfc6455.py",
    },
}
