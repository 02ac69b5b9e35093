"""What users write: processes, tasks, jobs and all that belongs to them, with the defaults of Aurora's own schema.

Counts and sizes are strict: negative numbers, fractions and bools are problems, not silently something else. What
only several fields together can get wrong is in `config.core.*_rules`. docs/config-reference.md is made from this
file: the docstring of a class and the comments behind its fields are the text there.
"""

from __future__ import annotations

from config.dsl import (
    Boolean,
    Choice,
    Default,
    Enum,
    Float,
    Integer,
    List,
    Map,
    Range,
    Required,
    String,
    Struct,
)

BYTES = 1
KB = 1024 * BYTES
MB = 1024 * KB
GB = 1024 * MB
TB = 1024 * GB

#: The largest number that fits what schedulers keep.
MOST = 2**63 - 1

Whole = Range(Integer, max=MOST)
Count = Range(Integer, min=0, max=MOST)
Positive = Range(Integer, min=1, max=MOST)
Number = Range(Float)
Amount = Range(Float, min=0)

LoggerDestination = Enum("LoggerDestination", ("file", "console", "both", "none"))
LoggerMode = Enum("LoggerMode", ("standard", "rotate"))
Mode = Enum("Mode", ("RO", "RW"))


class RotatePolicy(Struct):
    """When a log file is put aside, and how many old ones are kept."""

    log_size = Default(Positive, 100 * MB)  # bytes after which a log is rotated
    backups = Default(Count, 5)  # rotated logs that are kept


class Logger(Struct):
    """Where the output of a process goes."""

    destination = Default(LoggerDestination, LoggerDestination("file"))  # file, console, both or none
    mode = Default(LoggerMode, LoggerMode("standard"))  # standard (one file that grows) or rotate
    rotate = RotatePolicy  # only with mode 'rotate'


class Resources(Struct):
    """What a task needs of a host."""

    cpu = Required(Amount)  # cores
    ram = Required(Count)  # bytes; write 512*MB
    disk = Required(Count)  # bytes
    gpu = Default(Count, 0)  # whole GPUs


class Constraint(Struct):
    """An order among processes; see `order`."""

    order = List(String)  # names of processes that run one after another


class Process(Struct):
    """One command line under supervision."""

    name = Required(String)  # unique in its task; no slash, no leading dot
    cmdline = Required(String)  # run as `/bin/bash -c CMDLINE`
    max_failures = Default(Count, 1)  # failed runs before it has failed for good; 0 = never
    daemon = Default(Boolean, False)  # success restarts it
    ephemeral = Default(Boolean, False)  # the task does not wait for it
    min_duration = Default(Count, 5)  # seconds between the end of a run and the next start
    final = Default(Boolean, False)  # runs when all others have ended
    logger = Logger  # default: what the runner was told
    resources = Resources  # reserved, unused


class Task(Struct):
    """Processes that share a sandbox."""

    name = Default(String, "{{processes[0].name}}")  # default: the name of the first process
    processes = List(Process)  # what runs
    constraints = Default(List(Constraint), [])  # in which order
    resources = Resources  # mandatory for a job
    max_failures = Default(Count, 1)  # failed processes that fail the task; 0 = never
    max_concurrency = Default(Count, 0)  # processes that run at the same time; 0 = unlimited
    finalization_wait = Default(Count, 30)  # seconds for stopping and final processes together
    user = String  # kept, but read by nothing


class HttpHealthChecker(Struct):
    """Asks the task's port `health` over HTTP."""

    endpoint = Default(String, "/health")  # path that is asked
    expected_response = Default(String, "ok")  # body, any case, trimmed; '' = any
    expected_response_code = Default(Whole, 0)  # status; 0 = any good one (2xx)


class ShellHealthChecker(Struct):
    """Runs a command."""

    shell_command = Required(String)  # healthy if it exits with 0


class TcpHealthChecker(Struct):
    """Connects to a port of the task."""

    port = Default(String, "health")  # named port


class HealthCheckerConfig(Struct):
    """How health is checked. Of several the shell check wins, then tcp."""

    http = HttpHealthChecker  # over HTTP
    shell = ShellHealthChecker  # by a command
    tcp = TcpHealthChecker  # by a connection


class HealthCheckConfig(Struct):
    """When an instance counts as healthy."""

    health_checker = Default(HealthCheckerConfig, HealthCheckerConfig(http=HttpHealthChecker()))  # how
    initial_interval_secs = Default(Number, 15.0)  # grace after the start
    interval_secs = Default(Number, 10.0)  # between checks
    max_consecutive_failures = Default(Whole, 0)  # unhealthy when there are more
    min_consecutive_successes = Default(Whole, 1)  # healthy after so many
    timeout_secs = Default(Number, 1.0)  # one check


class HttpLifecycleConfig(Struct):
    """Asks the task over HTTP to end before it is stopped."""

    port = Default(String, "health")  # named port
    graceful_shutdown_endpoint = Default(String, "/quitquitquit")  # asked first
    graceful_shutdown_wait_secs = Default(Count, 5)  # then waited
    shutdown_endpoint = Default(String, "/abortabortabort")  # asked next
    shutdown_wait_secs = Default(Count, 5)  # then waited, then stopped


class LifecycleConfig(Struct):
    """How a task is asked to end."""

    http = HttpLifecycleConfig  # over HTTP; without it the task is stopped at once


DisableLifecycle = LifecycleConfig()
DefaultLifecycleConfig = LifecycleConfig(http=HttpLifecycleConfig())


class Announcer(Struct):
    """Registers the instance in ZooKeeper."""

    primary_port = Default(String, "http")  # the port to connect to
    portmap = Default(Map(String, String), {"aurora": "{{primary_port}}"})  # names for ports, or fixed ports
    zk_path = String  # another path than /aurora/ROLE/ENV/NAME; the executor has to allow it


class Parameter(Struct):
    """One option of `docker run`."""

    name = Required(String)  # option without dashes
    value = Required(String)  # its value


class Docker(Struct):
    """The task runs in a Docker container."""

    image = Required(String)  # name:tag or name@digest
    parameters = Default(List(Parameter), [])  # options of `docker run`


class Container(Struct):
    """Deprecated wrapper: give `Docker(…)` or `Mesos(…)` itself."""

    docker = Docker  # the container


class AppcImage(Struct):
    """An appc image."""

    name = Required(String)  # image name
    image_id = Required(String)  # sha512-…


class DockerImage(Struct):
    """A Docker image, run without Docker."""

    name = Required(String)  # image name
    tag = Required(String)  # image tag


class Volume(Struct):
    """A directory of the host inside the container."""

    container_path = Required(String)  # where it appears inside
    host_path = Required(String)  # where it is on the host
    mode = Required(Mode)  # RO or RW


class Mesos(Struct):
    """The task runs in a Mesos container."""

    image = Choice([AppcImage, DockerImage])  # root file system; default: the host's
    volumes = Default(List(Volume), [])  # directories of the host


class QueueUpdateStrategy(Struct):
    """Keeps a number of instances in the works."""

    batch_size = Default(Whole, 1)  # instances at the same time


class BatchUpdateStrategy(Struct):
    """Finishes a batch before the next begins."""

    batch_size = Default(Whole, 1)  # instances per batch
    autopause_after_batch = Default(Boolean, False)  # pause after each batch


class VariableBatchUpdateStrategy(Struct):
    """Batches of different sizes."""

    batch_sizes = Required(List(Whole))  # size of each batch; the last one repeats
    autopause_after_batch = Default(Boolean, False)  # pause after each batch


class UpdateConfig(Struct):
    """How a changed job replaces the running one."""

    batch_size = Default(Whole, 1)  # instances at the same time
    watch_secs = Default(Whole, 45)  # how long an instance has to run to count as updated
    max_per_shard_failures = Default(Whole, 0)  # restarts of one instance that are forgiven
    max_total_failures = Default(Whole, 0)  # failed instances that are forgiven
    rollback_on_failure = Default(Boolean, True)  # go back to the old config
    wait_for_batch_completion = Default(Boolean, False)  # as BatchUpdateStrategy
    pulse_interval_secs = Whole  # pause unless somebody pulses that often; at least 60
    sla_aware = Default(Boolean, False)  # respect sla_policy; needs one
    update_strategy = Choice([QueueUpdateStrategy, BatchUpdateStrategy, VariableBatchUpdateStrategy])  # or this


class PartitionPolicy(Struct):
    """What happens when the host can't be reached."""

    reschedule = Default(Boolean, True)  # start the instance elsewhere
    delay_secs = Default(Count, 0)  # after waiting


class Metadata(Struct):
    """A label."""

    key = Required(String)  # name
    value = Required(String)  # text


class ExecutorConfig(Struct):
    """Who runs the task."""

    name = Default(String, "AuroraExecutor")  # as the scheduler knows it
    data = Default(String, "")  # for another executor: passed on as it is


class PercentageSlaPolicy(Struct):
    """A share of the instances has to be up."""

    percentage = Required(Number)  # of instances
    duration_secs = Required(Count)  # how long they have to have been up


class CountSlaPolicy(Struct):
    """A number of instances has to be up."""

    count = Required(Count)  # of instances
    duration_secs = Required(Count)  # how long they have to have been up


class CoordinatorSlaPolicy(Struct):
    """A service of yours is asked whether an instance may be taken down."""

    coordinator_url = Required(String)  # whom to ask
    status_key = Default(String, "drain")  # where the answer is in its JSON


class MesosContext(Struct):
    """`{{mesos.…}}` on a host."""

    instance = Required(Integer)
    hostname = Required(String)


class ThermosContext(Struct):
    """`{{thermos.…}}` on a host."""

    ports = Map(String, Integer)
    task_id = String
    user = String


class MesosTaskInstance(Struct):
    """A task as an executor gets it from a client that sends one instance only."""

    task = Required(Task)
    instance = Required(Integer)
    role = Required(String)
    announce = Announcer
    environment = Required(String)
    health_check_config = Default(HealthCheckConfig, HealthCheckConfig())
    lifecycle = LifecycleConfig


class Job(Struct):
    """A task, several times, in a cluster."""

    name = Default(String, "{{task.name}}")  # default: the name of the task
    role = Required(String)  # whose it is; also the user that runs it
    contact = String  # free text
    cluster = Required(String)  # where
    environment = Required(String)  # prod, devel, test or staging1, 2, …
    instances = Default(Positive, 1)  # how many
    task = Required(Task)  # what
    announce = Announcer  # register in ZooKeeper
    tier = String  # preferred, preemptible, revocable, or what the scheduler knows
    cron_schedule = String  # five fields: run then instead of always
    cron_collision_policy = Default(String, "KILL_EXISTING")  # or CANCEL_NEW
    update_config = Default(UpdateConfig, UpdateConfig())  # how to replace a running one
    constraints = Map(String, String)  # host attribute -> 'limit:N', 'a,b' or '!a,b'
    service = Default(Boolean, False)  # restart it for ever
    max_task_failures = Default(Range(Integer, min=-1), 1)  # -1 = unlimited; not for services
    production = Default(Boolean, False)  # deprecated: use tier
    priority = Default(Whole, 0)  # among jobs of the same role
    health_check_config = Default(HealthCheckConfig, HealthCheckConfig())  # when it is healthy
    lifecycle = Default(LifecycleConfig, DefaultLifecycleConfig)  # how it is asked to end
    task_links = Map(String, String)  # unsupported
    executor_config = Default(ExecutorConfig, ExecutorConfig())  # who runs it
    enable_hooks = Default(Boolean, False)  # run the config's `hooks`
    partition_policy = PartitionPolicy  # when its host can't be reached
    sla_policy = Choice([CoordinatorSlaPolicy, CountSlaPolicy, PercentageSlaPolicy])  # how many have to be up
    metadata = Default(List(Metadata), [])  # labels
    container = Choice([Container, Docker, Mesos])  # default: a Mesos container without image


MesosJob = Job
Service = Job(service=True)
