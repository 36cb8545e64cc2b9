"""Runs the scripts of a Python transformation: all of them as one program, in the data folder."""
import json
import os
import sys

NAME = "script.py"
MAX_FRAMES = 20


class Source:
    """Where tracebacks look for the text of a line, only once there is something to trace."""

    def __init__(self, text):
        self.text = text

    def get_source(self, _name):
        return self.text


def main():
    data = os.environ["KBC_DATADIR"]
    with open(os.path.join(data, "config.json"), encoding="utf-8") as file:
        parameters = json.load(file).get("parameters") or {}
    if parameters.get("packages"):
        sys.exit("Installing packages is not supported by this version: remove \"packages\" from the configuration.")
    script = "\n".join(
        text
        for block in parameters.get("blocks") or []
        for code in block.get("codes") or []
        for text in code.get("script") or []
    )
    os.chdir(data)
    own_path = sys.path[1:]
    sys.path[0] = os.path.join(data, "in", "user")
    sys.argv = [NAME]
    try:
        exec(
            compile(script, NAME, "exec"),
            {"__name__": "__main__", "__file__": NAME, "__builtins__": __builtins__, "__loader__": Source(script)},
        )
    except Exception as error:
        # Loaded here, because it takes a good part of the time of a short script; never from the script's own folder.
        sys.path[:] = own_path
        import traceback

        # This file's own frames are of no use to the author of the script.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, error.__traceback__, limit=MAX_FRAMES)
        sys.exit(1)


main()
