"""Runs the scripts of a Python transformation: all of them as one program, in the data folder."""
import json
import linecache
import os
import sys
import traceback

NAME = "script.py"
MAX_FRAMES = 20


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
    sys.path[0] = os.path.join(data, "in", "user")
    sys.argv = [NAME]
    # Where tracebacks look for the text of a line.
    linecache.cache[NAME] = (len(script), None, script.splitlines(True), NAME)
    try:
        exec(compile(script, NAME, "exec"), {"__name__": "__main__", "__file__": NAME, "__builtins__": __builtins__})
    except Exception as error:
        # This file's own frames are of no use to the author of the script.
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, error.__traceback__, limit=MAX_FRAMES)
        sys.exit(1)


main()
