"""What a verb works with: who calls, the clusters, a client for each, and where its words go."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from client.api_client import ApiClient
from client.clusters import Cluster, Clusters, cluster_files, load_clusters
from client.context import user_name
from client.exits import complain, echo_lines


@dataclass
class Context:
    """`words` is the command line, `skip_hooks` as it was given."""

    noun: str
    verb: str
    words: tuple[str, ...] = ()
    json: bool = False
    verbose: bool = False
    skip_hooks: str | None = None
    _clusters: Clusters | None = None
    _apis: dict[str, ApiClient] = field(default_factory=dict)
    #: What is drawn on the terminal is taken away before a remark.
    clear_screen: Callable[[], None] = lambda: None

    @property
    def clusters(self) -> Clusters:
        """Raises UserError for files that can't be used."""
        if self._clusters is None:
            self._clusters = load_clusters(cluster_files(os.environ))
        return self._clusters

    def cluster(self, name: str) -> Cluster:
        """Raises UserError: there is none of this name."""
        return self.clusters.get(name)

    def api(self, cluster: str) -> ApiClient:
        """The client of a cluster; nothing is asked before it is used. Raises UserError."""
        if cluster not in self._apis:
            self._apis[cluster] = ApiClient(self.cluster(cluster), say=self.say, verbose=self.verbose)
        return self._apis[cluster]

    @property
    def user(self) -> str:
        """Who calls, as the login name."""
        return user_name(os.getuid())

    def say(self, text: str) -> None:
        """A remark, on stderr."""
        self.clear_screen()
        complain("aurora", text)

    def note(self, text: str) -> None:
        """A remark that belongs to the text output; programs don't get it."""
        if not self.json:
            self.say(text)

    def echo(self, *lines: str) -> None:
        """Text output; nothing with -o json."""
        if not self.json:
            echo_lines(lines)

    def answer(self, document: Any, lines: Iterable[str] = ()) -> None:
        """The result: the document with -o json, else the lines."""
        if self.json:
            echo_lines([json.dumps(document, indent=1, ensure_ascii=False)])
        else:
            echo_lines(lines)

    @property
    def is_live(self) -> bool:
        """Can something be drawn on standard output again and again?"""
        return not self.json and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")

    @property
    def colours(self) -> bool:
        return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
