"""The pages of the scheduler: what the cluster does, for people. Nothing can be changed at them.

    request ─▶ view (frozen data, from memory) ─▶ template ─▶ HTML, kept until something happens to what it shows

Pages work without scripts. With them they are live: `/live` says that something has changed, at most once a second,
and the page fetches its own fragment and merges it in.

Source: spec/scheduler.md §10, the UI pages of the talk.
"""
