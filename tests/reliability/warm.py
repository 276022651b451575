"""Forks one node after the other, each for a line on standard input that holds the words of its command.

For tests that kill nodes by the dozen: to import a node takes longer than to start and kill it. A line with
its process id says that it is on its way, one more that it has ended. Nobody renders here, so the fork server
for those who do is left out.
"""

import os
import sys

import scp.node  # noqa: F401 what the nodes would import, each for itself
from scp.cli import main
from scp.isolation import local


def be_a_node(words: list[str]) -> None:
    os.setsid()
    local.start = lambda preload: None  # noqa: ARG005 its one parameter is passed by name
    print(os.getpid(), flush=True)
    sys.argv[1:] = words
    main()


if __name__ == "__main__":
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            be_a_node(line.rstrip("\n").split("\t"))
        os.waitpid(pid, 0)
        print("ended", flush=True)
