"""The smallest source there can be: a stream of as many numbers as its configuration says."""
import json
import sys

SPEC = {
    "connectionSpecification": {
        "type": "object",
        "required": ["count"],
        "properties": {
            "count": {"type": "integer", "minimum": 1},
            "key": {"type": "string", "airbyte_secret": True},
        },
    }
}
STREAM = {
    "name": "numbers",
    "json_schema": {"type": "object", "properties": {"n": {"type": "integer"}, "version": {"type": "string"}}},
    "supported_sync_modes": ["full_refresh"],
}


def say(kind, **message):
    print(json.dumps({"type": kind, **message}))


def main():
    command, *rest = sys.argv[1:]
    options = dict(zip(rest[::2], rest[1::2]))
    config = json.load(open(options["--config"])) if "--config" in options else {}
    if command == "spec":
        print("a line that is no message")
        say("SPEC", spec=SPEC)
    elif command == "check":
        say("CONNECTION_STATUS", connectionStatus={"status": "SUCCEEDED"})
    elif command == "discover":
        say("CATALOG", catalog={"streams": [STREAM]})
    elif command == "read":
        for n in range(config["count"]):
            data = {"n": n, "version": "{VERSION}"}
            say("RECORD", record={"stream": "numbers", "data": data, "emitted_at": 1767225600000})
    else:
        sys.exit(2)
