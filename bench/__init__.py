"""`make bench`: our figures beside a bare Python loop and whichever supervisors are installed, in the same run.

A *case* (cases/) puts a *job* (job.py) before every *contender* (contenders/): ours, the bare loop, the peers. Each run
happens in a *room* (room.py): a directory, a marks file that the payload writes its CLOCK_MONOTONIC stamps into, and an
accounting (accounting.py) of the CPU and memory of everything that the contender starts. Rounds go over all contenders
in turn, so that whatever disturbs the machine disturbs all of them; the report (report.py) gives medians with their
range and the median of the per-round ratios to the bare loop, and says what the rest of the machine burnt meanwhile.
"""
